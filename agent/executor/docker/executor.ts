import type Dockerode from 'dockerode'
import { make } from '../../../proto/codec.ts'
import { type LogsQuery, type NodeDescription, type Task, v1 } from '../../../proto/index.ts'
import type { Clock } from '../../../runtime/clock.ts'
import { StatusError, messageOf } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { PrivateFiles } from '../../../runtime/private-files.ts'
import type { Random } from '../../../runtime/random.ts'
import { containerName } from '../../../services/model/task.ts'
import type { AgentMetrics } from '../../metrics.ts'
import type { Networks } from '../../network/types.ts'
import { TaskFiles } from '../files.ts'
import type { ContainerSummary, Controller, Executor, LogLines, TaskObjects } from '../types.ts'
import { Adapter } from './adapter.ts'
import { DockerController } from './controller.ts'
import { readLines, splitFrames } from './demux.ts'
import { describeNode } from './describe.ts'
import { Engine } from './engine.ts'
import { followEvents } from './events.ts'
import { Puller } from './pull.ts'

/** Grace of a container that says none of its own, milliseconds (the engine's default). */
const DEFAULT_GRACE_MS = 10_000

export interface DockerExecutorDeps {
  readonly docker: Dockerode
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: AgentMetrics
  readonly networks: Networks
  readonly privateFiles: PrivateFiles
  readonly nodeId: string
  readonly clusterId: string
  /** The agent's run directory; secrets and configs lie below it on a tmpfs. */
  readonly runDir: string
}

/** Runs tasks as containers of the node's Docker Engine. */
export class DockerExecutor implements Executor {
  readonly #deps: DockerExecutorDeps
  readonly #adapter: Adapter
  readonly #puller: Puller
  readonly #files: TaskFiles
  /** Tasks whose containers ran out of memory and are not removed yet. */
  readonly #outOfMemory = new Set<string>()
  #apiVersion: Promise<string> | undefined

  constructor(deps: DockerExecutorDeps) {
    this.#deps = deps
    const engine = new Engine(deps.docker, deps.clock, deps.metrics)
    this.#adapter = new Adapter(engine)
    this.#puller = new Puller({ ...deps, engine })
    this.#files = new TaskFiles(deps.privateFiles, `${deps.runDir}/files`)
  }

  controller(task: Task, objects: TaskObjects): Controller {
    const { networks, clusterId, clock, log } = this.#deps
    return new DockerController(task, objects, {
      clock,
      outOfMemory: this.#outOfMemory,
      adapter: this.#adapter,
      puller: this.#puller,
      files: this.#files,
      networks,
      clusterId,
      log: log.child({ task_id: task.id }),
      apiVersion: () => this.#version(),
    })
  }

  list(): Promise<readonly ContainerSummary[]> {
    return this.#adapter.list(this.#deps.clusterId, this.#deps.nodeId)
  }

  async discard(containerId: string): Promise<void> {
    const inspect = await this.#adapter.inspect(containerId)
    if (!inspect) return
    const graceMs = (inspect.Config.StopTimeout ?? DEFAULT_GRACE_MS / 1_000) * 1_000
    await this.#adapter.stop(containerId, graceMs)
    await this.#adapter.remove(containerId)
  }

  watch(listener: (taskId: string | undefined) => void): () => void {
    const abort = new AbortController()
    const { clusterId, nodeId, log } = this.#deps
    const open = (signal: AbortSignal) => this.#adapter.events(signal, clusterId, nodeId)
    const onOutOfMemory = (taskId: string): void => void this.#outOfMemory.add(taskId)
    followEvents({ ...this.#deps, open }, listener, onOutOfMemory, abort.signal).catch(
      (error: unknown) =>
        log.error('engine events are no longer followed', { error: messageOf(error) }),
    )
    return () => abort.abort()
  }

  tidy(taskIds: ReadonlySet<string>): Promise<void> {
    return this.#files.keepOnly(taskIds)
  }

  async describe(): Promise<NodeDescription> {
    const [info, version] = await Promise.all([this.#adapter.info(), this.#adapter.version()])
    this.#apiVersion = Promise.resolve(version.ApiVersion)
    const description = describeNode(info, version)
    const { engine } = description
    if (engine) this.#deps.metrics.engineInfo(engine)
    return description
  }

  async *logs(task: Task, query: LogsQuery, signal: AbortSignal): LogLines {
    const inspect = await this.#adapter.inspect(containerName(task))
    if (!inspect) throw new StatusError('NotFound', `task ${task.id} has no container on this node`)
    const { Tty: tty } = inspect.Config
    const stream = await this.#adapter.logs(inspect.Id, query, signal)
    try {
      for await (const line of readLines(splitFrames(stream, tty), tty)) {
        yield { ...make(v1.LogEntry, { taskId: task.id, nodeId: task.nodeId }), ...line }
      }
    } finally {
      stream.destroy()
    }
  }

  /** Asked once, however many tasks wait for it; again after a failure. */
  #version(): Promise<string> {
    this.#apiVersion ??= this.#adapter
      .version()
      .then(({ ApiVersion }) => ApiVersion)
      .catch((error: unknown) => {
        this.#apiVersion = undefined
        throw error
      })
    return this.#apiVersion
  }
}
