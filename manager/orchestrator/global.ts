import { type Node, NodeAvailability, NodeState, TaskState } from '../../proto/index.ts'
import { nodeMatches } from './constraints.ts'
import type { Draft } from './draft.ts'
import { isStopped, type Slot, slotsOf, wanted } from './slots.ts'

/**
 * One task on every node that satisfies the constraints and is not drained (row SV-05). Tasks on a DOWN node are left
 * alone, unlike Swarm's: there is no other place for them, and a node that was only cut off keeps its containers.
 */
export function cover(draft: Draft): void {
  const slots = new Map(slotsOf(draft, true).map(slot => [slot.nodeId, slot]))
  for (const [nodeId, slot] of slots) {
    const node = draft.node(nodeId)
    if (node && belongs(draft, node)) continue
    const desired = node ? TaskState.SHUTDOWN : TaskState.REMOVE
    for (const task of node ? wanted(slot) : slot.tasks) draft.desire(task, desired)
  }
  const busy = new Set(draft.tasks.filter(task => !isStopped(task)).map(task => task.nodeId))
  for (const node of draft.situation.nodes.values()) {
    if (slots.has(node.id) || !belongs(draft, node) || !takesChanges(node)) continue
    const desired = busy.has(node.id) ? TaskState.READY : TaskState.RUNNING
    draft.create({ slot: 0, nodeId: node.id, desired, startAfterMs: 0 })
  }
}

/** Whether a slot's tasks may be restarted or updated now: its node is there, ACTIVE and wanted (row UP-22). */
export function isServiceable(draft: Draft, slot: Slot): boolean {
  const node = draft.node(slot.nodeId)
  return node !== undefined && belongs(draft, node) && takesChanges(node)
}

function belongs(draft: Draft, node: Node): boolean {
  return node.spec?.availability !== NodeAvailability.DRAIN && nodeMatches(draft.service, node)
}

function takesChanges(node: Node): boolean {
  return (
    node.status?.state === NodeState.NODE_READY &&
    (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE
  )
}
