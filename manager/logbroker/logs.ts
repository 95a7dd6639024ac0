import { Counter, Gauge, type Registry } from 'prom-client'
import type { StreamFrame, StreamRequest } from '../../proto/index.ts'
import type { HandlersOf } from '../../proto/service.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Duplex } from '../../runtime/duplex.ts'
import type { Log } from '../../runtime/log.ts'
import type { Random } from '../../runtime/random.ts'
import type { Store } from '../state/store/types.ts'
import { LogSubscription } from './subscription.ts'
import { resolveTargets } from './targets.ts'

export interface LogsDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly registry: Registry
  /**
   * Asks a node, by way of its session, to answer `request` on a stream. Part of the leader's dispatcher.
   * @throws StatusError FailedPrecondition on a manager that does not lead, Unavailable when the node has no session
   */
  readonly openStream: (
    nodeId: string,
    request: StreamRequest,
  ) => Promise<Duplex<StreamFrame, StreamFrame>>
}

/** The handlers of service Logs. Nothing is kept in the managers: lines go from nodes to the reader (Swarm row LG-01). */
export function logsHandlers(deps: LogsDeps): HandlersOf<'Logs'> {
  const metrics = logMetrics(deps.registry)
  return {
    subscribe(request, outlet) {
      const targets = deps.store.view(tx => resolveTargets(tx, request.targets))
      const subscription = new LogSubscription(deps, targets, request.query, outlet, bytes =>
        metrics.bytes.inc(bytes),
      )
      metrics.clients.inc({ kind: 'logs' })
      outlet.onEnd(() => {
        metrics.clients.dec({ kind: 'logs' })
        subscription.stop()
      })
      subscription.start()
    },
  }
}

function logMetrics(registry: Registry): { bytes: Counter; clients: Gauge<'kind'> } {
  const bytes = registry.getSingleMetric('skein_log_broker_bytes_total') as Counter | undefined
  const clients = registry.getSingleMetric('skein_stream_clients') as Gauge<'kind'> | undefined
  return {
    bytes:
      bytes ??
      new Counter({
        name: 'skein_log_broker_bytes_total',
        help: 'Log bytes relayed',
        registers: [registry],
      }),
    clients:
      clients ??
      new Gauge({
        name: 'skein_stream_clients',
        help: 'Open live streams',
        labelNames: ['kind'],
        registers: [registry],
      }),
  }
}
