import type { Readable } from 'node:stream'
import type Dockerode from 'dockerode'
import type { LogsQuery } from '../../../proto/index.ts'
import { StatusError, hasCode } from '../../../runtime/errors.ts'
import type { ContainerSummary } from '../types.ts'
import type { CreateBody, ConnectBody, VolumeBody } from './body.ts'
import { splitFrames } from './demux.ts'
import type { Engine } from './engine.ts'
import { phaseOf } from './failure.ts'
import { Gate } from './gate.ts'
import { CLUSTER, NODE_ID, TASK_ID } from './labels.ts'

/**
 * Containers the engine creates or starts at once. It does them one after the other for the most part; asked for a
 * hundred at once, each would take as long as all and run into its time limit.
 */
const MAX_STARTING = 8
/** Beyond the container's own grace, for the kill that follows it. */
const STOP_MARGIN_MS = 20_000

export type Inspect = Dockerode.ContainerInspectInfo & {
  readonly Config: { readonly StopTimeout?: number }
}

interface Listed {
  readonly Id: string
  readonly State: string
  readonly Labels: Readonly<Record<string, string>> | null
}

/** The engine calls the executor makes, one method each; all throw StatusError with the engine's message. */
export class Adapter {
  readonly #engine: Engine
  readonly #starting = new Gate(MAX_STARTING)

  constructor(engine: Engine) {
    this.#engine = engine
  }

  inspect(name: string): Promise<Inspect | undefined> {
    const path = `/containers/${encodeURIComponent(name)}/json`
    return this.#engine.find<Inspect>({ operation: 'inspect container', method: 'GET', path })
  }

  /** The new container's id. */
  async create(name: string, body: CreateBody, platform: string): Promise<string> {
    const created = await this.#starting.run(() =>
      this.#engine.call<{ readonly Id: string }>({
        operation: 'create container',
        method: 'POST',
        path: '/containers/create',
        query: { name, ...(platform && { platform }) },
        body,
      }),
    )
    return created.Id
  }

  async connect(network: string, body: ConnectBody): Promise<void> {
    const path = `/networks/${encodeURIComponent(network)}/connect`
    await this.#engine.call({ operation: 'connect network', method: 'POST', path, body })
  }

  async start(id: string): Promise<void> {
    const path = `/containers/${id}/start`
    await this.#starting.run(() =>
      this.#engine.call({ operation: 'start container', method: 'POST', path }),
    )
  }

  /** Stop signal, the container's grace, SIGKILL. A container that does not run is stopped. */
  async stop(id: string, graceMs: number): Promise<void> {
    const timeoutMs = graceMs + STOP_MARGIN_MS
    const path = `/containers/${id}/stop`
    try {
      await this.#engine.call({ operation: 'stop container', method: 'POST', path, timeoutMs })
    } catch (error) {
      if (hasCode(error, 'NotFound')) return
      if (!hasCode(error, 'DeadlineExceeded')) throw error
      await this.kill(id)
    }
  }

  async kill(id: string): Promise<void> {
    const path = `/containers/${id}/kill`
    await this.#engine.call({ operation: 'kill container', method: 'POST', path })
  }

  /** With its anonymous volumes. A container that does not exist is removed. */
  async remove(id: string): Promise<void> {
    const path = `/containers/${id}`
    const query = { v: true, force: true }
    try {
      await this.#engine.find({ operation: 'remove container', method: 'DELETE', path, query })
    } catch (error) {
      // "removal of container … is already in progress"
      if (!hasCode(error, 'AlreadyExists')) throw error
      throw new StatusError('Aborted', error.message, { cause: error })
    }
  }

  async createVolume(body: VolumeBody): Promise<void> {
    await this.#engine.call({
      operation: 'create volume',
      method: 'POST',
      path: '/volumes/create',
      body,
    })
  }

  /** Every container of this node of this cluster that belongs to a task. */
  async list(clusterId: string, nodeId: string): Promise<readonly ContainerSummary[]> {
    const label = [TASK_ID, `${CLUSTER}=${clusterId}`, `${NODE_ID}=${nodeId}`]
    const listed = await this.#engine.call<readonly Listed[]>({
      operation: 'list containers',
      method: 'GET',
      path: '/containers/json',
      query: { all: true, filters: JSON.stringify({ label }) },
    })
    return listed.map(container => ({
      containerId: container.Id,
      taskId: container.Labels?.[TASK_ID] ?? '',
      phase: phaseOf(container.State),
    }))
  }

  /** The container's log as the engine frames it, each line with its time. */
  logs(id: string, query: LogsQuery, signal?: AbortSignal): Promise<Readable> {
    return this.#engine.stream({
      operation: 'read logs',
      method: 'GET',
      path: `/containers/${id}/logs`,
      query: {
        timestamps: true,
        follow: query.follow,
        stdout: query.stdout,
        stderr: query.stderr,
        tail: query.tail < 0 ? 'all' : String(query.tail),
        ...(query.sinceMs > 0 && { since: seconds(query.sinceMs) }),
        ...(query.untilMs > 0 && { until: seconds(query.untilMs) }),
      },
      ...(signal && { signal }),
    })
  }

  /** The last lines of both streams, without times. Empty when the log driver keeps none. */
  async lastLines(inspect: Inspect, count: number): Promise<readonly string[]> {
    const query = { stdout: true, stderr: true, tail: String(count) }
    const path = `/containers/${inspect.Id}/logs`
    try {
      const stream = await this.#engine.stream({
        operation: 'read logs',
        method: 'GET',
        path,
        query,
        timeoutMs: 5_000,
      })
      const decoder = new TextDecoder()
      const lines: string[] = []
      for await (const frame of splitFrames(stream, inspect.Config.Tty)) {
        lines.push(
          ...decoder
            .decode(frame.data)
            .split(/\r?\n/)
            .filter(line => line !== ''),
        )
      }
      return lines.slice(-count)
    } catch {
      // Why it failed is known; its last words are a courtesy a log driver may refuse.
      return []
    }
  }

  events(signal: AbortSignal, clusterId: string, nodeId: string): Promise<Readable> {
    const label = [TASK_ID, `${CLUSTER}=${clusterId}`, `${NODE_ID}=${nodeId}`]
    const query = { filters: JSON.stringify({ type: ['container'], label }) }
    return this.#engine.stream({
      operation: 'read events',
      method: 'GET',
      path: '/events',
      query,
      signal,
    })
  }

  info(): Promise<EngineInfo> {
    return this.#engine.call({ operation: 'info', method: 'GET', path: '/info' })
  }

  version(): Promise<EngineVersion> {
    return this.#engine.call({
      operation: 'version',
      method: 'GET',
      path: '/version',
      timeoutMs: 10_000,
    })
  }
}

/** GET /info, as far as it is read. */
export interface EngineInfo {
  readonly ID?: string
  readonly Name: string
  readonly NCPU: number
  readonly MemTotal: number
  readonly Driver: string
  readonly CgroupVersion?: string
  readonly KernelVersion: string
  readonly OperatingSystem: string
  readonly OSType: string
  readonly Architecture: string
  readonly Labels?: readonly string[] | null
  readonly Plugins?: Readonly<Record<string, readonly string[] | null>> | null
  readonly GenericResources?:
    | readonly {
        readonly DiscreteResourceSpec?: { readonly Kind: string; readonly Value: number }
        readonly NamedResourceSpec?: { readonly Kind: string; readonly Value: string }
      }[]
    | null
}

/** GET /version, as far as it is read. */
export interface EngineVersion {
  readonly Version: string
  readonly ApiVersion: string
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(3)
}
