import {
  type Node,
  NodeAvailability,
  NodeState,
  type Resources,
  type Service,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import { fits, NO_RESOURCES, subtractResources } from '../../services/resource/resource.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import { Reconciler } from '../reconciler.ts'
import type { Change, Tx } from '../state/store/types.ts'
import { nodeMatches } from './constraints.ts'
import { byAge } from './slots.ts'

/** A node DOWN this long gives up its tasks for good (rows TS-10, DP-07). */
export const ORPHAN_AFTER_MS = 24 * 3_600_000

/**
 * Tasks that the node, as it now is, may no longer run (row RS-18): judged in order of age against the service's present
 * constraints and the capacity that is left. Only an ACTIVE node judges; drained ones are emptied anyway.
 */
export function violators(
  node: Node,
  tasks: readonly Task[],
  serviceOf: (id: string) => Service | undefined,
): readonly Task[] {
  const active = (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE
  if (!active || node.status?.state !== NodeState.NODE_READY) return []
  const found: Task[] = []
  let left: Resources = node.description?.resources ?? NO_RESOURCES
  for (const task of tasks.toSorted(byAge)) {
    const state = observedState(task)
    if (state < TaskState.ASSIGNED || state > TaskState.RUNNING) continue
    if (task.desiredState > TaskState.RUNNING) continue
    const need = task.spec?.resources?.reservations ?? null
    const service = serviceOf(task.serviceId)
    if ((service && !nodeMatches(service, node)) || !fits(need, left)) found.push(task)
    else left = subtractResources(left, need)
  }
  return found
}

/** Tasks nobody will ever hear of again: their node was removed, or has been DOWN for a day. */
export function orphans(
  node: Node | undefined,
  tasks: readonly Task[],
  nowMs: number,
): readonly Task[] {
  const lost =
    node === undefined ||
    (node.status?.state === NodeState.DOWN && nowMs - node.status.sinceMs >= ORPHAN_AFTER_MS)
  if (!lost) return []
  return tasks.filter(task => {
    const state = observedState(task)
    return state >= TaskState.ASSIGNED && state <= TaskState.RUNNING
  })
}

/** Applies both to the nodes something happened to. */
export function nodeEnforcer(deps: LeaderDeps): LeaderLoop {
  const { store, clock } = deps
  const dirty = new Set<string>()
  let everything = true

  const notice = (change: Change): boolean => {
    if (change.kind !== 'node') return false
    const { before, after } = change
    const same =
      before !== undefined &&
      after !== undefined &&
      before.status?.state === after.status?.state &&
      before.meta?.specVersion === after.meta?.specVersion &&
      before.role === after.role &&
      JSON.stringify(before.spec) === JSON.stringify(after.spec) &&
      JSON.stringify(before.description) === JSON.stringify(after.description)
    if (same) return false
    dirty.add((after ?? before)?.id ?? '')
    return true
  }

  const pass = async (): Promise<undefined> => {
    if (everything)
      store.view(tx => {
        for (const task of tx.list('task')) if (task.nodeId !== '') dirty.add(task.nodeId)
      })
    everything = false
    for (const id of dirty) {
      // Forgotten before the work: what changes meanwhile is noticed anew.
      dirty.delete(id)
      await store
        .update(tx => enforce(tx, id, clock.now()), { author: 'loop:node-enforcer', ownUse: true })
        .catch((error: unknown) => {
          dirty.add(id)
          throw error
        })
    }
  }

  return new Reconciler(deps, {
    name: 'node-enforcer',
    debounceMs: 10,
    notice,
    reset: () => {
      everything = true
    },
    pass,
  })
}

function enforce(tx: Tx, nodeId: string, nowMs: number): void {
  const node = tx.get('node', nodeId)
  const tasks = tx.tasksOnNode(nodeId)
  for (const task of orphans(node, tasks, nowMs)) {
    const message = node
      ? 'the node has been down for a day'
      : 'the node this task was on has been removed'
    end(tx, task, TaskState.ORPHANED, message, '', nowMs)
  }
  if (!node) return
  for (const task of violators(node, tasks, id => tx.get('service', id)))
    end(
      tx,
      task,
      TaskState.REJECTED,
      'task rejected by constraint enforcer',
      'assigned node no longer meets constraints',
      nowMs,
    )
}

function end(
  tx: Tx,
  task: Task,
  state: TaskState,
  message: string,
  error: string,
  nowMs: number,
): void {
  if (!task.status) return
  const status = { ...task.status, state, message, error, observedAtMs: nowMs, appliedAtMs: nowMs }
  tx.update('task', { ...task, status })
}
