import { connect as dial } from 'node:net'
import * as grpc from '@grpc/grpc-js'
import { fromServiceError, unary } from '../proto/call.ts'
import { clientDuplex } from '../proto/duplex.ts'
import { type Client, type UnaryCall, clientFor } from '../proto/grpc.ts'
import { v1 } from '../proto/index.ts'
import type { PlainOf } from '../proto/codec.ts'
import { Backoff } from '../runtime/backoff.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import { hasCode } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { Failure } from './failure.ts'
import { upload } from './upload.ts'

/** How long a question is asked again while the managers elect a leader. */
const RETRY_MS = 5_000
/** Writes wait for a commit, joins for a certificate. */
const CALL_TIMEOUT_MS = 30_000

/** The unary methods of a client as promises. They reject with StatusError. */
export type Asking<C> = {
  readonly [K in keyof C as C[K] extends UnaryCall<infer _Req, infer _Res>
    ? K
    : never]: C[K] extends UnaryCall<infer Req, infer Res> ? (request: Req) => Promise<Res> : never
}

type V1 = typeof v1
type ClientOf<K extends 'Local' | 'Control' | 'Logs' | 'Health'> = V1[K] extends {
  prototype: infer S
}
  ? Client<S, V1>
  : never
export type WatchRequest = Parameters<ClientOf<'Control'>['watch']>[0]
export type LogsRequest = Parameters<ClientOf<'Logs'>['subscribe']>[0]
export type WatchMessage = PlainOf<V1['WatchMessage']>
export type LogsMessage = PlainOf<V1['LogsMessage']>
export type BackupChunk = PlainOf<V1['BackupChunk']>
export type RestoreResponse = PlainOf<V1['RestoreResponse']>

/** What the daemon's socket offers. */
export interface Api {
  readonly local: Asking<ClientOf<'Local'>>
  readonly control: Asking<ClientOf<'Control'>>
  readonly health: Asking<ClientOf<'Health'>>
  /** Ends when the server ends it or the signal is aborted; throws StatusError when it breaks. */
  watch(request: WatchRequest, signal: AbortSignal): AsyncIterable<WatchMessage>
  logs(request: LogsRequest, signal: AbortSignal): AsyncIterable<LogsMessage>
  /** A backup file in pieces; ends and throws as watch() does. */
  backup(request: { readonly stale: boolean }, signal: AbortSignal): AsyncIterable<BackupChunk>
  /** Hands a whole backup file to the daemon. Rejects with StatusError. */
  restore(backup: Uint8Array, advertiseAddress: string): Promise<RestoreResponse>
  close(): void
}

export interface ConnectDeps {
  readonly clock: Clock
  readonly random: Random
  readonly interrupt: AbortSignal
}

/**
 * Connects to a daemon.
 *
 * @param host `unix:///path` or a plain path
 * @throws Failure that says why nothing answers there and how to start it
 */
export async function connect(host: string, deps: ConnectDeps): Promise<Api> {
  const path = socketPath(host)
  await probe(path)
  const target = `unix:${path}`
  const credentials = grpc.credentials.createInsecure()
  const options = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 }
  const local = clientFor(v1.Local, v1, target, credentials, options)
  const control = clientFor(v1.Control, v1, target, credentials, options)
  const logs = clientFor(v1.Logs, v1, target, credentials, options)
  const health = clientFor(v1.Health, v1, target, credentials, options)
  return {
    local: asking(v1.Local, local, deps),
    control: asking(v1.Control, control, deps),
    health: asking(v1.Health, health, deps),
    watch: (request, signal) => streamed(control.watch(request), signal),
    logs: (request, signal) => streamed(logs.subscribe(request), signal),
    backup: (request, signal) => streamed(local.backup(request), signal),
    restore: (backup, advertiseAddress) => {
      const stream = clientDuplex(local.restore())
      return upload<RestoreResponse>(stream, backup, { advertiseAddress }, deps.clock)
    },
    close() {
      for (const client of [local, control, logs, health]) client.close()
    },
  }
}

/** The path of a unix socket address. @throws Failure for any other kind of address */
export function socketPath(host: string): string {
  const path = host.replace(/^unix:(\/\/)?/, '')
  if (/^[a-z]+:\/\//.test(path) || !path.startsWith('/')) {
    throw new Failure(`"${host}" is no address of a daemon`, {
      exit: 125,
      next: ['name its socket: skein -H unix:///run/skein/control.sock …'],
    })
  }
  return path
}

/** One attempt to reach the socket: the kernel's reason is clearer than what gRPC makes of it. */
function probe(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = dial(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(path, error)))
  })
}

function unreachable(path: string, error: NodeJS.ErrnoException): Failure {
  if (error.code === 'EACCES') {
    return new Failure(`you may not talk to the daemon at ${path}`, {
      why: ['the socket is open to root and its group only'],
      next: ['run the command as root, or join the group that owns the socket'],
      cause: error,
    })
  }
  const why =
    error.code === 'ENOENT'
      ? 'the socket does not exist'
      : error.code === 'ECONNREFUSED'
        ? 'the socket exists but nobody listens: the daemon has ended'
        : error.message
  return new Failure(`no Skein daemon answers at ${path}`, {
    why: [why],
    next: ['start it with: skein daemon', 'or name another one: skein -H unix:///path …'],
    cause: error,
  })
}

/** Questions change nothing, so they are asked again while there is no leader. Writes never are. */
const QUESTION = /^(get|list|explain|info|check)/

function asking<C extends grpc.Client>(
  service: { prototype: object },
  client: C,
  deps: ConnectDeps,
): Asking<C> {
  const methods: Record<string, (request: unknown) => Promise<unknown>> = {}
  for (const name of Object.getOwnPropertyNames(service.prototype)) {
    if (name === 'constructor') continue
    const method = (client as unknown as Record<string, UnaryCall<unknown, unknown>>)[name]
    if (method === undefined) continue
    const once = (request: unknown): Promise<unknown> =>
      unary(client, method, request, { timeoutMs: CALL_TIMEOUT_MS, signal: deps.interrupt })
    methods[name] = QUESTION.test(name) ? request => patient(() => once(request), deps) : once
  }
  return methods as unknown as Asking<C>
}

/** Repeats `ask` while it says Unavailable, for RETRY_MS at most. */
async function patient<T>(ask: () => Promise<T>, deps: ConnectDeps): Promise<T> {
  const untilMs = deps.clock.monotonic() + RETRY_MS
  const backoff = new Backoff(deps.random, { firstMs: 50, maxMs: 500 })
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!hasCode(error, 'Unavailable') || deps.clock.monotonic() > untilMs) throw error
      await sleep(deps.clock, backoff.nextMs(), deps.interrupt)
    }
  }
}

async function* streamed<T>(
  call: grpc.ClientReadableStream<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  // Cancelling makes the call emit one last error, which nobody waits for any more.
  call.on('error', () => undefined)
  const cancel = (): void => call.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    if (signal.aborted) return
    for await (const message of call) yield message as T
  } catch (error) {
    if (!signal.aborted) throw fromServiceError(error as Error)
  } finally {
    signal.removeEventListener('abort', cancel)
    call.cancel()
  }
}
