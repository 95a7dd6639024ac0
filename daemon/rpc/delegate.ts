import { serviceDefinition } from '../../proto/grpc.ts'
import { v1 } from '../../proto/index.ts'
import type { Caller, HandlersOf, Outlet } from '../../proto/service.ts'
import { toStatusError } from '../../runtime/errors.ts'
import type { ServiceName } from './server.ts'

type Handler = (request: unknown, second: unknown, caller?: Caller) => unknown

/**
 * Handlers of a service that is found anew for each call, because who answers changes while the listener stays: a node
 * becomes a manager, stops being one, joins or leaves.
 *
 * @param find throws a StatusError that tells the caller why nobody answers here
 */
export function delegate<K extends ServiceName>(name: K, find: () => HandlersOf<K>): HandlersOf<K> {
  const handlers: Record<string, Handler> = {}
  for (const [key, method] of Object.entries(serviceDefinition(v1[name], v1))) {
    const found = (): Handler => (find() as Record<string, Handler>)[key] as Handler
    if (!method.responseStream) {
      handlers[key] = async (request, caller) => found()(request, caller)
    } else if (!method.requestStream) {
      handlers[key] = (request, outlet, caller) =>
        guarded(outlet as Outlet<unknown>, () => found()(request, outlet, caller))
    } else {
      handlers[key] = (stream, caller) =>
        guarded(stream as Outlet<unknown>, () => found()(stream, caller))
    }
  }
  return handlers as unknown as HandlersOf<K>
}

function guarded(outlet: Outlet<unknown>, answer: () => unknown): void {
  try {
    answer()
  } catch (thrown) {
    outlet.end(toStatusError(thrown))
  }
}
