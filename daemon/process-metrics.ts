import { Gauge, collectDefaultMetrics, type Registry } from 'prom-client'
import { VERSION } from './version.ts'

/** Gauges that prom-client names like counters; promtool refuses them, and they say nothing that others do not. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
]

/** What the process itself shows: Node's own series, and which build this is. */
export function processMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  const build = new Gauge({
    name: 'skein_build_info',
    help: 'Build of this process, always 1',
    labelNames: ['version', 'node_version'],
    registers: [registry],
  })
  build.set({ version: VERSION, node_version: process.version }, 1)
}
