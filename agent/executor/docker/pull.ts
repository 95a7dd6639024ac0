import type { ContainerSpec } from '../../../proto/index.ts'
import type { Clock } from '../../../runtime/clock.ts'
import { StatusError, toStatusError } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { AgentMetrics, PullResult } from '../../metrics.ts'
import { readJsonLines } from './json-lines.ts'
import type { Engine } from './engine.ts'
import { pullFailure } from './failure.ts'

/** A pull that says nothing for so long is given up. */
const STALL_MS = 120_000

interface Progress {
  readonly error?: string
  readonly id?: string
  readonly status?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
}

/** Brings images to the node. Tasks that wait for one image share one pull, which goes on when a task leaves. */
export class Puller {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #log: Log
  readonly #metrics: AgentMetrics
  readonly #running = new Map<string, Promise<void>>()

  constructor(deps: {
    readonly engine: Engine
    readonly clock: Clock
    readonly log: Log
    readonly metrics: AgentMetrics
  }) {
    this.#engine = deps.engine
    this.#clock = deps.clock
    this.#log = deps.log
    this.#metrics = deps.metrics
  }

  /**
   * Makes sure the image is here, as the pull policy says (Swarm row EX-04: a failed pull matters only when there is no
   * local image).
   *
   * @throws StatusError NotFound, PermissionDenied, InvalidArgument; Unavailable when the registry may yet answer
   */
  async ensure(spec: ContainerSpec, signal: AbortSignal): Promise<void> {
    const { image } = spec
    const policy = spec.pull?.policy || 'missing'
    const present = await this.#present(image)
    const pinned = image.includes('@sha256:')
    if (present && (policy !== 'always' || pinned)) return this.#metrics.pullSaved()
    if (policy === 'never') {
      throw new StatusError(
        'NotFound',
        `image ${image} not found on this node and its pull policy is never`,
      )
    }
    try {
      await abortable(this.#shared(spec), signal)
    } catch (error) {
      if (signal.aborted || !present) throw error
      this.#log.warn('pull failed, the local image is used', {
        image,
        error: toStatusError(error).message,
      })
    }
  }

  async #present(image: string): Promise<boolean> {
    const path = `/images/${image.split('/').map(encodeURIComponent).join('/')}/json`
    const found = await this.#engine.find({ operation: 'inspect image', method: 'GET', path })
    return found !== undefined
  }

  #shared(spec: ContainerSpec): Promise<void> {
    const key = [spec.image, spec.platform, spec.pull?.registryAuth ?? ''].join('\n')
    const running = this.#running.get(key)
    if (running) return running
    const pull = this.#pull(spec).finally(() => this.#running.delete(key))
    this.#running.set(key, pull)
    return pull
  }

  async #pull(spec: ContainerSpec): Promise<void> {
    const sinceMs = this.#clock.monotonic()
    const bytes = new Map<string, number>()
    let result: PullResult = 'error'
    this.#metrics.pullStarted()
    try {
      await this.#read(spec, bytes)
      result = 'pulled'
    } catch (thrown) {
      const error = pullFailure(spec.image, toStatusError(thrown))
      result = resultOf(error, thrown)
      throw error
    } finally {
      const seconds = (this.#clock.monotonic() - sinceMs) / 1_000
      const total = [...bytes.values()].reduce((sum, layer) => sum + layer, 0)
      this.#metrics.pullEnded(result, seconds, total)
    }
  }

  async #read(spec: ContainerSpec, bytes: Map<string, number>): Promise<void> {
    const stream = await this.#engine.stream({
      operation: 'pull image',
      method: 'POST',
      path: '/images/create',
      query: { fromImage: withTag(spec.image), ...(spec.platform && { platform: spec.platform }) },
      timeoutMs: STALL_MS,
      ...(spec.pull?.registryAuth && { registryAuth: spec.pull.registryAuth }),
    })
    const giveUp = (): void =>
      void stream.destroy(
        new StatusError('DeadlineExceeded', `nothing came for ${STALL_MS / 1_000} s`),
      )
    let cancel = this.#clock.after(STALL_MS, giveUp)
    try {
      for await (const line of readJsonLines<Progress>(stream)) {
        cancel()
        cancel = this.#clock.after(STALL_MS, giveUp)
        if (line.error !== undefined) throw new StatusError('Internal', line.error)
        if (line.status === 'Downloading' && line.id)
          bytes.set(line.id, line.progressDetail?.current ?? 0)
      }
    } finally {
      cancel()
      stream.destroy()
    }
  }
}

/** `app` would pull every tag there is; the engine's command line adds :latest as we do here. */
export function withTag(image: string): string {
  const last = image.slice(image.lastIndexOf('/') + 1)
  return last.includes(':') || last.includes('@') ? image : `${image}:latest`
}

function resultOf(error: StatusError, thrown: unknown): PullResult {
  if (error.code === 'NotFound') return 'not_found'
  if (error.code === 'PermissionDenied') return 'denied'
  return toStatusError(thrown).code === 'DeadlineExceeded' ? 'timeout' : 'error'
}

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new StatusError('Cancelled', 'the task is wanted no more'))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
