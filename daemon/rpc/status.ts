import { Metadata } from '@grpc/grpc-js'
import { StatusError, grpcCode, messageOf } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'

/** Trailer on every refusal: it came from a server, not from a connection that broke on the way. */
export const ANSWERED = 'skein-answered'
/** Trailer: address of the leader, from a manager that does not lead. */
export const LEADER = 'skein-leader'

/** gRPC carries the message in a header: bounded, and free of lone surrogates, which encodeURI refuses. */
const MAX_DETAILS = 4_000

export interface GrpcStatus {
  readonly code: number
  readonly details: string
  readonly metadata: Metadata
}

/** What the caller is told; the cause stays in the log. An unexpected error is Internal and logged with its stack. */
export function answerOf(thrown: unknown, path: string, log: Log): StatusError {
  if (thrown instanceof StatusError) {
    if (thrown.cause !== undefined) {
      log.debug('a call was refused', { path, error: thrown.message, cause: thrown.cause })
    }
    return thrown
  }
  const stack = thrown instanceof Error ? thrown.stack : undefined
  log.error('a call failed unexpectedly', { path, error: messageOf(thrown), stack })
  return new StatusError(
    'Internal',
    `${path} failed inside the manager: ${messageOf(thrown)}; its log has the details`,
    { cause: thrown },
  )
}

/** A StatusError as grpc-js sends it, with `trailers`. */
export function grpcStatus(error: StatusError, trailers: Record<string, string> = {}): GrpcStatus {
  const metadata = new Metadata()
  metadata.set(ANSWERED, '1')
  for (const [key, value] of Object.entries(trailers)) if (value) metadata.set(key, value)
  return { code: grpcCode(error.code), details: headerText(error.message), metadata }
}

/** `message` as a gRPC status message may carry it. */
export function headerText(message: string): string {
  const bounded = message.length > MAX_DETAILS ? `${message.slice(0, MAX_DETAILS)}…` : message
  return bounded.replace(/\p{Surrogate}/gu, '\uFFFD')
}
