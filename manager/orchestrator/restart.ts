import {
  RestartCondition,
  type Task,
  TaskState,
  UpdateOrder,
  UpdateState,
} from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import { isDirty } from './dirty.ts'
import {
  appliedAtMs,
  createdAtMs,
  type Draft,
  onDrainedNode,
  onLostNode,
  type RestartCause,
} from './draft.ts'
import { byAge, isRunning, isStopped, newest, type Slot, wanted } from './slots.ts'

/**
 * Whether the policy replaces `task` now that it ended (rows RS-02, RS-07, RS-08). Attempts are counted from the tasks
 * the slot retains, so that a new leader counts the same; the reaper keeps max_attempts + 1 for that.
 *
 * `siblings`: all tasks of the slot, `task` included.
 */
export function mayRestart(task: Task, siblings: readonly Task[]): boolean {
  const policy = task.spec?.restart
  const condition = policy?.condition ?? RestartCondition.ANY
  if (condition === RestartCondition.NONE) return false
  const completed = observedState(task) === TaskState.COMPLETE
  if (condition === RestartCondition.ON_FAILURE && completed) return false
  const limit = policy?.maxAttempts ?? 0
  if (limit === 0) return true
  const failedAtMs = appliedAtMs(task)
  const windowMs = policy?.windowMs ?? 0
  const restarts = siblings
    .filter(other => other.specVersion === task.specVersion)
    .toSorted(byAge)
    .slice(1)
    .filter(other => windowMs === 0 || createdAtMs(other) > failedAtMs - windowMs)
  return restarts.length < limit
}

/**
 * Ends what has stopped or can no longer be reached in a slot and puts a new task in its place (rows RS-01 … RS-06,
 * RS-11, RS-12). Unlike Swarm a task lost with its node is replaced without the restart delay: it did not fail, and
 * nobody gains by waiting.
 */
export function restartSlot(draft: Draft, slot: Slot, global: boolean): void {
  const live = wanted(slot)
  const dead = live.filter(task => isStopped(task) || (!global && onLostNode(draft, task)))
  const moving = global ? [] : live.filter(t => !dead.includes(t) && onDrainedNode(draft, t))
  const healthy = live.filter(task => !dead.includes(task) && !moving.includes(task))
  if (live.length === 0) {
    revive(draft, slot)
    return
  }
  for (const task of dead) retireDead(draft, slot, task, healthy)
  for (const task of moving) move(draft, slot, task, healthy)
}

/** A slot where nothing is meant to run though its policy would have something run, e.g. after a drain ended. */
function revive(draft: Draft, slot: Slot): void {
  const last = newest(slot)
  if (!last || !mayRestart(last, slot.tasks)) return
  replace(draft, slot, last, { desired: TaskState.READY, startAfterMs: 0, cause: 'exit' })
}

function retireDead(draft: Draft, slot: Slot, task: Task, healthy: readonly Task[]): void {
  const gone = onLostNode(draft, task) || onDrainedNode(draft, task)
  if (!gone && draft.nowMs < task.startAfterMs && healthy.length === 0) {
    // Row RS-06: one that fails before its own delay is over must not make a tight loop.
    draft.due(task.startAfterMs)
    return
  }
  const covered = healthy.some(other => !isDirty(other, draft.service, draft.node(other.nodeId)))
  const replaceIt =
    !covered && mayRestart(task, slot.tasks) && !(healthy.length > 0 && isPaused(draft))
  draft.desire(task, TaskState.SHUTDOWN)
  if (!replaceIt || replacedAlready(draft, slot, task)) return
  const delayMs = gone ? 0 : (task.spec?.restart?.delayMs ?? 0)
  replace(draft, slot, task, {
    desired:
      delayMs === 0 && (onLostNode(draft, task) || isStopped(task))
        ? TaskState.RUNNING
        : TaskState.READY,
    startAfterMs: delayMs === 0 ? 0 : draft.nowMs + delayMs,
    cause: causeOf(draft, task),
  })
}

/** Several tasks of a slot may die at once (after a partition): one replacement is enough. */
function replacedAlready(draft: Draft, slot: Slot, task: Task): boolean {
  const known = new Set(slot.tasks.map(other => other.id))
  return draft.tasks.some(
    other =>
      !known.has(other.id) &&
      other.slot === task.slot &&
      (task.slot !== 0 || other.nodeId === task.nodeId) &&
      other.desiredState <= TaskState.RUNNING,
  )
}

/**
 * Empties a drained node. A service that updates start-first moves start-first too, so that it never runs with fewer
 * replicas than promised; otherwise the replacement waits for the old task to stop, without restart delay (row RS-04).
 */
function move(draft: Draft, slot: Slot, task: Task, healthy: readonly Task[]): void {
  const restarts = mayRestart(task, slot.tasks) && !replacedAlready(draft, slot, task)
  if (healthy.length > 0) {
    if (healthy.some(isRunning) || !isRunning(task)) draft.desire(task, TaskState.SHUTDOWN)
    // An update has made this one already and counts it as done: what stands beside it is not what was asked for.
    const isNew = (other: Task): boolean => !isDirty(other, draft.service, draft.node(other.nodeId))
    if (isNew(task) && !healthy.some(isNew) && restarts && !isPaused(draft))
      replace(draft, slot, task, { desired: TaskState.RUNNING, startAfterMs: 0, cause: 'drain' })
    return
  }
  const startFirst = draft.service.spec?.update?.order === UpdateOrder.START_FIRST
  if (startFirst && restarts && isRunning(task)) {
    replace(draft, slot, task, { desired: TaskState.RUNNING, startAfterMs: 0, cause: 'drain' })
    return
  }
  draft.desire(task, TaskState.SHUTDOWN)
  if (restarts)
    replace(draft, slot, task, { desired: TaskState.READY, startAfterMs: 0, cause: 'drain' })
}

function replace(
  draft: Draft,
  slot: Slot,
  task: Task,
  how: { desired: TaskState; startAfterMs: number; cause: RestartCause },
): void {
  draft.create({
    slot: task.slot,
    nodeId: slot.nodeId,
    desired: how.desired,
    startAfterMs: how.startAfterMs,
  })
  draft.causes.push(how.cause)
}

function isPaused(draft: Draft): boolean {
  const state = draft.service.updateStatus?.state
  return state === UpdateState.UPDATE_PAUSED || state === UpdateState.ROLLBACK_PAUSED
}

function causeOf(draft: Draft, task: Task): RestartCause {
  if (!isStopped(task) || observedState(task) === TaskState.ORPHANED) return 'node_down'
  if (onDrainedNode(draft, task)) return 'drain'
  if (observedState(task) === TaskState.REJECTED) return 'rejected'
  if (task.status?.container?.oomKilled) return 'oom'
  return task.status?.container?.health === 'unhealthy' ? 'unhealthy' : 'exit'
}
