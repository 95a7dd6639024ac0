import * as grpc from '@grpc/grpc-js'
import { systemClock } from '../runtime/clock.ts'
import { StatusError, codeFromGrpc } from '../runtime/errors.ts'
import type { UnaryCall } from './grpc.ts'

/**
 * Calls a unary method as a promise: `unary(client, client.getNode, { id }, { timeoutMs: 5000 })`.
 *
 * @throws StatusError with the server's code and message; DeadlineExceeded after `timeoutMs` (10 s unless said)
 */
export function unary<Req, Res>(
  client: grpc.Client,
  method: UnaryCall<Req, Res>,
  request: Req,
  options: { timeoutMs?: number; metadata?: grpc.Metadata; signal?: AbortSignal } = {},
): Promise<Res> {
  return new Promise((resolve, reject) => {
    const call = method.call(
      client,
      request,
      options.metadata ?? new grpc.Metadata(),
      { deadline: systemClock.now() + (options.timeoutMs ?? 10_000) },
      (error, response) => {
        options.signal?.removeEventListener('abort', cancel)
        if (error) reject(fromServiceError(error))
        else resolve(response as Res)
      },
    )
    const cancel = (): void => call.cancel()
    if (options.signal?.aborted) cancel()
    else options.signal?.addEventListener('abort', cancel, { once: true })
  })
}

/** The StatusError of what grpc-js hands to callbacks and 'error' listeners. */
export function fromServiceError(error: Error): StatusError {
  if (error instanceof StatusError) return error
  const { code, details } = error as Partial<grpc.ServiceError>
  return new StatusError(codeFromGrpc(code ?? grpc.status.UNKNOWN), details || error.message, {
    cause: error,
  })
}
