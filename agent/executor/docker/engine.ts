import type { Readable } from 'node:stream'
import type Dockerode from 'dockerode'
import type { Clock } from '../../../runtime/clock.ts'
import { type Code, StatusError, messageOf } from '../../../runtime/errors.ts'
import type { AgentMetrics } from '../../metrics.ts'

/** Time an ordinary call has, milliseconds. */
const CALL_MS = 60_000

export interface EngineRequest {
  /** What is done, for errors and metrics: `create container`. */
  readonly operation: string
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: object
  /** Default one minute. For a stream: until its first byte may be read. */
  readonly timeoutMs?: number
  /** Base64, as X-Registry-Auth takes it. */
  readonly registryAuth?: string
  readonly signal?: AbortSignal
}

const FINE = { 101: true, 200: true, 201: true, 202: true, 204: true, 304: true }

/** Calls the node's engine through dockerode, each call with a time limit and the engine's own words in its errors. */
export class Engine {
  readonly #docker: Dockerode
  readonly #clock: Clock
  readonly #metrics: AgentMetrics

  constructor(docker: Dockerode, clock: Clock, metrics: AgentMetrics) {
    this.#docker = docker
    this.#clock = clock
    this.#metrics = metrics
  }

  /** The decoded answer. @throws StatusError with the engine's message; Unavailable when it does not answer */
  async call<T>(request: EngineRequest): Promise<T> {
    return (await this.#dial(request, false)) as T
  }

  /** The answer's bytes as they come. The caller destroys the stream, or aborts its signal. */
  async stream(request: EngineRequest): Promise<Readable> {
    return (await this.#dial(request, true)) as Readable
  }

  /** As call(), undefined when the engine knows no such thing. */
  async find<T>(request: EngineRequest): Promise<T | undefined> {
    try {
      return await this.call<T>(request)
    } catch (error) {
      if (error instanceof StatusError && error.code === 'NotFound') return undefined
      throw error
    }
  }

  #dial(request: EngineRequest, isStream: boolean): Promise<unknown> {
    const { operation, signal } = request
    const timeoutMs = request.timeoutMs ?? CALL_MS
    const sinceMs = this.#clock.monotonic()
    const abort = new AbortController()
    const onAbort = (): void => abort.abort()
    return new Promise<unknown>((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        reject(
          new StatusError(
            'DeadlineExceeded',
            `engine: ${operation} took longer than ${timeoutMs} ms`,
          ),
        )
        abort.abort()
      })
      if (signal?.aborted) abort.abort()
      // A stream outlives this call, so its signal stays listened to until the stream has ended.
      signal?.addEventListener('abort', onAbort, { once: true })
      const options = dialOptions(request, isStream, abort.signal)
      this.#docker.modem.dial(options, (error: unknown, answer: unknown) => {
        cancel()
        if (!isStream || error) signal?.removeEventListener('abort', onAbort)
        else (answer as Readable).once('close', () => signal?.removeEventListener('abort', onAbort))
        const failure = error ? engineError(operation, error) : undefined
        const code = failure ? failure.code : 'OK'
        this.#metrics.engineCall(operation, code, (this.#clock.monotonic() - sinceMs) / 1_000)
        if (failure) reject(failure)
        else resolve(answer)
      })
    })
  }
}

function dialOptions(
  request: EngineRequest,
  isStream: boolean,
  abortSignal: AbortSignal,
): Parameters<Dockerode['modem']['dial']>[0] {
  return {
    path: `${request.path}?`,
    method: request.method,
    options: { _query: request.query ?? {}, _body: request.body ?? {} },
    statusCodes: FINE,
    isStream,
    abortSignal,
    ...(request.registryAuth && { authconfig: { base64: request.registryAuth } }),
  }
}

const CODES: Readonly<Record<number, Code>> = {
  400: 'InvalidArgument',
  401: 'Unauthenticated',
  403: 'PermissionDenied',
  404: 'NotFound',
  409: 'AlreadyExists',
  500: 'Internal',
  503: 'Unavailable',
}

interface DialError {
  readonly statusCode?: number
  readonly json?: unknown
  readonly code?: string
  readonly name?: string
}

/** What dockerode threw as a StatusError with the engine's own message. */
export function engineError(operation: string, thrown: unknown): StatusError {
  const error = thrown as DialError
  if (error.statusCode !== undefined) {
    const code = CODES[error.statusCode] ?? 'Internal'
    return new StatusError(code, bodyMessage(error.json) ?? bareMessage(thrown), {
      cause: thrown,
    })
  }
  if (error.name === 'AbortError') {
    return new StatusError('Cancelled', `engine: ${operation} was called off`, { cause: thrown })
  }
  const message = `the engine on this node does not answer (${operation}): ${messageOf(thrown)}`
  return new StatusError('Unavailable', message, { cause: thrown })
}

/** dockerode puts its own words in front where it read the body as a stream: `(HTTP code 500) unexpected - …`. */
function bareMessage(thrown: unknown): string {
  return messageOf(thrown)
    .replace(/^\(HTTP code \d+\) [^-]* - /, '')
    .trim()
}

function bodyMessage(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const { message } = json as { message?: unknown }
  return typeof message === 'string' ? message.trim() : undefined
}
