import type { Task } from '../../../proto/index.ts'
import { type Clock, sleep } from '../../../runtime/clock.ts'
import { hasCode, messageOf, toStatusError } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import { containerName } from '../../../services/model/task.ts'
import { expandTask } from '../../../services/template/expand.ts'
import type { Networks, TaskNetworking } from '../../network/types.ts'
import type { TaskFiles } from '../files.ts'
import { ABSENT, type Controller, type Observation, type TaskObjects } from '../types.ts'
import type { Adapter, Inspect } from './adapter.ts'
import { connectBodies, containerSpec, createBody, stopTimeoutSeconds } from './convert.ts'
import {
  LAST_LINES,
  containerStatus,
  exitFailure,
  healthFailure,
  healthOf,
  phaseOf,
  runFailure,
} from './failure.ts'
import { volumeBodies } from './mounts.ts'
import { missingObjects, payloadFiles, resolvFile } from './payloads.ts'
import { boundPorts } from './ports.ts'
import type { Puller } from './pull.ts'

const NETWORKS_TIMEOUT_MS = 30_000
/** How far the kernel's word of an out-of-memory kill may come behind the exit. */
const OOM_LAG_MS = 250
const SIGKILL_EXIT = 137
const NO_NETWORKING: TaskNetworking = { attachments: [], dns: [], resolvConf: undefined }

export interface ControllerDeps {
  readonly adapter: Adapter
  readonly puller: Puller
  readonly networks: Networks
  readonly files: TaskFiles
  readonly clusterId: string
  readonly clock: Clock
  readonly log: Log
  /** Tasks of which the engine said that a process was killed for want of memory; removed ones are taken out. */
  readonly outOfMemory: Set<string>
  /** The engine's API version. */
  apiVersion(): Promise<string>
}

/** The life of one task's container on a Docker Engine. Its name is the task's alone, so finding it is adopting it. */
export class DockerController implements Controller {
  readonly #deps: ControllerDeps
  readonly #task: Task
  readonly #objects: TaskObjects
  readonly #name: string
  /** Read once: an exited container says nothing more. */
  #lastLines: readonly string[] | undefined
  #stopping = false
  #waited = false
  /** What observe() saw last; until it has looked, nothing is known. */
  #phase: Observation['phase'] | undefined

  constructor(task: Task, objects: TaskObjects, deps: ControllerDeps) {
    this.#task = task
    this.#objects = objects
    this.#deps = deps
    this.#name = containerName(task)
  }

  async observe(): Promise<Observation> {
    const found = await this.#deps.adapter.inspect(this.#name)
    this.#phase = found ? phaseOf(found.State.Status) : 'absent'
    if (!found) return ABSENT
    const inspect = await this.#withMemoryKill(found)
    const phase = phaseOf(inspect.State.Status)
    const error = await this.#errorOf(inspect, phase)
    return {
      phase,
      health: phase === 'running' ? healthOf(inspect) : '',
      exitCode: inspect.State.ExitCode,
      error,
      container: containerStatus(inspect, this.#lastLines ?? []),
      ports: boundPorts(this.#task, inspect.NetworkSettings.Ports),
    }
  }

  missing(): readonly string[] {
    return missingObjects(this.#task, this.#objects)
  }

  async prepare(signal: AbortSignal): Promise<void> {
    const { adapter, puller, clusterId } = this.#deps
    const task = { ...this.#task, spec: expandTask(this.#task, this.#objects.node()) }
    const spec = containerSpec(task)
    const payloads = payloadFiles(task, this.#objects)
    // What was just seen to be absent is not looked for again: should it be there all the same, create says so.
    const existing = this.#phase === 'absent' ? undefined : await adapter.inspect(this.#name)
    if (existing && phaseOf(existing.State.Status) !== 'created') return
    const [networking, apiVersion] = await Promise.all([
      this.#network(task),
      this.#deps.apiVersion(),
      existing ? undefined : puller.ensure(spec, signal),
    ])
    signal.throwIfAborted()
    const resolv =
      networking.resolvConf === undefined ? [] : [resolvFile(task, networking.resolvConf)]
    const files = await this.#deps.files.write(task.id, [...payloads, ...resolv])
    if (!existing)
      for (const volume of volumeBodies(spec.mounts)) await adapter.createVolume(volume)
    signal.throwIfAborted()
    const body = createBody(task, { clusterId, networking, files, apiVersion })
    const created = existing?.Id ?? (await this.#create(body, spec.platform, spec.image))
    await this.#connect(created, { networking, apiVersion })
  }

  async start(): Promise<void> {
    const { adapter, networks, log } = this.#deps
    const inspect = await adapter.inspect(this.#name)
    // A container is started once in its life (Swarm row EX-05).
    if (!inspect || phaseOf(inspect.State.Status) !== 'created') return
    try {
      await adapter.start(inspect.Id)
    } catch (error) {
      throw runFailure(containerSpec(this.#task).image, toStatusError(error))
    }
    if (this.#task.networks.length === 0) return
    // It runs whether or not its bridge ports have their flags yet; what this misses, the network's reconciliation sets.
    networks
      .started(this.#task)
      .catch((error: unknown) =>
        log.warn('network flags of a started task are not set yet', { error: messageOf(error) }),
      )
  }

  async stop(): Promise<void> {
    this.#stopping = true
    const graceMs = stopTimeoutSeconds(containerSpec(this.#task)) * 1_000
    await this.#deps.adapter.stop(this.#name, graceMs)
  }

  async release(): Promise<void> {
    await this.#deps.files.wipe(this.#task.id)
  }

  async remove(): Promise<void> {
    await this.#deps.adapter.remove(this.#name)
    this.#deps.outOfMemory.delete(this.#task.id)
    await this.release()
  }

  /** An engine under load may hear of the kill after the exit, and then never writes it into the container's state. */
  async #withMemoryKill(inspect: Inspect): Promise<Inspect> {
    const { State: state, HostConfig: host } = inspect
    const suspect = !state.Running && state.ExitCode === SIGKILL_EXIT && !state.OOMKilled
    if (!suspect || this.#stopping || !host.Memory) return inspect
    const { clock, outOfMemory } = this.#deps
    if (!outOfMemory.has(this.#task.id) && !this.#waited) await sleep(clock, OOM_LAG_MS)
    this.#waited = true
    if (!outOfMemory.has(this.#task.id)) return inspect
    return { ...inspect, State: { ...state, OOMKilled: true } }
  }

  async #errorOf(inspect: Inspect, phase: Observation['phase']): Promise<string> {
    if (phase === 'running') return healthOf(inspect) === 'unhealthy' ? healthFailure(inspect) : ''
    if (phase !== 'exited') return ''
    const error = exitFailure(inspect)
    if (error !== '') this.#lastLines ??= await this.#deps.adapter.lastLines(inspect, LAST_LINES)
    return error
  }

  async #network(task: Task): Promise<TaskNetworking> {
    if (task.networks.length === 0) return NO_NETWORKING
    return this.#deps.networks.prepare(task, NETWORKS_TIMEOUT_MS)
  }

  async #create(
    body: Parameters<Adapter['create']>[1],
    platform: string,
    image: string,
  ): Promise<string> {
    try {
      return await this.#deps.adapter.create(this.#name, body, platform)
    } catch (error) {
      // An earlier call that was not heard to its end made it.
      const made = hasCode(error, 'AlreadyExists') && (await this.#deps.adapter.inspect(this.#name))
      if (made) return made.Id
      throw runFailure(image, toStatusError(error))
    }
  }

  /** Connects what create could not, leaving out what an earlier try connected. */
  async #connect(
    id: string,
    around: { readonly networking: TaskNetworking; readonly apiVersion: string },
  ): Promise<void> {
    const bodies = connectBodies(id, around)
    if (bodies.length === 0) return
    const inspect = await this.#deps.adapter.inspect(id)
    for (const { network, body } of bodies) {
      if (inspect?.NetworkSettings.Networks[network]) continue
      await this.#deps.adapter.connect(network, body)
    }
  }
}
