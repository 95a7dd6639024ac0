import {
  type Node,
  NodeAvailability,
  NodeState,
  type Resources,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { holdsResources, isActive, observedState } from '../../services/model/task.ts'
import { addResources, NO_RESOURCES, subtractResources } from '../../services/resource/resource.ts'
import { portKey } from '../allocator/ports.ts'

/** Failures within this time count against a node (row PL-14). */
export const FAILURE_WINDOW_MS = 5 * 60_000
export const FAILURES_MAX = 5

/** What the scheduler knows of one node: its object and the tasks on it, summed up as they come and go. */
export class NodeInfo {
  node: Node
  /** What reservations leave over. */
  available: Resources
  /** Tasks desired up to COMPLETE (row PL-21). */
  activeTotal = 0
  readonly #tasks = new Map<string, Task>()
  readonly #activeByService = new Map<string, number>()
  readonly #hostPorts = new Map<string, Map<string, string>>()
  readonly #failures = new Map<string, Map<string, number>>()

  constructor(node: Node) {
    this.node = node
    this.available = node.description?.resources ?? NO_RESOURCES
  }

  get hostname(): string {
    return this.node.description?.hostname || this.node.id
  }

  /** Row PL-06. */
  get isReady(): boolean {
    const availability = this.node.spec?.availability ?? NodeAvailability.ACTIVE
    return (
      this.node.status?.state === NodeState.NODE_READY && availability === NodeAvailability.ACTIVE
    )
  }

  setNode(node: Node): void {
    this.node = node
    let available = node.description?.resources ?? NO_RESOURCES
    for (const task of this.#tasks.values())
      if (holdsResources(task)) available = subtractResources(available, reserved(task))
    this.available = available
  }

  activeOf(serviceId: string): number {
    return this.#activeByService.get(serviceId) ?? 0
  }

  /** Tasks that hold the published port, by id. */
  holdersOfPort(key: string): ReadonlyMap<string, string> | undefined {
    return this.#hostPorts.get(key)
  }

  /** How many tasks of the service's version failed here lately. */
  failures(serviceId: string, specVersion: number, nowMs: number): number {
    const times = this.#failures.get(`${serviceId}/${specVersion}`)
    let count = 0
    for (const [id, atMs] of times ?? [])
      if (nowMs - atMs < FAILURE_WINDOW_MS) count += 1
      else times?.delete(id)
    return count
  }

  put(task: Task): void {
    this.remove(task.id)
    this.#tasks.set(task.id, task)
    if (isActive(task)) {
      this.activeTotal += 1
      this.#activeByService.set(task.serviceId, this.activeOf(task.serviceId) + 1)
    }
    if (holdsResources(task)) {
      this.available = subtractResources(this.available, reserved(task))
      for (const key of boundPorts(task)) {
        const holders = this.#hostPorts.get(key) ?? new Map<string, string>()
        this.#hostPorts.set(key, holders.set(task.id, task.serviceName))
      }
    }
    const state = observedState(task)
    if (state === TaskState.FAILED || state === TaskState.REJECTED) {
      const key = `${task.serviceId}/${task.specVersion}`
      const times = this.#failures.get(key) ?? new Map<string, number>()
      this.#failures.set(key, times.set(task.id, task.status?.appliedAtMs ?? 0))
    }
  }

  /** Forgets a task; its failure, if it was one, goes on counting until it is old. */
  remove(taskId: string): void {
    const task = this.#tasks.get(taskId)
    if (!task) return
    this.#tasks.delete(taskId)
    if (isActive(task)) {
      this.activeTotal -= 1
      const left = this.activeOf(task.serviceId) - 1
      if (left > 0) this.#activeByService.set(task.serviceId, left)
      else this.#activeByService.delete(task.serviceId)
    }
    if (!holdsResources(task)) return
    this.available = addResources(this.available, reserved(task))
    for (const key of boundPorts(task)) {
      const holders = this.#hostPorts.get(key)
      holders?.delete(taskId)
      if (holders?.size === 0) this.#hostPorts.delete(key)
    }
  }
}

/** Reservations, with the generic resources as they were handed out. */
function reserved(task: Task): Resources | null {
  const need = task.spec?.resources?.reservations ?? null
  if (!need || !task.assignedGeneric) return need
  return { ...need, generic: task.assignedGeneric.generic }
}

/**
 * Ports the node's engine binds for the task. In this version that is every published port, cluster-wide ones included:
 * they are reached at the nodes that run a task.
 */
export function boundPorts(task: Task): readonly string[] {
  const ports = task.endpoint?.ports.length ? task.endpoint.ports : task.endpoint?.spec?.ports
  return (ports ?? []).filter(port => port.published !== 0).map(portKey)
}
