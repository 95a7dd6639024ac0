import {
  type Service,
  type Task,
  TaskState,
  type UpdateConfig,
  UpdateFailureAction,
  UpdateOrder,
  UpdateState,
} from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import { isDirty } from './dirty.ts'
import { appliedAtMs, type Draft, onDrainedNode } from './draft.ts'
import { mayRestart } from './restart.ts'
import { isRunning, isStopped, newest, type Slot, wanted } from './slots.ts'

// A rolling update as a step over what is stored (rows UP-01 … UP-22), so that any leader goes on with it: which slots
// are still dirty, which hold a task of the new version, and when that task first ran. A slot occupies one of
// `parallelism` workers until its new task ran or ended, and for `delay` after. The ratio of failures is taken over the
// slots the update has or will have touched.

/** What the update has done to one slot. */
interface Progress {
  readonly slot: Slot
  readonly dirty: boolean
  /** When its new task first ran or ended; undefined while it is under way or untouched. */
  readonly doneAtMs: number | undefined
  readonly underWay: boolean
  readonly failed: Task | undefined
}

/** One step of the service's update. `slots` are those that may be changed now. */
export function stepUpdate(draft: Draft, slots: readonly Slot[]): void {
  const state = draft.service.updateStatus?.state ?? UpdateState.UPDATE_NONE
  if (state === UpdateState.UPDATE_PAUSED || state === UpdateState.ROLLBACK_PAUSED) return
  const rollingBack = state === UpdateState.ROLLBACK_STARTED
  const inProgress = rollingBack || state === UpdateState.UPDATING
  const config = rollingBack ? draft.service.spec?.rollback : draft.service.spec?.update
  const progress = slots.map(slot => progressOf(draft, slot, rollingBack, config))
  if (!inProgress) {
    if (progress.some(p => p.dirty)) start(draft, UpdateState.UPDATING, 'update in progress')
    return
  }
  if (tooManyFailures(draft, progress, config, rollingBack)) return
  if (!progress.some(p => p.dirty || p.underWay)) complete(draft, progress, config, rollingBack)
  else startSlots(draft, progress, config)
}

/** Ends what a finished slot no longer needs: with a current task running the others go (rows UP-07, UP-09). */
export function settleSlot(draft: Draft, slot: Slot): void {
  const live = wanted(slot).filter(task => !isStopped(task))
  if (live.length < 2) return
  const staying = live.filter(task => !onDrainedNode(draft, task))
  const clean = staying.filter(task => !isDirtyNow(draft, task))
  // Two that an abandoned start-first update left are one too many, even while a newer one is paused.
  const keep =
    clean.findLast(isRunning) ??
    (clean.length === live.length ? clean.at(-1) : undefined) ??
    (clean.length === 0 ? staying.findLast(isRunning) : undefined)
  if (!keep) return
  for (const task of live) if (task !== keep) draft.desire(task, TaskState.SHUTDOWN)
}

function progressOf(
  draft: Draft,
  slot: Slot,
  rollingBack: boolean,
  config: UpdateConfig | null | undefined,
): Progress {
  const version = draft.service.meta?.specVersion ?? 0
  const made = slot.tasks.filter(task => task.specVersion === version)
  const live = wanted(slot)
  const doneTimes = made.flatMap(task => reachedAtMs(task) ?? [])
  const underWay =
    doneTimes.length === 0 && live.some(t => t.specVersion === version && !isStopped(t))
  const current = live.some(task => !isDirtyNow(draft, task))
  const last = newest(slot)
  // Row UP-04: what ended for good is run again by an update, but not by a rollback.
  const ended =
    live.length === 0 && !rollingBack && last !== undefined && !mayRestart(last, slot.tasks)
  const dirty = live.length > 0 ? !current : ended && last !== undefined && isDirtyNow(draft, last)
  const first = made[0]
  return {
    slot,
    dirty,
    underWay,
    doneAtMs: doneTimes.length > 0 ? Math.min(...doneTimes) : undefined,
    failed: first && hasFailed(first, config?.monitorMs ?? 0) ? first : undefined,
  }
}

function isDirtyNow(draft: Draft, task: Task): boolean {
  return isDirty(task, draft.service, draft.node(task.nodeId))
}

/** When a task reached RUNNING or went beyond it (row UP-10). */
function reachedAtMs(task: Task): number | undefined {
  if (task.status?.runningAtMs) return task.status.runningAtMs
  return observedState(task) >= TaskState.RUNNING ? appliedAtMs(task) : undefined
}

/**
 * Row UP-11: it ended before it ran, or within `monitorMs` of running. A task the managers stopped (SHUTDOWN) or lost
 * with its node (ORPHANED) says nothing about the new version, so, unlike Swarm, it does not count.
 */
function hasFailed(task: Task, monitorMs: number): boolean {
  const state = observedState(task)
  if (state <= TaskState.RUNNING || state === TaskState.SHUTDOWN || state === TaskState.ORPHANED)
    return false
  const ranAtMs = task.status?.runningAtMs ?? 0
  return ranAtMs === 0 || appliedAtMs(task) - ranAtMs <= monitorMs
}

/** Acts on failures beyond the ratio (rows UP-12 … UP-16). True when the update is no longer in progress. */
function tooManyFailures(
  draft: Draft,
  progress: readonly Progress[],
  config: UpdateConfig | null | undefined,
  rollingBack: boolean,
): boolean {
  const action = config?.failureAction ?? UpdateFailureAction.FAILURE_PAUSE
  if (action === UpdateFailureAction.FAILURE_CONTINUE) return false
  const failures = progress.flatMap(p => p.failed ?? [])
  const touched = progress.filter(p => p.dirty || p.underWay || p.doneAtMs !== undefined).length
  const failed = failures[0]
  if (!failed || failures.length / Math.max(1, touched) <= (config?.maxFailureRatio ?? 0))
    return false
  const why = `due to failure or early termination of task ${failed.id}`
  const { service } = draft
  if (rollingBack) {
    finish(draft, UpdateState.ROLLBACK_PAUSED, `rollback paused ${why}`, false)
  } else if (action === UpdateFailureAction.FAILURE_PAUSE) {
    finish(draft, UpdateState.UPDATE_PAUSED, `update paused ${why}`, false)
  } else if (!service.previousSpec) {
    const text = `update paused ${why}; cannot roll back: no previous spec is kept`
    finish(draft, UpdateState.UPDATE_PAUSED, text, false)
  } else {
    rollBack(draft, service, `update rolled back ${why}`)
  }
  return true
}

/** Row UP-15. The present spec becomes the previous one's; the tasks still on it count as current by their content. */
function rollBack(draft: Draft, service: Service, message: string): void {
  draft.rolledBack = true
  draft.setService({
    ...service,
    spec: service.previousSpec,
    previousSpec: null,
    previousSpecVersion: 0,
  })
  start(draft, UpdateState.ROLLBACK_STARTED, message)
}

function start(draft: Draft, state: UpdateState, message: string): void {
  draft.setService({
    ...draft.service,
    updateStatus: { state, startedAtMs: draft.nowMs, completedAtMs: 0, message },
  })
}

function finish(draft: Draft, state: UpdateState, message: string, completed: boolean): void {
  const { service, nowMs } = draft
  draft.setService({
    ...service,
    updateStatus: {
      state,
      startedAtMs: service.updateStatus?.startedAtMs ?? nowMs,
      completedAtMs: completed ? nowMs : 0,
      message,
    },
  })
}

/** Row UP-17: one more monitoring period after the last slot. */
function complete(
  draft: Draft,
  progress: readonly Progress[],
  config: UpdateConfig | null | undefined,
  rollingBack: boolean,
): void {
  const delayMs = config?.delayMs ?? 0
  const monitorMs = config?.monitorMs ?? 0
  const lastMs = Math.max(-Infinity, ...progress.flatMap(p => p.doneAtMs ?? []))
  const atMs = lastMs + (delayMs >= monitorMs && delayMs > 0 ? delayMs + 1_000 : monitorMs)
  if (draft.nowMs < atMs) draft.due(atMs)
  else if (rollingBack) finish(draft, UpdateState.ROLLBACK_COMPLETED, 'rollback completed', true)
  else finish(draft, UpdateState.UPDATE_COMPLETED, 'update completed', true)
}

function startSlots(
  draft: Draft,
  progress: readonly Progress[],
  config: UpdateConfig | null | undefined,
): void {
  const delayMs = config?.delayMs ?? 0
  const parallelism = config?.parallelism ?? 1
  let free = parallelism === 0 ? Infinity : parallelism
  for (const { doneAtMs, underWay, dirty } of progress) {
    const restingUntilMs = doneAtMs === undefined ? -Infinity : doneAtMs + delayMs
    if (underWay) free -= 1
    else if (!dirty && draft.nowMs < restingUntilMs) {
      free -= 1
      draft.due(restingUntilMs)
    }
  }
  const startFirst = config?.order === UpdateOrder.START_FIRST
  for (const { slot, dirty, underWay, doneAtMs } of progress) {
    // One that was tried and failed beside its predecessor is the restart policy's, not the update's.
    if (!dirty || underWay || doneAtMs !== undefined || free <= 0) continue
    free -= 1
    replaceSlot(draft, slot, startFirst)
  }
}

/** Rows UP-08, UP-09. */
function replaceSlot(draft: Draft, slot: Slot, startFirst: boolean): void {
  const live = wanted(slot)
  if (!startFirst) for (const task of live) draft.desire(task, TaskState.SHUTDOWN)
  const waits = !startFirst && slot.tasks.some(task => !isStopped(task))
  draft.create({
    slot: slot.slot,
    nodeId: slot.nodeId,
    desired: waits ? TaskState.READY : TaskState.RUNNING,
    startAfterMs: 0,
  })
  draft.causes.push('update')
}
