// Any manager answers: a follower passes unary calls on to the leader, for the caller it has identified (Swarm row DP-22).
// An election is waited out for a bounded time, so that clients do not see it. A write whose connection broke on the way
// is not sent again: nobody knows whether it happened.
import * as grpc from '@grpc/grpc-js'
import { serviceDefinition } from '../../proto/grpc.ts'
import { v1 } from '../../proto/index.ts'
import { fromServiceError } from '../../proto/call.ts'
import type { Caller, HandlersOf, Outlet } from '../../proto/service.ts'
import type { Clock } from '../../runtime/clock.ts'
import { StatusError, hasCode, toStatusError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { FORWARDED_ADDRESS, FORWARDED_FOR } from './peer.ts'
import type { ServiceName } from './server.ts'
import { ANSWERED } from './status.ts'

/** Who leads, as this manager knows it now. */
export interface Leadership {
  /** Whether this manager leads and its loops may be asked. */
  isLeader(): boolean
  /** host:port of the leader's gRPC port, when another manager leads. */
  leaderAddress(): string | undefined
  /** Calls `listener` when either may have changed. Returns its cancel. */
  onChange(listener: () => void): () => void
}

export interface LeaderProxyOptions {
  readonly leadership: Leadership
  /** clientCredentials() of this manager. */
  readonly credentials: grpc.ChannelCredentials
  readonly clock: Clock
  readonly log: Log
  /** How long a call waits for a leader. Default 5,000 ms. */
  readonly waitMs?: number
  /** Limit of one forwarded call. Default 15,000 ms. */
  readonly timeoutMs?: number
}

const WAIT_MS = 5_000
const TIMEOUT_MS = 15_000
const CONNECT_MS = 1_000
const PAUSE_MS = 50
/** Messages of a passed-on stream that its reader may lag behind. */
const MAX_BACKLOG = 16
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024

type Method = grpc.MethodDefinition<unknown, unknown>
type Unary = (request: unknown, caller: Caller) => Promise<unknown>
type ServerStream = (request: unknown, outlet: Outlet<unknown>, caller: Caller) => void

/** A call answered by this manager, or by the one at `address`. */
interface Answer<T> {
  here(): Promise<T>
  there(address: string, giveUpMs: number): Promise<T>
}

export class LeaderProxy {
  readonly #options: LeaderProxyOptions
  #kept: { address: string; client: grpc.Client } | undefined

  constructor(options: LeaderProxyOptions) {
    this.#options = options
  }

  /**
   * `handlers` with every method but two-way streams answered by the leader, wherever it is. The methods named in
   * `here` are answered by this manager.
   */
  wrap<K extends ServiceName>(
    name: K,
    handlers: HandlersOf<K>,
    here: readonly (keyof HandlersOf<K>)[] = [],
  ): HandlersOf<K> {
    const wrapped: Record<string, unknown> = { ...(handlers as object) }
    for (const [key, method] of Object.entries(serviceDefinition(v1[name], v1))) {
      if (method.requestStream || (here as readonly string[]).includes(key)) continue
      if (method.responseStream) {
        const local = wrapped[key] as ServerStream
        wrapped[key] = (request: unknown, outlet: Outlet<unknown>, caller: Caller) =>
          this.#routeStream(method, local, request, outlet, caller)
      } else {
        const local = wrapped[key] as Unary
        wrapped[key] = (request: unknown, caller: Caller) =>
          this.#route(caller, {
            here: () => local(request, caller),
            there: (address, giveUpMs) => this.#forward(address, method, request, caller, giveUpMs),
          })
      }
    }
    return wrapped as HandlersOf<K>
  }

  close(): void {
    this.#kept?.client.close()
    this.#kept = undefined
  }

  #routeStream(
    method: Method,
    local: ServerStream,
    request: unknown,
    outlet: Outlet<unknown>,
    caller: Caller,
  ): void {
    const open = (client: grpc.Client): void => {
      const call = client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadataFor(caller),
      )
      relay(call, outlet, this.#options.clock)
    }
    this.#route(caller, {
      here: async () => local(request, outlet, caller),
      there: async (address, giveUpMs) => open(await this.#connect(address, giveUpMs)),
    }).catch((thrown: unknown) => outlet.end(toStatusError(thrown)))
  }

  async #route<T>(caller: Caller, answer: Answer<T>): Promise<T> {
    const { leadership, clock } = this.#options
    const giveUpMs = clock.monotonic() + (this.#options.waitMs ?? WAIT_MS)
    let failure: StatusError | undefined
    for (;;) {
      const address = leadership.leaderAddress()
      try {
        if (leadership.isLeader()) return await answer.here()
        if (caller.forwardedFrom !== undefined) throw notLeading(address)
        if (address !== undefined) return await answer.there(address, giveUpMs)
      } catch (thrown) {
        // Unavailable means that nothing was done: the store's own word, and a leader's that no longer leads.
        if (!hasCode(thrown, 'Unavailable') || caller.forwardedFrom !== undefined) throw thrown
        failure = thrown
      }
      const leftMs = giveUpMs - clock.monotonic()
      if (leftMs <= 0) throw noLeader(failure)
      await this.#changed(failure ? Math.min(PAUSE_MS, leftMs) : leftMs)
    }
  }

  /** Resolves when leadership changes, after `limitMs` at the latest. */
  #changed(limitMs: number): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        cancelTimer()
        cancelListener()
        resolve()
      }
      const cancelTimer = this.#options.clock.after(limitMs, done)
      const cancelListener = this.#options.leadership.onChange(done)
    })
  }

  async #forward(
    address: string,
    method: Method,
    request: unknown,
    caller: Caller,
    giveUpMs: number,
  ): Promise<unknown> {
    const { clock, log } = this.#options
    const client = await this.#connect(address, giveUpMs)
    const deadline = clock.now() + (this.#options.timeoutMs ?? TIMEOUT_MS)
    try {
      return await send(client, method, request, metadataFor(caller), deadline)
    } catch (thrown) {
      const broken = thrown as grpc.ServiceError
      const error = fromServiceError(broken)
      const answered = (broken.metadata?.get(ANSWERED) ?? []).length > 0
      if (answered) throw error
      log.warn('a call passed on to the leader broke', {
        address,
        method: method.path,
        error: error.message,
      })
      if (isRead(method.path)) throw new StatusError('Unavailable', error.message, { cause: error })
      throw new StatusError(
        'Aborted',
        `the connection to the leading manager (${address}) broke while it worked on this: whether it was done is not known; look, then try again`,
        { cause: error },
      )
    }
  }

  async #connect(address: string, giveUpMs: number): Promise<grpc.Client> {
    const { clock } = this.#options
    const client = this.#clientTo(address)
    const connectMs = Math.min(CONNECT_MS, giveUpMs - clock.monotonic())
    await this.#connected(client, address, clock.now() + Math.max(1, connectMs))
    return client
  }

  /** Resolves when the connection stands; gives up at once when somebody else leads, rather than wait for a dead host. */
  #connected(client: grpc.Client, address: string, deadlineMs: number): Promise<void> {
    const { leadership } = this.#options
    const unreachable = (cause?: Error): StatusError =>
      new StatusError('Unavailable', `the leading manager at ${address} cannot be reached`, {
        cause,
      })
    return new Promise((resolve, reject) => {
      const cancel = leadership.onChange(() => {
        if (!leadership.isLeader() && leadership.leaderAddress() === address) return
        cancel()
        reject(unreachable())
      })
      client.waitForReady(deadlineMs, cause => {
        cancel()
        if (cause) reject(unreachable(cause))
        else resolve()
      })
    })
  }

  #clientTo(address: string): grpc.Client {
    if (this.#kept?.address === address) return this.#kept.client
    this.close()
    const client = new grpc.Client(address, this.#options.credentials, {
      'grpc.max_receive_message_length': MAX_RESPONSE_BYTES,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.keepalive_time_ms': 5_000,
      'grpc.keepalive_timeout_ms': 3_000,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
    })
    this.#kept = { address, client }
    return client
  }
}

function metadataFor(caller: Caller): grpc.Metadata {
  const metadata = new grpc.Metadata()
  metadata.set(FORWARDED_FOR, `${caller.nodeId}:${caller.role}`)
  metadata.set(FORWARDED_ADDRESS, caller.address)
  return metadata
}

/** Hands the leader's messages on; a reader that lags makes the leader wait. */
function relay(
  call: grpc.ClientReadableStream<unknown>,
  outlet: Outlet<unknown>,
  clock: Clock,
): void {
  let ended = false
  outlet.onEnd(() => {
    ended = true
    call.cancel()
  })
  const resume = (): void => {
    if (ended) return
    if (outlet.backlog < MAX_BACKLOG) call.resume()
    else clock.after(PAUSE_MS, resume)
  }
  call.on('data', (message: unknown) => {
    outlet.send(message)
    if (outlet.backlog < MAX_BACKLOG) return
    call.pause()
    clock.after(PAUSE_MS, resume)
  })
  call.on('error', (error: Error) => outlet.end(fromServiceError(error)))
  call.on('end', () => outlet.end())
}

function send(
  client: grpc.Client,
  method: Method,
  request: unknown,
  metadata: grpc.Metadata,
  deadlineMs: number,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      { deadline: deadlineMs },
      (error, response) => (error ? reject(error) : resolve(response)),
    )
  })
}

/** Methods that change nothing may be sent twice. */
function isRead(path: string): boolean {
  return /\/(Get|List|Explain|Check)[A-Za-z]*$/.test(path)
}

function notLeading(leader: string | undefined): StatusError {
  const where = leader === undefined ? 'no leader is known here' : `the leader is at ${leader}`
  return new StatusError('Unavailable', `this manager does not lead; ${where}`)
}

function noLeader(cause: StatusError | undefined): StatusError {
  return new StatusError(
    'Unavailable',
    `no manager leads at the moment${cause ? ` (${cause.message})` : ''}; when most managers are up one will: skein node ls`,
    { cause },
  )
}
