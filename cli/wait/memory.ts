// What a wait remembers between two looks: since when something is so, and failures that history no longer has.
import type { Service, Task } from '../../proto/index.ts'
import { isTerminal, observedState } from '../../services/model/task.ts'
import { type SlotView, hasFailed } from './view.ts'

/** Failures of one kind in a row that show there is no point in waiting. */
export const SAME_FAILURES = 3

/** What is remembered between two looks. */
export interface Memory {
  readonly steadySinceMs: number | undefined
  readonly stuckSinceMs: number | undefined
  /** When a slot was first seen with only stopped tasks, by slot. */
  readonly emptySinceMs: ReadonlyMap<string, number>
  /** Failures in a row since the last success, by slot, newest last; three at most. */
  readonly failures: ReadonlyMap<string, readonly Task[]>
}

export const BLANK: Memory = {
  steadySinceMs: undefined,
  stuckSinceMs: undefined,
  emptySinceMs: new Map(),
  failures: new Map(),
}

/** What is known after a look. Things that are so no longer are forgotten. */
export function remember(
  memory: Memory,
  service: Service,
  slots: readonly SlotView[],
  seen: { readonly isSteady: boolean; readonly isStuck: boolean },
  nowMs: number,
): Memory {
  return {
    steadySinceMs: seen.isSteady ? (memory.steadySinceMs ?? nowMs) : undefined,
    stuckSinceMs: seen.isStuck ? (memory.stuckSinceMs ?? nowMs) : undefined,
    emptySinceMs: emptySince(memory, slots, nowMs),
    failures: failuresOf(memory, slots, service),
  }
}

function emptySince(
  memory: Memory,
  slots: readonly SlotView[],
  nowMs: number,
): ReadonlyMap<string, number> {
  const since = new Map<string, number>()
  for (const slot of slots) {
    const isEmpty =
      !slot.isDone &&
      slot.current.length > 0 &&
      slot.current.every(task => isTerminal(observedState(task)))
    if (isEmpty) since.set(slot.key, memory.emptySinceMs.get(slot.key) ?? nowMs)
  }
  return since
}

/** Adds newly seen failures of the current spec to what is known; history that is cut off meanwhile stays known. */
function failuresOf(
  memory: Memory,
  slots: readonly SlotView[],
  service: Service,
): ReadonlyMap<string, readonly Task[]> {
  const version = service.meta?.specVersion ?? 0
  const failures = new Map<string, readonly Task[]>()
  for (const slot of slots) {
    const seen = slot.current.filter(task => hasFailed(task) && task.specVersion === version)
    const known = memory.failures.get(slot.key) ?? []
    const ids = new Set(seen.map(task => task.id))
    const all = [...known.filter(task => !ids.has(task.id)), ...seen.toReversed()]
    if (all.length > 0) failures.set(slot.key, all.slice(-SAME_FAILURES))
  }
  return failures
}
