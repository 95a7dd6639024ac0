import { make } from '../../proto/codec.ts'
import { type Task, TaskState, type TaskStatus, v1 } from '../../proto/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type StatusError, messageOf, toStatusError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { Loop } from '../../runtime/loop.ts'
import type { Random } from '../../runtime/random.ts'
import { isTerminal, observedState } from '../../services/model/task.ts'
import { ABSENT, type Controller, type Observation } from '../executor/types.ts'
import {
  type Action,
  type Facts,
  MAX_ATTEMPTS,
  type NewStatus,
  RETRY_MS,
  type Step,
  step,
  worthRetrying,
} from './step.ts'

export interface TaskManagerDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly controller: Controller
  /** The task with its new status. */
  onStatus(task: Task): void
  /** An action ended well after so many seconds. */
  onPhase(action: Action, seconds: number): void
}

/** Runs one task: looks at its container, asks step() what to do, does it, until nothing is left to do. */
export class TaskManager {
  readonly #deps: TaskManagerDeps
  readonly #loop: Loop
  #task: Task
  #seen: Observation = ABSENT
  #prepared = false
  #started = false
  #released = false
  #removed = false
  #condemned: string | undefined
  #failure: StatusError | undefined
  #attempts = 0
  #abortPrepare: AbortController | undefined
  #retryDue = false
  #stopped = false
  #finished = false
  readonly #waiters: (() => void)[] = []

  constructor(task: Task, deps: TaskManagerDeps) {
    this.#task = task
    this.#deps = deps
    this.#loop = new Loop({ ...deps, name: 'task', pass: () => this.#pass() })
  }

  /** The task with its newest status and desired state. */
  get task(): Task {
    return this.#task
  }

  /** The container as it was seen last. */
  get seen(): Observation {
    return this.#seen
  }

  /** Looks at the container again. */
  poke(): void {
    this.#loop.trigger()
  }

  /** Takes what managers want now. Desired states never fall. */
  desire(desiredState: TaskState): void {
    if (desiredState > this.#task.desiredState) this.#task = { ...this.#task, desiredState }
    if (desiredState >= TaskState.SHUTDOWN) this.#abortPrepare?.abort()
    this.#loop.trigger()
  }

  /** Stops and removes the container; resolves when nothing of the task is left on the node. */
  remove(): Promise<void> {
    this.desire(TaskState.REMOVE)
    if (this.#finished) return Promise.resolve()
    return new Promise(resolve => this.#waiters.push(resolve))
  }

  /** Lets go of the task; its container is left as it is. Resolves when no action runs. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#abortPrepare?.abort()
    await this.#loop.stop()
  }

  async #pass(): Promise<void> {
    let look = true
    while (!this.#stopped && !this.#finished) {
      if (look) {
        try {
          this.#seen = await this.#deps.controller.observe()
        } catch (error) {
          // Not knowing is no state of a task: a stopped engine fails nothing.
          this.#deps.log.debug('container cannot be seen', { error: messageOf(error) })
          if (observedState(this.#task) < TaskState.RUNNING) this.#note(messageOf(error))
          this.#loop.triggerIn(RETRY_MS)
          return
        }
        this.#refresh()
      }
      const next = step(this.#facts())
      if (next.do === 'wait') return this.#waitFor()
      look = await this.#carryOut(next)
      if (this.#retryDue) return this.#retryLater()
    }
  }

  #retryLater(): void {
    this.#retryDue = false
    this.#loop.triggerIn(RETRY_MS)
  }

  /** Secrets that have not come are looked for again; everything else pokes the task. */
  #waitFor(): void {
    if (!this.#prepared && this.#deps.controller.missing().length > 0) {
      const missing = this.#deps.controller.missing().join(', ')
      this.#note(`waits for ${missing} from the managers`)
      this.#loop.triggerIn(RETRY_MS)
    }
  }

  /** Returns whether the container must be looked at again. */
  async #carryOut(next: Step): Promise<boolean> {
    switch (next.do) {
      case 'report':
        this.#report(next.status)
        return false
      case 'condemn':
        this.#condemned = next.reason
        return false
      case 'finish':
        this.#finished = true
        for (const wake of this.#waiters.splice(0)) wake()
        return false
      case 'wait':
        return false
      case 'prepare':
      case 'start':
      case 'stop':
      case 'release':
      case 'remove':
        await this.#act(next.do)
        return true
    }
  }

  async #act(action: Action): Promise<void> {
    const { clock, log, controller } = this.#deps
    const sinceMs = clock.monotonic()
    const abort = new AbortController()
    this.#attempts += 1
    try {
      switch (action) {
        case 'prepare':
          this.#abortPrepare = abort
          if (this.#task.desiredState >= TaskState.SHUTDOWN) return
          await controller.prepare(abort.signal)
          this.#prepared = true
          break
        case 'start':
          await controller.start()
          this.#started = true
          break
        case 'stop':
          await controller.stop()
          break
        case 'release':
          await controller.release()
          this.#released = true
          break
        case 'remove':
          await controller.remove()
          this.#removed = true
          break
      }
      this.#deps.onPhase(action, (clock.monotonic() - sinceMs) / 1_000)
      // An action that succeeds without moving anything on must not be repeated in a tight circle.
      if (this.#attempts > MAX_ATTEMPTS) this.#retryDue = true
    } catch (thrown) {
      if (abort.signal.aborted) return
      const error = toStatusError(thrown)
      log.warn('task action failed', { action, error: error.message, attempt: this.#attempts })
      if (worthRetrying(action, error, this.#attempts)) {
        this.#note(error.message)
        this.#retryDue = true
      } else {
        this.#failure = error
      }
    } finally {
      this.#abortPrepare = undefined
    }
  }

  #facts(): Facts {
    return {
      state: observedState(this.#task),
      desired: this.#task.desiredState,
      seen: this.#seen,
      prepared: this.#prepared,
      started: this.#started,
      condemned: this.#condemned,
      missing: this.#prepared ? [] : this.#deps.controller.missing(),
      released: this.#released,
      removed: this.#removed,
      failure: this.#failure,
    }
  }

  /** A running container's health, pid and ports are news although its state is not. */
  #refresh(): void {
    const { status } = this.#task
    if (status?.state !== TaskState.RUNNING || this.#seen.phase !== 'running') return
    const { container, ports } = this.#seen
    const same =
      status.container?.health === container?.health &&
      status.container?.pid === container?.pid &&
      JSON.stringify(status.ports) === JSON.stringify(ports)
    if (!same) this.#setStatus({ ...status, container, ports })
  }

  /** Says in the status, without a new state, what keeps the task from going on. */
  #note(error: string): void {
    const { status } = this.#task
    if (!status || isTerminal(status.state) || status.error === error) return
    this.#setStatus({ ...status, error })
  }

  #report(status: NewStatus): void {
    this.#attempts = 0
    this.#setStatus({ ...make(v1.TaskStatus, {}), ...status })
  }

  #setStatus(status: TaskStatus): void {
    const observedAtMs = this.#deps.clock.now()
    this.#task = { ...this.#task, status: { ...status, observedAtMs, appliedAtMs: 0 } }
    this.#deps.onStatus(this.#task)
  }
}
