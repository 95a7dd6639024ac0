// Writes docs/metrics.md: every metric this program declares, taken from the registries themselves.
// Run: npx tsx --conditions=development test/tidy/metrics-table.ts
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Registry } from 'prom-client'
import { AgentMetrics } from '../../agent/metrics.ts'
import { NetworkMetrics } from '../../agent/network/metrics.ts'
import { CertificateKeeper } from '../../daemon/certificate-keeper.ts'
import { processMetrics } from '../../daemon/process-metrics.ts'
import { serverMetrics } from '../../daemon/rpc/metrics.ts'
import { caHandlers } from '../../manager/ca/server.ts'
import { collectClusterMetrics } from '../../manager/cluster-metrics.ts'
import { logsHandlers } from '../../manager/logbroker/logs.ts'
import { LEADER_METRICS } from '../../manager/metrics.ts'
import { stateMetrics } from '../../manager/state/metrics.ts'
import { createMemoryStore } from '../../manager/state/store/memory-proposer.ts'
import type { Store } from '../../manager/state/store/types.ts'
import { make } from '../../proto/codec.ts'
import { TaskState, v1 } from '../../proto/index.ts'
import { SimClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { seededRandom } from '../../runtime/random.ts'

export const TABLE_FILE = resolve(import.meta.dirname, '../../docs/metrics.md')

export interface MetricRow {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

const clock = new SimClock()
const random = seededRandom(1)
const unused = (): never => {
  throw new Error('only declared here')
}

/** Every metric, by the page it is on. Those of the process itself are prom-client's and not listed. */
export async function metricRows(): Promise<{ node: MetricRow[]; cluster: MetricRow[] }> {
  const store = createMemoryStore({ clock, random, log: silentLog })
  await fill(store)
  const node = new Registry()
  const deps = { store, clock, random, log: silentLog, registry: node }
  serverMetrics(node)
  new AgentMetrics(node).watchStatusQueue(node, () => 0)
  new NetworkMetrics(node)
  new CertificateKeeper({
    ...deps,
    identity: () => ({ expiresAtMs: 0 }) as never,
    managers: () => [],
    renew: unused,
    renewed: unused,
  })
  stateMetrics(node)
  caHandlers(deps)
  logsHandlers({ ...deps, openStream: unused })
  const leader = Object.entries(LEADER_METRICS).map(([name, metric]) => ({ name, ...metric }))
  const own = new Registry()
  processMetrics(own)
  const build = rowsOf(own).filter(row => row.name.startsWith('skein_'))
  const cluster = new Registry()
  collectClusterMetrics(cluster, store)
  const ordered = (rows: readonly MetricRow[]): MetricRow[] =>
    rows.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return {
    node: ordered([...rowsOf(node), ...build, ...leader]),
    cluster: ordered(rowsOf(cluster)),
  }
}

/** The text of docs/metrics.md. */
export async function metricsTable(): Promise<string> {
  const { node, cluster } = await metricRows()
  return `# Metrics

Made by \`npx tsx --conditions=development test/tidy/metrics-table.ts\` from what the program declares; a test compares. How
to add one: [guides/add-a-metric.md](guides/add-a-metric.md).

## \`/metrics\`: this node
Series of a manager are there while the node is one, those of the leader's loops once it has led. \`process_\` and \`nodejs_\`
series are those of prom-client.

${tableOf(node)}

## \`/metrics/cluster\`: nodes, services, networks and tasks as a manager's store has them
${tableOf(cluster)}
`
}

function rowsOf(registry: Registry): MetricRow[] {
  return registry.getMetricsAsArray().map(metric => {
    // prom-client keeps label names on the metric and leaves them out of its types.
    const { name, help, labelNames } = metric as unknown as MetricRow & { labelNames: string[] }
    return { name, help, labels: labelNames, type: metric.constructor.name.toLowerCase() }
  })
}

function tableOf(rows: readonly MetricRow[]): string {
  const line = ({ name, type, labels, help }: MetricRow): string =>
    `| \`${name}\` | ${type} | ${labels.map(label => `\`${label}\``).join(' ')} | ${help} |`
  return ['| name | type | labels | what |', '|---|---|---|---|', ...rows.map(line)].join('\n')
}

/** One object of each kind that has series. */
async function fill(store: Store): Promise<void> {
  const annotations = (name: string) => ({ name })
  await store.update(tx => {
    tx.create('cluster', make(v1.Cluster, { id: 'c1', spec: { annotations: annotations('c') } }))
    tx.create('node', make(v1.Node, { id: 'n1', spec: {}, description: { hostname: 'h1' } }))
    tx.create(
      'network',
      make(v1.Network, {
        id: 'o1',
        spec: { annotations: annotations('o') },
        subnet: '10.0.0.0/24',
      }),
    )
    tx.create(
      'service',
      make(v1.Service, {
        id: 's1',
        spec: { annotations: annotations('s'), task: { container: {} }, replicated: {} },
        endpoint: { ports: [{ published: 80, target: 80 }] },
      }),
    )
    tx.create(
      'task',
      make(v1.Task, {
        id: 't1',
        serviceId: 's1',
        nodeId: 'n1',
        spec: { container: {} },
        status: { state: TaskState.RUNNING },
        desiredState: TaskState.RUNNING,
      }),
    )
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(TABLE_FILE, await metricsTable())
}
