import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { DnsMetrics, DnsResult } from './dns/server.ts'
import type { KernelState } from './kernel.ts'
import type { NetworkPlan } from './plan.ts'

const FAST_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
const IO_S = [
  0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 5,
]
/** Query types that get a label value of their own; a client could ask any of 65,536. */
const KNOWN_TYPES = new Set(['A', 'AAAA', 'PTR', 'SRV', 'MX', 'TXT', 'NS', 'SOA', 'CNAME', 'ANY'])

/** Parts of one programming pass: devices with their forwarding and neighbour entries; filter; engine; names. */
export type SyncKind = 'fdb' | 'firewall' | 'engine' | 'dns'

/** The network half's numbers, in the node's registry. */
export class NetworkMetrics implements DnsMetrics {
  readonly #networks: Gauge
  readonly #peers: Gauge<'network'>
  readonly #fdbEntries: Gauge<'network'>
  readonly #traffic: readonly Counter<'network'>[]
  readonly #syncSeconds: Histogram<'kind'>
  readonly #syncErrors: Counter<'kind'>
  readonly #repairs: Counter<'kind'>
  readonly #queries: Counter<'type' | 'result'>
  readonly #querySeconds: Histogram<'result'>
  readonly #malformed: Counter

  constructor(registry: Registry) {
    const registers = [registry]
    const perNetwork = (name: string, help: string) => ({
      name,
      help,
      labelNames: ['network'] as const,
      registers,
    })
    const perKind = (name: string, help: string) => ({
      name,
      help,
      labelNames: ['kind'] as const,
      registers,
    })
    this.#networks = new Gauge({
      name: 'skein_overlay_networks',
      help: 'Overlays active on this node',
      registers,
    })
    this.#peers = new Gauge(perNetwork('skein_overlay_peers', 'Remote nodes known on an overlay'))
    this.#fdbEntries = new Gauge(
      perNetwork('skein_overlay_fdb_entries', 'Forwarding entries programmed'),
    )
    this.#traffic = [
      perNetwork('skein_overlay_receive_bytes_total', 'Bytes out of the tunnel'),
      perNetwork('skein_overlay_transmit_bytes_total', 'Bytes into the tunnel'),
      perNetwork('skein_overlay_receive_errors_total', 'Errors and drops out of the tunnel'),
      perNetwork('skein_overlay_transmit_errors_total', 'Errors and drops into the tunnel'),
    ].map(options => new Counter(options))
    this.#syncSeconds = new Histogram({
      ...perKind('skein_dataplane_sync_duration_seconds', 'One programming pass'),
      buckets: IO_S,
    })
    this.#syncErrors = new Counter(
      perKind('skein_dataplane_sync_errors_total', 'Failed programming passes'),
    )
    this.#repairs = new Counter(
      perKind(
        'skein_dataplane_repairs_total',
        'Differences put right that no change of the table explains',
      ),
    )
    this.#queries = new Counter({
      name: 'skein_dns_queries_total',
      help: 'Queries by type and result',
      labelNames: ['type', 'result'],
      registers,
    })
    this.#querySeconds = new Histogram({
      name: 'skein_dns_query_duration_seconds',
      help: 'Time to answer',
      labelNames: ['result'],
      buckets: FAST_S,
      registers,
    })
    this.#malformed = new Counter({
      name: 'skein_dns_malformed_total',
      help: 'Messages that were no question',
      registers,
    })
  }

  /** What the kernel has now. Counters restart with their devices; Prometheus takes that for a reset. */
  observeKernel(networks: readonly NetworkPlan[], kernel: KernelState): void {
    this.#networks.set(networks.length)
    for (const metric of [this.#peers, this.#fdbEntries, ...this.#traffic]) metric.reset()
    for (const { name: network, vxlan, stations } of networks) {
      this.#peers.set({ network }, new Set(stations.map(({ via }) => via)).size)
      this.#fdbEntries.set({ network }, kernel.fdb.get(vxlan)?.self.size ?? 0)
      const counters = kernel.links.get(vxlan)?.counters
      if (counters === undefined) continue
      const { receiveBytes, transmitBytes, receiveErrors, transmitErrors } = counters
      for (const [index, value] of [
        receiveBytes,
        transmitBytes,
        receiveErrors,
        transmitErrors,
      ].entries())
        this.#traffic[index]?.inc({ network }, value)
    }
  }

  synced(kind: SyncKind, durationMs: number, ok: boolean): void {
    this.#syncSeconds.observe({ kind }, durationMs / 1000)
    if (!ok) this.#syncErrors.inc({ kind })
  }

  repaired(kind: SyncKind, count: number): void {
    this.#repairs.inc({ kind }, count)
  }

  query(type: string, result: DnsResult, durationMs: number): void {
    this.#queries.inc({ type: KNOWN_TYPES.has(type) ? type : 'other', result })
    this.#querySeconds.observe({ result }, durationMs / 1000)
  }

  malformed(): void {
    this.#malformed.inc()
  }
}
