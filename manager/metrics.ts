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

/** Help texts of everything the leading manager's loops count. */
const HELP = {
  skein_reconcile_duration_seconds: 'One pass of a control loop',
  skein_reconcile_total: 'Passes of a control loop by result (ok, error)',
  skein_reconcile_queue_length: 'Objects a control loop has yet to look at',
  skein_updates_in_progress: 'Rolling updates running',
  skein_updates_total: 'Finished updates by kind (update, rollback) and result',
  skein_update_duration_seconds: 'Length of a finished update',
  skein_task_restarts_total: 'Replacement tasks by cause',
  skein_tasks_reaped_total: 'History tasks deleted',
  skein_allocator_pending: 'Objects waiting for allocation',
  skein_allocator_failures_total: 'Failed allocations by kind and reason',
  skein_allocator_published_ports: 'Published ports held',
  skein_allocator_vnis: 'VXLAN ids held',
  skein_scheduler_attempts_total: 'Placement attempts by result (placed, unplaceable, conflict)',
  skein_scheduler_pass_duration_seconds: 'One scheduling pass',
  skein_scheduler_pass_tasks: 'Tasks considered in one pass',
  skein_scheduler_pending_tasks:
    'Tasks that cannot be placed, by the filter that refused most nodes',
  skein_scheduler_oldest_pending_seconds: 'Age of the oldest unplaced task',
  skein_scheduler_filter_rejections_total: 'Nodes refused by a filter',
  skein_scheduler_feasible_nodes: 'Nodes left after filtering, per decision',
  skein_dispatcher_sessions: 'Connected agents',
  skein_dispatcher_session_ends_total: 'Ended sessions by reason',
  skein_dispatcher_heartbeats_total: 'Heartbeats by result (ok, late, unknown_session)',
  skein_dispatcher_heartbeat_lateness_seconds: 'Arrival after the promised time',
  skein_dispatcher_nodes_down_total: 'Nodes marked down by reason',
  skein_dispatcher_assignments_total: 'Assignment messages by type (complete, incremental)',
  skein_dispatcher_assignment_changes_total: 'Items in assignments',
  skein_dispatcher_assignment_delay_seconds: 'From a commit until it was written to the session',
  skein_dispatcher_status_updates_total: 'Task status updates received by result',
  skein_dispatcher_status_batch_tasks: 'Task updates per committed batch',
  skein_task_phase_duration_seconds: "The leader's view of a task: schedule, start, total",
} as const
export type MetricName = keyof typeof HELP

/** The labels of one series. The same metric must always be given the same label names. */
export type Labels = Readonly<Record<string, string>>

/** Adds `by` to a counter of the table above. */
export function outcome(registry: Registry, name: MetricName, labels: Labels = {}, by = 1): void {
  const found = registry.getSingleMetric(name) as Counter | undefined
  const counter =
    found ??
    new Counter({ name, help: HELP[name], labelNames: Object.keys(labels), registers: [registry] })
  counter.inc(labels, by)
}

/** Sets a gauge of the table above. */
export function level(
  registry: Registry,
  name: MetricName,
  value: number,
  labels: Labels = {},
): void {
  gauge(registry, name, HELP[name], Object.keys(labels)).set(labels, value)
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
  name: MetricName,
  buckets: readonly number[],
  labels: Labels = {},
): { observe(value: number): void } {
  const found = registry.getSingleMetric(name) as Histogram | undefined
  const histogram =
    found ??
    new Histogram({
      name,
      help: HELP[name],
      labelNames: Object.keys(labels),
      buckets: [...buckets],
      registers: [registry],
    })
  return histogram.labels(labels)
}
