// The one error class users meet, with gRPC's names; one table maps its codes to gRPC and HTTP.

interface Mapping {
  readonly grpc: number
  readonly http: number
}

const CODES = {
  Cancelled: { grpc: 1, http: 499 },
  Unknown: { grpc: 2, http: 500 },
  InvalidArgument: { grpc: 3, http: 400 },
  DeadlineExceeded: { grpc: 4, http: 504 },
  NotFound: { grpc: 5, http: 404 },
  AlreadyExists: { grpc: 6, http: 409 },
  PermissionDenied: { grpc: 7, http: 403 },
  ResourceExhausted: { grpc: 8, http: 429 },
  FailedPrecondition: { grpc: 9, http: 400 },
  /** A stale version, or leadership lost mid-write: read again and retry. */
  Aborted: { grpc: 10, http: 500 },
  OutOfRange: { grpc: 11, http: 400 },
  Unimplemented: { grpc: 12, http: 501 },
  Internal: { grpc: 13, http: 500 },
  /** No leader, no connection: retry. */
  Unavailable: { grpc: 14, http: 503 },
  DataLoss: { grpc: 15, http: 500 },
  Unauthenticated: { grpc: 16, http: 401 },
} as const satisfies Record<string, Mapping>

export type Code = keyof typeof CODES

/** An error with a gRPC status code. The message names the thing, the place and the remedy. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly code: Code

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The gRPC status number of a code, e.g. 5 for NotFound. */
export function grpcCode(code: Code): number {
  return CODES[code].grpc
}

/** The HTTP status of a code as Docker Engine maps it, e.g. 409 for AlreadyExists. */
export function httpStatus(code: Code): number {
  return CODES[code].http
}

/** The code of a gRPC status number; Unknown when it is none of ours. */
export function codeFromGrpc(status: number): Code {
  for (const [code, mapping] of Object.entries(CODES))
    if (mapping.grpc === status) return code as Code
  return 'Unknown'
}

/** Any thrown value as a StatusError; what is not one becomes Internal with its message kept. */
export function toStatusError(thrown: unknown): StatusError {
  if (thrown instanceof StatusError) return thrown
  return new StatusError('Internal', messageOf(thrown), { cause: thrown })
}

/** The message of any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Whether `thrown` is a StatusError with one of `codes`. */
export function hasCode(thrown: unknown, ...codes: readonly Code[]): thrown is StatusError {
  return thrown instanceof StatusError && codes.includes(thrown.code)
}
