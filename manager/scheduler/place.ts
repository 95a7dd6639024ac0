import { type Resources, type Task, TaskState } from '../../proto/index.ts'
import { claimGeneric } from '../../services/resource/generic.ts'
import type { Addresses } from '../allocator/addresses.ts'
import type { ClusterView } from './cluster-view.ts'
import { type Filter, filtersFor } from './filters.ts'
import type { NodeInfo } from './node-info.ts'
import { rank } from './rank.ts'
import { SpreadTree } from './tree.ts'
import { slotVolumes } from './volumes.ts'

export interface PlaceOptions {
  readonly nowMs: number
  readonly addresses?: Addresses
  /** Told of each filter's refusals, for counting. */
  refused?(filter: string, nodes: number): void
  feasible?(nodes: number): void
}

/** What became of the tasks of one group. */
export interface Placed {
  /** The tasks as they are to be stored: on their node, ASSIGNED. */
  readonly assigned: readonly Task[]
  readonly unplaced: readonly Task[]
}

/** Tasks alike in everything placement looks at share this key; undefined for one that must be looked at alone. */
export function groupKey(task: Task): string | undefined {
  if (task.nodeId !== '' || task.serviceId === '') return undefined
  if (task.spec?.networks.some(wanted => wanted.addresses.length > 0)) return undefined
  if (slotVolumes(task).length > 0) return undefined
  return `${task.serviceId}/${task.specVersion}`
}

/**
 * Places like tasks one after the other (rows PL-12, PL-13, PL-18): nodes are filtered once, and only the node that was
 * chosen is looked at again. Every decision goes into `view` at once, so later ones see it.
 */
export function placeGroup(
  tasks: readonly Task[],
  view: ClusterView,
  options: PlaceOptions,
): Placed {
  const [model] = tasks
  if (!model) return { assigned: [], unplaced: [] }
  const filters = filtersFor(model, view, options.addresses)
  const tree = new SpreadTree(model, view.nodes.values())
  const offer = (info: NodeInfo): void =>
    tree.add(rank(info, model.serviceId, model.specVersion, options.nowMs))
  let feasible = 0
  for (const info of view.nodes.values()) {
    if (!passes(filters, info, options)) continue
    feasible += 1
    offer(info)
  }
  options.feasible?.(feasible)
  const assigned: Task[] = []
  for (const task of tasks) {
    const info = tree.take()?.info
    if (!info) break
    assigned.push(assign(task, info, view, options.nowMs))
    if (passes(filters, info, options)) offer(info)
  }
  return { assigned, unplaced: tasks.slice(assigned.length) }
}

/** Places one task whose slot has wishes of its own: the node of a volume it prefers comes first. */
export function placeOne(task: Task, view: ClusterView, options: PlaceOptions): Placed {
  for (const volume of slotVolumes(task)) {
    const info = view.nodes.get(view.volumeNode(volume.name, volume.owner) ?? '')
    if (!info || !passes(filtersFor(task, view, options.addresses), info, options)) continue
    return { assigned: [assign(task, info, view, options.nowMs)], unplaced: [] }
  }
  return placeGroup([task], view, options)
}

/** Confirms a task that was made for one node (row PL-19). */
export function confirm(task: Task, view: ClusterView, options: PlaceOptions): Placed {
  const info = view.nodes.get(task.nodeId)
  const filters = filtersFor(task, view, options.addresses)
  if (!info || !passes(filters, info, options)) return { assigned: [], unplaced: [task] }
  return { assigned: [assign(task, info, view, options.nowMs)], unplaced: [] }
}

function passes(filters: readonly Filter[], info: NodeInfo, options: PlaceOptions): boolean {
  for (const filter of filters) {
    if (filter.check(info) === undefined) continue
    options.refused?.(filter.name, 1)
    return false
  }
  return true
}

function assign(task: Task, info: NodeInfo, view: ClusterView, nowMs: number): Task {
  const wanted = task.spec?.resources?.reservations?.generic ?? []
  const generic = wanted.length > 0 ? claimGeneric(wanted, info.available.generic) : undefined
  const assignedGeneric: Resources | null = generic
    ? { nanoCpus: 0, memoryBytes: 0, generic }
    : null
  const message =
    task.nodeId === ''
      ? 'scheduler assigned task to node'
      : 'scheduler confirmed task can run on preassigned node'
  const assigned: Task = {
    ...task,
    nodeId: info.node.id,
    assignedGeneric,
    explanation: null,
    status: task.status && {
      ...task.status,
      state: TaskState.ASSIGNED,
      observedAtMs: nowMs,
      appliedAtMs: nowMs,
      message,
      error: '',
    },
  }
  view.putTask(assigned)
  return assigned
}
