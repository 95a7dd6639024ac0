import { Loop } from '../../runtime/loop.ts'
import { type Task, type TaskReport, TaskState, type TaskStatus } from '../../proto/index.ts'
import { isTerminal, observedState } from '../../services/model/task.ts'
import { duration, outcome, PHASE_SECONDS, SIZE } from '../metrics.ts'
import type { LeaderDeps } from '../loop.ts'
import type { Tx } from '../state/store/types.ts'

const BATCH_MAX = 500
const DEBOUNCE_MS = 5
/** Reports waiting at most; an agent beyond that loses its session and sends everything anew. */
export const QUEUE_MAX = 20_000

interface Entry {
  readonly nodeId: string
  readonly report: TaskReport
  readonly done: () => void
}

/**
 * Status reports of all agents on their way into the store: one transaction a batch, acknowledged after it is committed
 * (row DP-08). A batch that cannot be written is tried again; the reports of a task stay in order.
 */
export class StatusQueue {
  readonly #deps: LeaderDeps
  readonly #loop: Loop
  #entries: Entry[] = []

  constructor(deps: LeaderDeps) {
    this.#deps = deps
    this.#loop = new Loop({
      name: 'status-queue',
      clock: deps.clock,
      random: deps.random,
      log: deps.log,
      debounceMs: DEBOUNCE_MS,
      pass: () => this.#flush(),
    })
  }

  /** Takes the reports of one message; `done` is called once all of them are in the store. False when full. */
  put(nodeId: string, reports: readonly TaskReport[], done: () => void): boolean {
    if (this.#entries.length + reports.length > QUEUE_MAX) return false
    if (reports.length === 0) {
      done()
      return true
    }
    let left = reports.length
    const one = (): void => {
      left -= 1
      if (left === 0) done()
    }
    for (const report of reports) this.#entries.push({ nodeId, report, done: one })
    this.#loop.trigger()
    return true
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    this.#entries = []
  }

  async #flush(): Promise<void> {
    const { store, clock, registry } = this.#deps
    while (this.#entries.length > 0) {
      const batch = this.#entries.slice(0, BATCH_MAX)
      const results = await store.update(
        tx => batch.map(({ nodeId, report }) => applyReport(tx, nodeId, report, clock.now())),
        { author: 'loop:dispatcher' },
      )
      this.#entries.splice(0, batch.length)
      duration(registry, 'skein_dispatcher_status_batch_tasks', SIZE).observe(batch.length)
      for (const [at, entry] of batch.entries()) {
        const { result, phases } = results[at] ?? { result: 'unknown', phases: [] }
        outcome(registry, 'skein_dispatcher_status_updates_total', { result })
        for (const { phase, ms } of phases)
          duration(registry, 'skein_task_phase_duration_seconds', PHASE_SECONDS, { phase }).observe(
            ms / 1_000,
          )
        if (result === 'foreign') this.#warn(entry)
        entry.done()
      }
    }
  }

  #warn({ nodeId, report }: Entry): void {
    this.#deps.log.warn('a node reported a task that is not its own', {
      node: nodeId,
      task_id: report.taskId,
    })
  }
}

type Result = 'applied' | 'unknown' | 'foreign' | 'stale' | 'unchanged'

interface Applied {
  readonly result: Result
  readonly phases: readonly { readonly phase: string; readonly ms: number }[]
}

function applyReport(tx: Tx, nodeId: string, report: TaskReport, nowMs: number): Applied {
  const task = tx.get('task', report.taskId)
  if (!task) return { result: 'unknown', phases: [] }
  if (task.nodeId !== nodeId) return { result: 'foreign', phases: [] }
  if (!report.status) return { result: 'unchanged', phases: [] }
  const merged = mergeStatus(task, report.status, nowMs)
  if (merged === 'stale' || merged === 'unchanged') return { result: merged, phases: [] }
  tx.update('task', { ...task, status: merged })
  return { result: 'applied', phases: phasesOf(task, merged, nowMs) }
}

/**
 * The status to store (rows DP-09, TS-01): observed states only rise, and what has ended stays as it ended. The managers
 * keep their own clock of changes in it, because agents' clocks need not agree with theirs.
 */
export function mergeStatus(
  task: Task,
  reported: TaskStatus,
  nowMs: number,
): TaskStatus | 'stale' | 'unchanged' {
  const before = task.status
  const state = observedState(task)
  if (reported.state < state || reported.state < TaskState.ASSIGNED) return 'stale'
  if (isTerminal(state) && reported.state !== state) return 'stale'
  const same = reported.state === state
  if (same && before && reported.observedAtMs < before.observedAtMs) return 'stale'
  const runs = reported.state === TaskState.RUNNING
  const merged: TaskStatus = {
    ...reported,
    appliedAtMs: same ? (before?.appliedAtMs ?? nowMs) : nowMs,
    runningAtMs: before?.runningAtMs || (runs ? nowMs : 0),
  }
  return before && sayTheSame(before, merged) ? 'unchanged' : merged
}

function sayTheSame(a: TaskStatus, b: TaskStatus): boolean {
  const bare = (status: TaskStatus): string => JSON.stringify({ ...status, observedAtMs: 0 })
  return bare(a) === bare(b)
}

function phasesOf(task: Task, status: TaskStatus, nowMs: number): Applied['phases'] {
  const ran = task.status?.runningAtMs === 0 && status.runningAtMs !== 0
  const createdAtMs = task.meta?.createdAtMs
  if (!ran || createdAtMs === undefined) return []
  return [{ phase: 'total', ms: nowMs - createdAtMs }]
}
