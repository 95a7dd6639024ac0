import { Counter, Histogram, type Registry } from 'prom-client'

const METHOD = ['grpc_type', 'grpc_service', 'grpc_method'] as const
type MethodLabel = (typeof METHOD)[number]
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** What a server counts of one method. */
export interface MethodMetrics {
  started(): void
  /** `code` is the status' name, OK when it succeeded; `seconds` since started(). */
  handled(code: string, seconds: number): void
  received(): void
  sent(): void
}

/** The de-facto gRPC server metrics, one set in each registry. */
export function serverMetrics(registry: Registry): (type: string, path: string) => MethodMetrics {
  const started = counter(registry, 'grpc_server_started_total', 'RPCs started', METHOD)
  const handled = counter(registry, 'grpc_server_handled_total', 'RPCs finished', [
    ...METHOD,
    'grpc_code',
  ] as const)
  const received = counter(
    registry,
    'grpc_server_msg_received_total',
    'Stream messages received',
    METHOD,
  )
  const sent = counter(registry, 'grpc_server_msg_sent_total', 'Stream messages sent', METHOD)
  const seconds =
    (registry.getSingleMetric('grpc_server_handling_seconds') as
      | Histogram<MethodLabel>
      | undefined) ??
    new Histogram({
      name: 'grpc_server_handling_seconds',
      help: 'Unary RPC latency',
      labelNames: METHOD,
      buckets: SECONDS,
      registers: [registry],
    })

  return (type, path) => {
    const [, service = '', method = ''] = path.split('/')
    const labels = { grpc_type: type, grpc_service: service, grpc_method: method }
    return {
      started: () => started.inc(labels),
      handled(code, took) {
        handled.inc({ ...labels, grpc_code: code })
        if (type === 'unary') seconds.observe(labels, took)
      },
      received: () => received.inc(labels),
      sent: () => sent.inc(labels),
    }
  }
}

function counter<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[],
): Counter<L> {
  const known = registry.getSingleMetric(name) as Counter<L> | undefined
  return known ?? new Counter({ name, help, labelNames: [...labelNames], registers: [registry] })
}
