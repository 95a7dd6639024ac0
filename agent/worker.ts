import { type Assignments, type Task, TaskState } from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { messageOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { Loop } from '../runtime/loop.ts'
import type { Random } from '../runtime/random.ts'
import { observedState } from '../services/model/task.ts'
import type { ContainerSummary, Executor } from './executor/types.ts'
import type { AgentMetrics } from './metrics.ts'
import { failureReason } from './task/failure-reason.ts'
import {
  type Tables,
  NO_TABLES,
  RevisionMarks,
  applyNetworks,
  storedOf,
  tablesOf,
} from './network-state.ts'
import type { Networks } from './network/types.ts'
import type { ObjectStore } from './objects.ts'
import type { Reporter } from './reporter.ts'
import type { Storage } from './storage.ts'
import { TaskJournal } from './task-journal.ts'
import { TaskManager } from './task/task-manager.ts'

/** Containers are compared with tasks this often, should an event have been missed. */
const RECONCILE_MS = 30_000
/** A burst of endpoint changes makes one write of the tables. */
const SAVE_NETWORKS_MS = 1_000

export interface WorkerDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: AgentMetrics
  readonly executor: Executor
  readonly networks: Networks
  readonly storage: Storage
  readonly reporter: Reporter
  readonly objects: ObjectStore
  readonly nodeId: string
  /** This node's data-path address. */
  address(): string
}

interface Entry {
  readonly manager: TaskManager
  /** The managers want nothing of it any more; it goes as soon as its container is gone. */
  dropped: boolean
}

/**
 * Holds what the managers assigned to this node and sees to it: a task manager a task, tables for the network half,
 * containers without a task removed.
 */
export class Worker {
  readonly #deps: WorkerDeps
  readonly #journal: TaskJournal
  readonly #reconcileLoop: Loop
  readonly #saveNetworksLoop: Loop
  readonly #entries = new Map<string, Entry>()
  readonly #background = new Set<Promise<void>>()
  readonly #discarding = new Set<string>()
  readonly #marks = new RevisionMarks()
  #tables: Tables = NO_TABLES
  /** Of this session; undefined before its complete set. */
  #revision: number | undefined
  /** A manager has sent a complete set since this process began: what is not in it may be removed. */
  #complete = false
  #unwatch: (() => void) | undefined
  #stopped = false

  constructor(deps: WorkerDeps) {
    this.#deps = deps
    this.#journal = new TaskJournal(deps.storage, deps.log)
    this.#reconcileLoop = new Loop({
      ...deps,
      name: 'container reconcile',
      pass: () => this.#reconcile(),
      everyMs: RECONCILE_MS,
    })
    this.#saveNetworksLoop = new Loop({
      ...deps,
      name: 'save networks',
      pass: () => deps.storage.saveNetworks(storedOf(this.#tables)),
      debounceMs: SAVE_NETWORKS_MS,
    })
  }

  /** Takes up what an earlier process left: its tasks adopt their containers, its tables serve names. */
  async start(): Promise<void> {
    const { storage, executor, reporter } = this.#deps
    this.#tables = tablesOf(await storage.loadNetworks())
    if (this.#tables.networks.size > 0) this.#programNetworks()
    for (const task of await storage.loadTasks()) {
      if (task.status) reporter.report(task.id, task.status)
      this.#add(task).poke()
    }
    this.#unwatch = executor.watch(taskId => this.#changed(taskId))
    this.#reconcileLoop.trigger()
  }

  /** Leaves every container as it is. Resolves when what runs has ended and the disk has the newest state. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#unwatch?.()
    await this.#reconcileLoop.stop()
    await this.#saveNetworksLoop.stop()
    await Promise.all([...this.#entries.values()].map(({ manager }) => manager.stop()))
    await this.#deps.storage.saveNetworks(storedOf(this.#tables))
    await this.#journal.settled()
  }

  /** Every task the managers assigned, with its newest status. */
  tasks(): readonly Task[] {
    return [...this.#entries.values()]
      .filter(entry => !entry.dropped)
      .map(entry => entry.manager.task)
  }

  task(id: string): Task | undefined {
    return this.#entries.get(id)?.manager.task
  }

  /** A session began: its first assignments must be a complete set. */
  sessionOpened(): void {
    this.#revision = undefined
    this.#marks.reset()
    this.#reconcileLoop.trigger()
  }

  /** False when something is missing between what is known and `assignments`. */
  apply(assignments: Assignments): boolean {
    const { complete, appliesTo, revision } = assignments
    if (!complete && (this.#revision === undefined || appliesTo !== this.#revision)) return false
    this.#revision = revision
    this.#deps.objects.apply(assignments)
    this.#applyNetworks(assignments)
    for (const task of assignments.tasks) this.#assign(task)
    for (const id of assignments.removedTasks) this.#drop(id)
    if (complete) this.#keepOnly(new Set(assignments.tasks.map(task => task.id)))
    this.#deps.metrics.tasks(this.tasks())
    return true
  }

  /** Up to which revision of this session the kernel has the tables, and what went wrong. */
  applied(): {
    readonly revision: number | undefined
    readonly problems: readonly string[]
    readonly behind: boolean
  } {
    const { revision, problems } = this.#deps.networks.applied()
    return {
      revision: this.#marks.reached(revision),
      problems,
      behind: this.#marks.behind(revision),
    }
  }

  #applyNetworks(assignments: Assignments): void {
    const tables = applyNetworks(this.#tables, assignments)
    if (tables !== this.#tables) {
      this.#tables = tables
      this.#programNetworks()
      this.#saveNetworksLoop.trigger()
    }
    this.#marks.mark(assignments.revision)
  }

  #programNetworks(): void {
    const { networks, nodeId } = this.#deps
    networks.update({
      nodeId,
      address: this.#deps.address(),
      revision: this.#marks.advance(),
      ...this.#tables,
    })
  }

  #assign(task: Task): void {
    const known = this.#entries.get(task.id)
    if (known) {
      const before = known.manager.task.desiredState
      known.manager.desire(task.desiredState)
      if (known.manager.task.desiredState !== before)
        this.#inBackground(this.#journal.save(known.manager.task))
      return
    }
    const manager = this.#add(task)
    // ACCEPTED promises that a restarted agent knows the task.
    this.#inBackground(this.#journal.save(task).then(() => manager.poke()))
  }

  #add(task: Task): TaskManager {
    const { executor, objects, log, metrics } = this.#deps
    const manager = new TaskManager(task, {
      ...this.#deps,
      log: log.child({ task_id: task.id, service: task.serviceName }),
      controller: executor.controller(task, objects),
      onStatus: changed => this.#onStatus(changed),
      onPhase: (action, seconds) => metrics.phase(action, seconds),
    })
    this.#entries.set(task.id, { manager, dropped: false })
    return manager
  }

  #onStatus(task: Task): void {
    const entry = this.#entries.get(task.id)
    if (!entry || entry.dropped || !task.status) return
    const { reporter, metrics, log } = this.#deps
    reporter.report(task.id, task.status)
    const { state, error } = task.status
    metrics.transition(state)
    metrics.tasks(this.tasks())
    if (state === TaskState.FAILED || state === TaskState.REJECTED) {
      metrics.taskFailed(failureReason(task.status))
      log.warn('task failed', { task_id: task.id, service: task.serviceName, error })
    }
    // What comes before RUNNING is seen again from the container after a restart.
    if (state >= TaskState.RUNNING) this.#inBackground(this.#journal.save(task))
  }

  #keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.#entries.keys()) if (!ids.has(id)) this.#drop(id)
    this.#complete = true
    this.#reconcileLoop.trigger()
  }

  #drop(id: string): void {
    const entry = this.#entries.get(id)
    if (!entry || entry.dropped) return
    entry.dropped = true
    this.#deps.reporter.forget(id)
    this.#inBackground(
      entry.manager.remove().then(async () => {
        this.#entries.delete(id)
        await this.#journal.remove(id)
      }),
    )
  }

  #changed(taskId: string | undefined): void {
    if (taskId !== undefined) {
      this.#entries.get(taskId)?.manager.poke()
      return
    }
    for (const { manager } of this.#entries.values()) manager.poke()
    this.#reconcileLoop.trigger()
  }

  /** Compares the engine's containers with the tasks, both ways. */
  async #reconcile(): Promise<void> {
    const { executor, metrics } = this.#deps
    const listed = await executor.list()
    if (this.#stopped) return
    const phases = new Map(listed.map(container => [container.taskId, container.phase]))
    for (const [id, { manager }] of this.#entries) {
      const phase = phases.get(id) ?? 'absent'
      if (phase === manager.seen.phase) continue
      const state = observedState(manager.task)
      if (state >= TaskState.RUNNING) metrics.drift(phase === 'absent' ? 'missing' : 'unexpected')
      manager.poke()
    }
    if (!this.#complete) return
    for (const container of listed)
      if (!this.#entries.has(container.taskId)) this.#discard(container)
    await executor.tidy(new Set(this.#entries.keys()))
  }

  /** A container whose task the managers do not know: its task was removed while this node could not hear of it. */
  #discard({ containerId, taskId }: ContainerSummary): void {
    if (this.#discarding.has(containerId)) return
    const { executor, metrics, log } = this.#deps
    metrics.drift('foreign')
    log.warn('container of no task is removed', { container: containerId, task_id: taskId })
    this.#discarding.add(containerId)
    this.#inBackground(
      executor.discard(containerId).finally(() => this.#discarding.delete(containerId)),
    )
  }

  #inBackground(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => {
        this.#deps.log.error('background work of the agent failed', { error: messageOf(error) })
      })
      .finally(() => this.#background.delete(tracked))
    this.#background.add(tracked)
  }
}
