// An executor without an engine, for tests and the cluster simulation: containers are entries in a table, every
// duration is the clock's, every mishap is asked for. It outlives the agents that use it, as an engine does.
import { containerName } from '../../services/model/task.ts'
import { make } from '../../proto/codec.ts'
import {
  type ContainerStatus,
  type LogEntry,
  type LogsQuery,
  type NodeDescription,
  type Task,
  v1,
} from '../../proto/index.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { StatusError } from '../../runtime/errors.ts'
import {
  ABSENT,
  type ContainerSummary,
  type Controller,
  type Executor,
  type LogLines,
  type Observation,
  type TaskObjects,
} from '../../agent/executor/types.ts'

export interface FakeTimes {
  /** Milliseconds each step takes. */
  readonly prepareMs: number
  readonly startMs: number
  readonly stopMs: number
  readonly removeMs: number
}

export interface FakeContainer {
  readonly id: string
  readonly name: string
  readonly taskId: string
  phase: 'created' | 'running' | 'exited'
  health: Observation['health']
  exitCode: number
  error: string
  starts: number
  readonly lines: LogEntry[]
}

type Act = 'observe' | 'prepare' | 'start' | 'stop' | 'remove'

export class FakeExecutor implements Executor {
  readonly #clock: Clock
  readonly #description: NodeDescription
  readonly #times: FakeTimes
  readonly #listeners = new Set<(taskId: string | undefined) => void>()
  readonly #faults: { act: Act; taskId: string | undefined; error: StatusError; left: number }[] =
    []
  #ids = 0
  /** The engine answers; false makes every call fail as a stopped engine would. */
  #up = true
  /** By task. */
  readonly containers = new Map<string, FakeContainer>()
  /** Every call that changed something, oldest first: `start web.1`. */
  readonly calls: string[] = []
  /** What a started container's health check says first; empty for none. */
  health: Observation['health'] = ''

  constructor(
    clock: Clock,
    options: { readonly times?: Partial<FakeTimes>; readonly description?: NodeDescription } = {},
  ) {
    this.#clock = clock
    this.#times = { prepareMs: 0, startMs: 0, stopMs: 0, removeMs: 0, ...options.times }
    this.#description =
      options.description ??
      make(v1.NodeDescription, {
        hostname: 'fake',
        platform: { architecture: 'x86_64', os: 'linux' },
        resources: { nanoCpus: 4e9, memoryBytes: 8 * 1024 ** 3 },
        engine: { version: '28.5.0', apiVersion: '1.51' },
      })
  }

  // --- what tests and simulations do to it ---

  /** The container ends by itself. */
  exit(taskId: string, exitCode: number): void {
    const container = this.containers.get(taskId)
    if (container?.phase !== 'running') return
    container.phase = 'exited'
    container.exitCode = exitCode
    container.error = exitCode === 0 ? '' : `exited with code ${exitCode}`
    this.notify(taskId)
  }

  setHealth(taskId: string, health: Observation['health']): void {
    const container = this.containers.get(taskId)
    if (!container) return
    container.health = health
    this.notify(taskId)
  }

  /** Somebody removes the container by hand. */
  vanish(taskId: string): void {
    if (this.containers.delete(taskId)) this.notify(taskId)
  }

  /** A container of this node that belongs to a task nobody here knows. */
  plant(taskId: string): void {
    this.containers.set(taskId, this.#container(taskId, `planted.${taskId}`, 'running'))
  }

  say(taskId: string, line: string): void {
    const entry = make(v1.LogEntry, {
      taskId,
      timeMs: this.#clock.now(),
      data: new TextEncoder().encode(line),
    })
    this.containers.get(taskId)?.lines.push(entry)
  }

  /** The next `times` calls of `act` (of one task) fail with `error`. */
  fail(act: Act, error: StatusError, times = 1, taskId?: string): void {
    this.#faults.push({ act, taskId, error, left: times })
  }

  /** Stops and starts the engine; containers live on. */
  setUp(up: boolean): void {
    this.#up = up
    if (up) this.notify(undefined)
  }

  /** Every container dies at once, as when the host loses power. */
  powerLoss(): void {
    for (const container of this.containers.values()) {
      if (container.phase === 'running')
        Object.assign(container, { phase: 'exited', exitCode: 255, error: 'exited with code 255' })
    }
  }

  notify(taskId: string | undefined): void {
    for (const listener of this.#listeners) listener(taskId)
  }

  // --- Executor ---

  controller(task: Task, objects: TaskObjects): Controller {
    const prepared = (): FakeContainer | undefined => this.containers.get(task.id)
    return {
      observe: async () => {
        await this.#call('observe', task, 0)
        return observation(prepared())
      },
      missing: () =>
        (task.spec?.container?.secrets ?? [])
          .filter(({ secretId }) => !objects.secret(secretId))
          .map(({ secretName }) => `secret ${secretName}`),
      prepare: async signal => {
        await this.#call('prepare', task, this.#times.prepareMs, signal)
        if (prepared()) return
        this.containers.set(task.id, this.#container(task.id, containerName(task), 'created'))
      },
      start: async () => {
        await this.#call('start', task, this.#times.startMs)
        const container = prepared()
        if (container?.phase !== 'created') return
        container.phase = 'running'
        container.health = this.health
        container.starts += 1
        this.notify(task.id)
      },
      stop: async () => {
        await this.#call('stop', task, this.#times.stopMs)
        const container = prepared()
        if (container?.phase === 'running')
          Object.assign(container, {
            phase: 'exited',
            exitCode: 143,
            error: 'killed by SIGTERM (exit code 143)',
          })
      },
      release: async () => {},
      remove: async () => {
        await this.#call('remove', task, this.#times.removeMs)
        this.containers.delete(task.id)
      },
    }
  }

  async list(): Promise<readonly ContainerSummary[]> {
    this.#assertUp()
    return [...this.containers.values()].map(({ id, taskId, phase }) => ({
      containerId: id,
      taskId,
      phase,
    }))
  }

  async discard(containerId: string): Promise<void> {
    this.#assertUp()
    const found = [...this.containers.values()].find(({ id }) => id === containerId)
    if (!found) return
    this.calls.push(`discard ${found.name}`)
    this.containers.delete(found.taskId)
  }

  watch(listener: (taskId: string | undefined) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async tidy(): Promise<void> {}

  async describe(): Promise<NodeDescription> {
    this.#assertUp()
    return this.#description
  }

  async *logs(task: Task, query: LogsQuery, signal: AbortSignal): LogLines {
    const container = this.containers.get(task.id)
    if (!container)
      throw new StatusError('NotFound', `task ${task.id} has no container on this node`)
    const from = query.tail < 0 ? 0 : Math.max(0, container.lines.length - query.tail)
    let next = from
    for (;;) {
      for (; next < container.lines.length; next++) {
        const line = container.lines[next]
        if (line) yield line
      }
      if (!query.follow) return
      await sleep(this.#clock, 10, signal)
    }
  }

  async #call(act: Act, task: Task, durationMs: number, signal?: AbortSignal): Promise<void> {
    this.#assertUp()
    if (act !== 'observe') this.calls.push(`${act} ${containerName(task)}`)
    if (durationMs > 0) await sleep(this.#clock, durationMs, signal)
    this.#assertUp()
    const fault = this.#faults.find(
      ({ act: faulty, taskId, left }) =>
        left > 0 && faulty === act && (taskId ?? task.id) === task.id,
    )
    if (!fault) return
    fault.left -= 1
    throw fault.error
  }

  #container(taskId: string, name: string, phase: FakeContainer['phase']): FakeContainer {
    this.#ids += 1
    return {
      id: `fake-${this.#ids}`,
      name,
      taskId,
      phase,
      health: '',
      exitCode: 0,
      error: '',
      starts: 0,
      lines: [],
    }
  }

  #assertUp(): void {
    if (!this.#up) throw new StatusError('Unavailable', 'the engine on this node does not answer')
  }
}

function observation(container: FakeContainer | undefined): Observation {
  if (!container) return ABSENT
  const { phase, health, exitCode, error, id } = container
  const status: ContainerStatus = make(v1.ContainerStatus, {
    containerId: id,
    pid: phase === 'running' ? 1 : 0,
    exitCode,
    health: phase === 'running' ? health : '',
  })
  return {
    phase,
    health: phase === 'running' ? health : '',
    exitCode,
    error,
    container: status,
    ports: [],
  }
}
