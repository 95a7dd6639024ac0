import { ActionKind, type WatchEvent, type WatchMessage } from '../../proto/index.ts'
import type { Outlet } from '../../proto/service.ts'
import { StatusError, toStatusError } from '../../runtime/errors.ts'
import { KINDS } from '../state/store/kinds.ts'
import type { Change, ChangeBatch, Kind, Tables } from '../state/store/types.ts'
import type { ControlDeps } from './deps.ts'
import { redact } from './redact.ts'

/** Messages a client may lag behind. */
const MAX_BACKLOG = 1_000

interface WatchFilter {
  readonly kinds: ReadonlySet<string>
  /** '' for all; else this service and its tasks only. */
  readonly serviceId: string
}

/**
 * Streams committed changes from this manager's own replica, one message a transaction; the first, without events, says
 * that the watch stands (Swarm row DP-23). A client that does not keep up is ended, never slowed down for.
 */
export function watch(
  deps: ControlDeps,
  request: {
    readonly kinds: readonly string[]
    readonly fromVersion: number
    readonly serviceId: string
  },
  outlet: Outlet<WatchMessage>,
): void {
  const { store } = deps
  const filter = filterOf(deps, request.kinds, request.serviceId)
  const missed = request.fromVersion > 0 ? store.since(request.fromVersion) : []
  const pass = (batch: ChangeBatch): void => {
    const refusal = refusalOf(batch, outlet.backlog)
    if (refusal) {
      cancel()
      outlet.end(refusal)
      return
    }
    const events = batch.changes.filter(change => matches(change, filter)).map(eventOf)
    if (events.length > 0) outlet.send({ version: batch.version, events })
  }
  const cancel = store.watch(batch => {
    // The store must not suffer from a watcher.
    try {
      pass(batch)
    } catch (thrown) {
      cancel()
      outlet.end(toStatusError(thrown))
    }
  })
  outlet.onEnd(cancel)
  outlet.send({ version: missed[0] ? request.fromVersion : store.version, events: [] })
  for (const batch of missed) pass(batch)
}

function refusalOf(batch: ChangeBatch, backlog: number): StatusError | undefined {
  if (batch.reset) {
    return new StatusError(
      'OutOfRange',
      'this manager caught up by a snapshot and cannot say what changed; list everything and watch from there',
    )
  }
  if (backlog < MAX_BACKLOG) return undefined
  return new StatusError(
    'ResourceExhausted',
    `this watch is ${backlog} messages behind and is ended; list everything and start again`,
  )
}

function filterOf(deps: ControlDeps, kinds: readonly string[], service: string): WatchFilter {
  const unknown = kinds.find(kind => !(KINDS as readonly string[]).includes(kind))
  if (unknown !== undefined) {
    throw new StatusError(
      'InvalidArgument',
      `watch: there is no kind "${unknown}"; there are ${KINDS.join(', ')}`,
    )
  }
  const serviceId = service && deps.store.view(tx => tx.resolve('service', service)).id
  return { kinds: new Set(kinds.length > 0 ? kinds : KINDS), serviceId }
}

function matches(change: Change, filter: WatchFilter): boolean {
  if (!filter.kinds.has(change.kind)) return false
  if (filter.serviceId === '') return true
  if (change.kind === 'service') return (change.after ?? change.before)?.id === filter.serviceId
  return change.kind === 'task' && (change.after ?? change.before)?.serviceId === filter.serviceId
}

function eventOf(change: Change): WatchEvent {
  const kind = actionOf(change)
  const object = redact(change.kind, (change.after ?? change.before) as Tables[Kind])
  return { kind, object: change.kind, [change.kind]: object } as unknown as WatchEvent
}

function actionOf({ before, after }: Change): ActionKind {
  if (before === undefined) return ActionKind.CREATE
  return after === undefined ? ActionKind.DELETE : ActionKind.UPDATE
}
