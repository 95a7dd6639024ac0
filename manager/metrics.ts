import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

// Metrics outlive a term of leadership and several loops share them, so each use site gets or creates by name; this
// table is the one place that knows their help texts and labels.

/** Upper bounds in seconds, chosen from what was measured on small clusters. */
export const FAST = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
export const IO = [
  0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 5,
]
export const LONG = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1_800]
export const SIZE = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

/** A task's phases, from a few milliseconds in the managers to minutes of pulling. */
export const PHASE_SECONDS = [0.005, 0.025, ...LONG]

/** Everything the leading manager's loops count: what it is, and the labels every use must give. */
export const LEADER_METRICS = {
  skein_reconcile_duration_seconds: {
    type: 'histogram',
    help: 'One pass of a control loop',
    labels: ['controller'],
  },
  skein_reconcile_total: {
    type: 'counter',
    help: 'Passes of a control loop by result (ok, error)',
    labels: ['controller', 'result'],
  },
  skein_updates_in_progress: { type: 'gauge', help: 'Rolling updates running', labels: [] },
  skein_updates_total: {
    type: 'counter',
    help: 'Finished updates by kind (update, rollback) and result',
    labels: ['kind', 'result'],
  },
  skein_update_duration_seconds: {
    type: 'histogram',
    help: 'Length of a finished update',
    labels: ['result'],
  },
  skein_task_restarts_total: {
    type: 'counter',
    help: 'Replacement tasks by cause',
    labels: ['cause'],
  },
  skein_tasks_reaped_total: { type: 'counter', help: 'History tasks deleted', labels: [] },
  skein_allocator_pending: {
    type: 'gauge',
    help: 'Objects waiting for allocation',
    labels: ['kind'],
  },
  skein_allocator_failures_total: {
    type: 'counter',
    help: 'Failed allocations by kind and reason',
    labels: ['kind', 'reason'],
  },
  skein_scheduler_attempts_total: {
    type: 'counter',
    help: 'Placement attempts by result (placed, unplaceable, conflict)',
    labels: ['result'],
  },
  skein_scheduler_pass_duration_seconds: {
    type: 'histogram',
    help: 'One scheduling pass',
    labels: [],
  },
  skein_scheduler_pass_tasks: {
    type: 'histogram',
    help: 'Tasks considered in one pass',
    labels: [],
  },
  skein_scheduler_pending_tasks: {
    type: 'gauge',
    help: 'Tasks that cannot be placed, by the filter that refused most nodes',
    labels: ['reason'],
  },
  skein_scheduler_oldest_pending_seconds: {
    type: 'gauge',
    help: 'Age of the oldest unplaced task',
    labels: [],
  },
  skein_scheduler_filter_rejections_total: {
    type: 'counter',
    help: 'Nodes refused by a filter',
    labels: ['filter'],
  },
  skein_scheduler_feasible_nodes: {
    type: 'histogram',
    help: 'Nodes left after filtering, per decision',
    labels: [],
  },
  skein_dispatcher_sessions: { type: 'gauge', help: 'Connected agents', labels: [] },
  skein_dispatcher_session_ends_total: {
    type: 'counter',
    help: 'Ended sessions by reason',
    labels: ['reason'],
  },
  skein_dispatcher_heartbeats_total: {
    type: 'counter',
    help: 'Heartbeats by result (ok, late, unknown_session)',
    labels: ['result'],
  },
  skein_dispatcher_heartbeat_lateness_seconds: {
    type: 'histogram',
    help: 'Arrival after the promised time',
    labels: [],
  },
  skein_dispatcher_nodes_down_total: {
    type: 'counter',
    help: 'Nodes marked down by reason',
    labels: ['reason'],
  },
  skein_dispatcher_assignments_total: {
    type: 'counter',
    help: 'Assignment messages by type (complete, incremental)',
    labels: ['type'],
  },
  skein_dispatcher_assignment_changes_total: {
    type: 'counter',
    help: 'Items in assignments',
    labels: ['kind', 'action'],
  },
  skein_dispatcher_assignment_delay_seconds: {
    type: 'histogram',
    help: 'From a commit until it was written to the session',
    labels: [],
  },
  skein_dispatcher_status_updates_total: {
    type: 'counter',
    help: 'Task status updates received by result',
    labels: ['result'],
  },
  skein_dispatcher_status_batch_tasks: {
    type: 'histogram',
    help: 'Task updates per committed batch',
    labels: [],
  },
  skein_task_phase_duration_seconds: {
    type: 'histogram',
    help: "The leader's view of a task: schedule, start, total",
    labels: ['phase'],
  },
} as const satisfies Readonly<Record<string, Described>>
export type MetricName = keyof typeof LEADER_METRICS
type NameOf<T extends Described['type']> = {
  [N in MetricName]: (typeof LEADER_METRICS)[N]['type'] extends T ? N : never
}[MetricName]

interface Described {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
}

/** The labels of one series: those of the table, no more, no less. */
export type Labels = Readonly<Record<string, string>>

/** Adds `by` to a counter of the table above. */
export function outcome(
  registry: Registry,
  name: NameOf<'counter'>,
  labels: Labels = {},
  by = 1,
): void {
  const found = registry.getSingleMetric(name) as Counter | undefined
  const counter = found ?? new Counter({ ...declared(name), registers: [registry] })
  counter.inc(labels, by)
}

/** Sets a gauge of the table above. */
export function level(
  registry: Registry,
  name: NameOf<'gauge'>,
  value: number,
  labels: Labels = {},
): void {
  const { help, labelNames } = declared(name)
  gauge(registry, name, help, labelNames).set(labels, value)
}

/** A gauge by name, made when it is not there. */
export function gauge(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
): Gauge {
  const found = registry.getSingleMetric(name) as Gauge | undefined
  return found ?? new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] })
}

/** A histogram of the table above, bound to its labels. */
export function duration(
  registry: Registry,
  name: NameOf<'histogram'>,
  buckets: readonly number[],
  labels: Labels = {},
): { observe(value: number): void } {
  const found = registry.getSingleMetric(name) as Histogram | undefined
  const histogram =
    found ??
    new Histogram({
      ...declared(name),
      buckets: [...buckets],
      registers: [registry],
    })
  return histogram.labels(labels)
}

function declared(name: MetricName): { name: string; help: string; labelNames: string[] } {
  const { help, labels } = LEADER_METRICS[name]
  return { name, help, labelNames: [...labels] }
}
