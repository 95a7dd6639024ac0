import type * as grpc from '@grpc/grpc-js'
import { Metadata } from '@grpc/grpc-js'
import type { Duplex } from '../runtime/duplex.ts'
import { grpcCode, type StatusError } from '../runtime/errors.ts'
import { fromServiceError } from './call.ts'

/** A server's side of a bidirectional gRPC call as a Duplex. `trailer` goes out with an error (e.g. the leader's address). */
export function serverDuplex<In, Out>(
  call: grpc.ServerDuplexStream<In, Out>,
  trailer?: () => Record<string, string>,
): Duplex<In, Out> {
  return grpcDuplex<In, Out>(call, error => {
    if (!error) {
      call.end()
      return
    }
    const metadata = new Metadata()
    for (const [key, value] of Object.entries(trailer?.() ?? {})) metadata.set(key, value)
    call.emit('error', { code: grpcCode(error.code), details: error.message, metadata })
  })
}

/** A client's side of a bidirectional gRPC call as a Duplex. Ending it with an error cancels the call. */
export function clientDuplex<In, Out>(call: grpc.ClientDuplexStream<Out, In>): Duplex<In, Out> {
  return grpcDuplex<In, Out>(call, error => (error ? call.cancel() : call.end()))
}

type Call<In, Out> = grpc.ServerDuplexStream<In, Out> | grpc.ClientDuplexStream<Out, In>

function grpcDuplex<In, Out>(
  call: Call<In, Out>,
  finish: (error: StatusError | undefined) => void,
): Duplex<In, Out> {
  const inbox: In[] = []
  let onMessage: ((message: In) => void) | undefined
  let onEnd: ((error: StatusError | undefined) => void) | undefined
  let ended: { error: StatusError | undefined } | undefined
  let backlog = 0
  let closing = false

  const settle = (error: StatusError | undefined): void => {
    if (ended) return
    ended = { error }
    closing = true
    onEnd?.(error)
  }
  call.on('data', (message: In) => {
    if (onMessage) onMessage(message)
    else inbox.push(message)
  })
  call.on('end', () => settle(undefined))
  call.on('cancelled', () => settle(undefined))
  call.on('close', () => settle(undefined))
  call.on('error', (error: Error) => settle(fromServiceError(error)))

  return {
    get backlog() {
      return backlog
    },
    send(message) {
      if (closing) return
      backlog += 1
      ;(call as { write(message: Out, done: () => void): boolean }).write(message, () => {
        backlog -= 1
      })
    },
    pause() {
      call.pause()
    },
    resume() {
      call.resume()
    },
    end(error) {
      if (closing) return
      closing = true
      finish(error)
      settle(error)
    },
    onMessage(listener) {
      onMessage = listener
      for (const message of inbox.splice(0)) listener(message)
    },
    onEnd(listener) {
      onEnd = listener
      if (ended) listener(ended.error)
    },
  }
}
