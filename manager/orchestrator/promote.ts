import { type Task, TaskState } from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import { createdAtMs, type Draft, onLostNode } from './draft.ts'
import { byAge, isStopped, type Slot } from './slots.ts'

/** How long a prepared task waits at most for its predecessor to stop (row RS-05). */
export const PREDECESSOR_LIMIT_MS = 60_000

/**
 * Lets prepared tasks run (rows RS-03, RS-05, UP-08): desired READY becomes RUNNING when the restart delay is over and
 * every older task of the slot that was told to stop is stopped, on a lost node, or has had a minute.
 */
export function promoteSlot(draft: Draft, slot: Slot): void {
  for (const task of slot.tasks) {
    if (task.desiredState !== TaskState.READY || isStopped(task)) continue
    const readyAtMs = Math.max(task.startAfterMs, 0)
    if (draft.nowMs < readyAtMs) {
      draft.due(readyAtMs)
      continue
    }
    const limitMs = Math.max(createdAtMs(task), readyAtMs) + PREDECESSOR_LIMIT_MS
    if (draft.nowMs >= limitMs || !predecessors(draft, slot, task).length)
      draft.desire(task, TaskState.RUNNING)
    else draft.due(limitMs)
  }
}

function predecessors(draft: Draft, slot: Slot, task: Task): readonly Task[] {
  return [...slot.tasks, ...slot.leaving].filter(
    other =>
      other.id !== task.id &&
      byAge(other, task) < 0 &&
      other.desiredState > TaskState.RUNNING &&
      !isStopped(other) &&
      observedState(other) >= TaskState.ASSIGNED &&
      !onLostNode(draft, other),
  )
}
