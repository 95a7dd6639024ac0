import type { LogDriver, Node, Service, Task } from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { NodeAvailability, NodeState, TaskState, v1 } from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'

/** What an orchestrator decides from: one service, its tasks, the nodes, the time. */
export interface Situation {
  readonly service: Service
  /** All tasks of the service, stopped and removed ones included. */
  readonly tasks: readonly Task[]
  readonly nodes: ReadonlyMap<string, Node>
  /** Wall time of the leading manager, Unix ms. */
  readonly nowMs: number
  newId(): string
  /** Numbers that rise with every task of the cluster. */
  nextOrder(): number
  /** The cluster's log driver for tasks whose service has none (row SV-22). */
  readonly defaultLogDriver: LogDriver | null
}

/** What an orchestrator decided. Tasks in `created` are new, those in `updated` replace what is stored. */
export interface Plan {
  readonly created: readonly Task[]
  readonly updated: readonly Task[]
  /** The service when its update status (or, with `rolledBack`, its spec) changes. */
  readonly service: Service | undefined
  readonly rolledBack: boolean
  /** When something becomes due without any event, Unix ms. */
  readonly dueAtMs: number | undefined
  /** Why tasks were replaced, for counting. */
  readonly causes: readonly RestartCause[]
}
export type RestartCause =
  | 'exit'
  | 'oom'
  | 'unhealthy'
  | 'rejected'
  | 'node_down'
  | 'drain'
  | 'update'

export interface NewTask {
  readonly slot: number
  readonly nodeId: string
  /** READY: prepare and wait for promotion. */
  readonly desired: TaskState
  readonly startAfterMs: number
}

/** A working copy the steps of one reconcile write to. It leaves the situation untouched. */
export class Draft {
  readonly situation: Situation
  readonly nowMs: number
  service: Service
  rolledBack = false
  readonly causes: RestartCause[] = []
  readonly #tasks = new Map<string, Task>()
  readonly #created = new Set<string>()
  readonly #updated = new Set<string>()
  #dueAtMs: number | undefined
  #writes = 0

  constructor(situation: Situation) {
    this.situation = situation
    this.service = situation.service
    this.nowMs = situation.nowMs
    for (const task of situation.tasks) this.#tasks.set(task.id, task)
  }

  /** Counts every write: equal before and after a round means there is nothing left to do. */
  get writes(): number {
    return this.#writes
  }

  get tasks(): readonly Task[] {
    return [...this.#tasks.values()]
  }

  node(id: string): Node | undefined {
    return this.situation.nodes.get(id)
  }

  create(init: NewTask): Task {
    const { service, situation } = this
    const spec = service.spec?.task ?? make(v1.TaskSpec, {})
    const task: Task = {
      ...make(v1.Task, {
        id: situation.newId(),
        specVersion: service.meta?.specVersion ?? 0,
        serviceId: service.id,
        slot: init.slot,
        nodeId: init.nodeId,
        serviceName: service.spec?.annotations?.name ?? '',
        serviceLabels: service.spec?.annotations?.labels ?? {},
        desiredState: init.desired,
        status: { state: TaskState.NEW, observedAtMs: this.nowMs, message: 'created' },
        startAfterMs: init.startAfterMs,
        createdOrder: situation.nextOrder(),
      }),
      spec: spec.logDriver ? spec : { ...spec, logDriver: situation.defaultLogDriver },
      endpoint: { spec: service.spec?.endpoint ?? null, ports: [], virtualIps: [] },
    }
    this.#tasks.set(task.id, task)
    this.#created.add(task.id)
    this.#writes += 1
    return task
  }

  /**
   * Raises a task's desired state; lowering is never asked for. A task no agent has yet is told stopped at once,
   * because nobody else would say so (row PL-20).
   */
  desire(task: Task, desired: TaskState): void {
    const current = this.#tasks.get(task.id) ?? task
    if (current.desiredState >= desired) return
    const unowned =
      desired > TaskState.RUNNING && observedState(current) < TaskState.ASSIGNED && current.status
    this.#put({
      ...current,
      desiredState: desired,
      status: unowned
        ? {
            ...unowned,
            state: TaskState.SHUTDOWN,
            observedAtMs: this.nowMs,
            appliedAtMs: this.nowMs,
            message: 'no longer needed',
            error: '',
          }
        : current.status,
    })
  }

  setService(service: Service): void {
    this.service = service
    this.#writes += 1
  }

  /** Asks to be called again at `atMs`. */
  due(atMs: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs ?? Infinity, atMs)
  }

  /** Each round starts to count its own due times. */
  beginRound(): void {
    this.#dueAtMs = undefined
  }

  plan(): Plan {
    const pick = (ids: ReadonlySet<string>): Task[] =>
      [...ids].flatMap(id => this.#tasks.get(id) ?? [])
    return {
      created: pick(this.#created),
      updated: pick(this.#updated),
      service: this.service === this.situation.service ? undefined : this.service,
      rolledBack: this.rolledBack,
      dueAtMs: this.#dueAtMs,
      causes: this.causes,
    }
  }

  #put(task: Task): void {
    this.#tasks.set(task.id, task)
    if (!this.#created.has(task.id)) this.#updated.add(task.id)
    this.#writes += 1
  }
}

/** Whether a task's node is deleted or DOWN: nothing it runs can be reached or told anything (row RS-11). */
export function onLostNode(draft: Draft, task: Task): boolean {
  if (task.nodeId === '') return false
  const node = draft.node(task.nodeId)
  return node === undefined || node.status?.state === NodeState.DOWN
}

/** Whether a task's node is being emptied (row CL-34). */
export function onDrainedNode(draft: Draft, task: Task): boolean {
  if (task.nodeId === '') return false
  return draft.node(task.nodeId)?.spec?.availability === NodeAvailability.DRAIN
}

/** When the task was made, Unix ms. */
export function createdAtMs(task: Task): number {
  return task.meta?.createdAtMs ?? task.status?.observedAtMs ?? 0
}

/** When the managers saw the task's present state, Unix ms. */
export function appliedAtMs(task: Task): number {
  return task.status?.appliedAtMs || task.status?.observedAtMs || 0
}
