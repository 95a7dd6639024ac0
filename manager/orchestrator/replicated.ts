import { TaskState } from '../../proto/index.ts'
import type { Draft } from './draft.ts'
import { isRunning, type Slot, slotsOf, wanted } from './slots.ts'

/**
 * Makes as many slots as the service has replicas (rows SV-04, RS-13, RS-14). A slot whose task ended for good by its
 * restart policy counts: it has done what it was asked for.
 */
export function scale(draft: Draft): void {
  const replicas =
    draft.service.spec?.mode === 'replicated' ? draft.service.spec.replicated.replicas : 1
  const slots = slotsOf(draft, false)
  if (slots.length < replicas) fill(draft, slots, replicas - slots.length)
  else if (slots.length > replicas) shrink(draft, slots, slots.length - replicas)
}

function fill(draft: Draft, slots: readonly Slot[], missing: number): void {
  const used = new Set(slots.map(slot => slot.slot))
  const busy = new Set(
    draft.tasks
      .filter(task => (task.status?.state ?? 0) <= TaskState.RUNNING)
      .map(task => task.slot),
  )
  for (let slot = 1, made = 0; made < missing; slot++) {
    if (used.has(slot)) continue
    // A removed task may still be stopping in the slot: its successor is prepared and waits.
    const desired = busy.has(slot) ? TaskState.READY : TaskState.RUNNING
    draft.create({ slot, nodeId: '', desired, startAfterMs: 0 })
    made += 1
  }
}

/**
 * Takes slots without a running task first, then those on the nodes that hold most tasks of the service, round by
 * round; of equals the higher number (row RS-13).
 */
function shrink(draft: Draft, slots: readonly Slot[], excess: number): void {
  const idle = slots.filter(slot => !wanted(slot).some(isRunning))
  const victims = idle.toSorted((a, b) => b.slot - a.slot).slice(0, excess)
  const perNode = new Map<string, Slot[]>()
  for (const slot of slots) {
    if (idle.includes(slot)) continue
    const node = wanted(slot).find(isRunning)?.nodeId ?? ''
    const there = perNode.get(node)
    if (there) there.push(slot)
    else perNode.set(node, [slot])
  }
  while (victims.length < excess) {
    const fullest = [...perNode.values()].reduce((best, next) => (fuller(next, best) ? next : best))
    const victim = fullest.pop()
    if (!victim) break
    victims.push(victim)
  }
  for (const slot of victims) for (const task of slot.tasks) draft.desire(task, TaskState.REMOVE)
}

function fuller(a: readonly Slot[], b: readonly Slot[]): boolean {
  if (a.length !== b.length) return a.length > b.length
  return (a.at(-1)?.slot ?? 0) > (b.at(-1)?.slot ?? 0)
}
