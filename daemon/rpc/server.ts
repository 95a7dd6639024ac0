// From plain handlers to grpc-js: who calls, may they, errors to statuses, counting. Nothing a caller sends or a handler
// throws ends the process.
import * as grpc from '@grpc/grpc-js'
import type { Registry } from 'prom-client'
import { serverDuplex } from '../../proto/duplex.ts'
import { serviceDefinition } from '../../proto/grpc.ts'
import { v1 } from '../../proto/index.ts'
import type { Caller, HandlersOf } from '../../proto/service.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { authorize } from './authorize.ts'
import { serverMetrics, type MethodMetrics } from './metrics.ts'
import type { AnyCall } from './peer.ts'
import { LEADER, answerOf, grpcStatus, headerText } from './status.ts'

/** Largest request, bytes. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024

export interface RpcOptions {
  /** certificateIdentifier() or localIdentifier(). */
  readonly identify: (call: AnyCall) => Caller
  readonly log: Log
  readonly registry: Registry
  readonly clock: Clock
  /** Address of the leader when it is another manager, for the trailer of refusals. */
  readonly leaderAddress?: () => string | undefined
}

export type ServiceName = 'CA' | 'Control' | 'Dispatcher' | 'Health' | 'Local' | 'Logs' | 'Raft'

/** A server with the limits every listener of a node has. Bind it with ReplaceableCredentials, or on unix: insecurely. */
export function createRpcServer(): grpc.Server {
  return new grpc.Server({
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    'grpc.max_concurrent_streams': 4_096,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
  })
}

/** Serves `handlers` as skein.v1.`name`. */
export function addService<K extends ServiceName>(
  server: grpc.Server,
  name: K,
  handlers: HandlersOf<K>,
  options: RpcOptions,
): void {
  const definition = serviceDefinition(v1[name], v1)
  const metricsOf = serverMetrics(options.registry)
  const implementation: Record<string, grpc.UntypedHandleCall> = {}
  const tolerant: Record<string, grpc.MethodDefinition<unknown, unknown>> = {}
  for (const [method, info] of Object.entries(definition)) {
    const metrics = metricsOf(typeOf(info), info.path)
    const handler = (handlers as Record<string, unknown>)[method]
    implementation[method] = wrap(info, handler, metrics, options)
    tolerant[method] = { ...info, requestDeserialize: bytes => decode(info, bytes) }
  }
  server.addService(tolerant, implementation)
}

type MethodInfo = grpc.MethodDefinition<unknown, unknown>
type UnaryHandler = (request: unknown, caller: Caller) => Promise<unknown>
type OutletHandler = (request: unknown, outlet: object, caller: Caller) => void
type BidiHandler = (stream: object, caller: Caller) => void

/** A message that could not be decoded, so that its caller hears InvalidArgument and not grpc-js's Internal. */
class Malformed {
  readonly error: StatusError

  constructor(path: string, cause: unknown) {
    this.error = new StatusError(
      'InvalidArgument',
      `the message sent to ${path} cannot be decoded; is the caller of another version?`,
      { cause },
    )
  }
}

function decode(info: MethodInfo, bytes: Buffer): unknown {
  try {
    return info.requestDeserialize(bytes)
  } catch (cause) {
    return new Malformed(info.path, cause)
  }
}

function wrap(
  info: MethodInfo,
  handler: unknown,
  metrics: MethodMetrics,
  options: RpcOptions,
): grpc.UntypedHandleCall {
  const admit = (call: AnyCall): Caller => {
    const caller = options.identify(call)
    authorize(info.path, caller)
    return caller
  }
  const run = { info, metrics, options, admit }
  if (!info.responseStream) return unaryCall(run, handler as UnaryHandler)
  return info.requestStream
    ? bidiCall(run, handler as BidiHandler)
    : outletCall(run, handler as OutletHandler)
}

interface Run {
  readonly info: MethodInfo
  readonly metrics: MethodMetrics
  readonly options: RpcOptions
  readonly admit: (call: AnyCall) => Caller
}

function unaryCall(run: Run, handler: UnaryHandler): grpc.handleUnaryCall<unknown, unknown> {
  const { info, metrics, options } = run
  const answer = async (call: grpc.ServerUnaryCall<unknown, unknown>): Promise<unknown> => {
    const caller = run.admit(call)
    if (call.request instanceof Malformed) throw call.request.error
    return handler(call.request, caller)
  }
  return (call, reply) => {
    const startedMs = options.clock.monotonic()
    const finish = (code: string): void =>
      metrics.handled(code, (options.clock.monotonic() - startedMs) / 1000)
    metrics.started()
    void answer(call).then(
      response => {
        finish('OK')
        reply(null, response)
      },
      (thrown: unknown) => {
        const error = answerOf(thrown, info.path, options.log)
        finish(error.code)
        reply(grpcStatus(error, trailers(options)))
      },
    )
  }
}

function outletCall(
  run: Run,
  handler: OutletHandler,
): grpc.handleServerStreamingCall<unknown, unknown> {
  return call => {
    // A writable call is the sending half of what serverDuplex takes.
    const half = call as unknown as grpc.ServerDuplexStream<unknown, unknown>
    open(run, call, half, (stream, caller) => {
      if (call.request instanceof Malformed) throw call.request.error
      handler(call.request, stream, caller)
    })
  }
}

function bidiCall(run: Run, handler: BidiHandler): grpc.handleBidiStreamingCall<unknown, unknown> {
  return call => open(run, call, call, handler)
}

function open(
  run: Run,
  call: AnyCall,
  transport: grpc.ServerDuplexStream<unknown, unknown>,
  start: BidiHandler,
): void {
  const stream = counted(
    run,
    serverDuplex<unknown, unknown>(transport, () => trailers(run.options)),
  )
  // A client that has said all it will say still waits for our end.
  transport.on('end', () => {
    if (!transport.writableEnded) transport.end()
  })
  try {
    start(stream, run.admit(call))
  } catch (thrown) {
    stream.end(answerOf(thrown, run.info.path, run.options.log))
  }
}

/** The stream with its messages and its end counted; a malformed message, or a listener that throws, ends it alone. */
function counted(run: Run, inner: Duplex<unknown, unknown>): Duplex<unknown, unknown> {
  const { info, metrics, options } = run
  let onEnd: ((error: StatusError | undefined) => void) | undefined
  let ended: { error: StatusError | undefined } | undefined
  let code: string | undefined

  const end = (error?: StatusError): void => {
    code ??= error?.code ?? 'OK'
    inner.end(error && new StatusError(error.code, headerText(error.message), { cause: error }))
  }
  metrics.started()
  inner.onEnd(error => {
    ended = { error }
    metrics.handled(code ?? error?.code ?? (info.requestStream ? 'OK' : 'Cancelled'), 0)
    onEnd?.(error)
  })
  return {
    get backlog() {
      return inner.backlog
    },
    send(message) {
      if (ended) return
      metrics.sent()
      inner.send(message)
    },
    pause() {
      inner.pause?.()
    },
    resume() {
      inner.resume?.()
    },
    end,
    onMessage(listener) {
      inner.onMessage(message => {
        metrics.received()
        try {
          if (message instanceof Malformed) throw message.error
          listener(message)
        } catch (thrown) {
          end(answerOf(thrown, info.path, options.log))
        }
      })
    },
    onEnd(listener) {
      onEnd = listener
      if (ended) listener(ended.error)
    },
  }
}

function trailers(options: RpcOptions): Record<string, string> {
  return { [LEADER]: options.leaderAddress?.() ?? '' }
}

function typeOf(info: MethodInfo): string {
  if (info.requestStream) return info.responseStream ? 'bidi_stream' : 'client_stream'
  return info.responseStream ? 'server_stream' : 'unary'
}
