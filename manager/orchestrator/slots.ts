import { type Task, TaskState } from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import type { Draft } from './draft.ts'

/** The tasks of one place of a service: a slot number, or for global services a node. Oldest first (row TS-13). */
export interface Slot {
  readonly slot: number
  /** Set for global services only. */
  readonly nodeId: string
  /** Tasks that are not on their way out for good (desired REMOVE). Never empty. */
  readonly tasks: readonly Task[]
  /** Tasks told to be removed that are not seen stopped yet. */
  readonly leaving: readonly Task[]
}

/** Groups the draft's tasks, in order of slot number and node id. A slot with only leaving tasks is not listed. */
export function slotsOf(draft: Draft, global: boolean): readonly Slot[] {
  const groups = new Map<string | number, { tasks: Task[]; leaving: Task[] }>()
  for (const task of draft.tasks) {
    const key = global ? task.nodeId : task.slot
    const group = groups.get(key) ?? { tasks: [], leaving: [] }
    groups.set(key, group)
    if (task.desiredState < TaskState.REMOVE) group.tasks.push(task)
    else if (!isStopped(task)) group.leaving.push(task)
  }
  return [...groups.values()]
    .filter(group => group.tasks.length > 0)
    .map(({ tasks, leaving }) => {
      tasks.sort(byAge)
      return {
        slot: global ? 0 : (tasks[0]?.slot ?? 0),
        nodeId: global ? (tasks[0]?.nodeId ?? '') : '',
        tasks,
        leaving,
      }
    })
    .sort((a, b) => a.slot - b.slot || (a.nodeId < b.nodeId ? -1 : 1))
}

/** Oldest first. */
export function byAge(a: Task, b: Task): number {
  return a.createdOrder - b.createdOrder || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

/** Tasks of the slot that are meant to run, whatever has become of them. */
export function wanted(slot: Slot): readonly Task[] {
  return slot.tasks.filter(task => task.desiredState <= TaskState.RUNNING)
}

export function newest(slot: Slot): Task | undefined {
  return slot.tasks.at(-1)
}

/** Whether the task was seen to end; its container does not run any more. */
export function isStopped(task: Task): boolean {
  return observedState(task) > TaskState.RUNNING
}

export function isRunning(task: Task): boolean {
  return observedState(task) === TaskState.RUNNING
}
