/** What a caller can tell apart; see `RaftError`. */
export type RaftErrorCode =
  | 'NotLeader'
  | 'ProposalDropped'
  | 'OutcomeUnknown'
  | 'TooLarge'
  | 'Stopped'
  | 'Timeout'
  | 'Refused'
  | 'Corrupt'

/**
 * The one error callers meet.
 *
 * - `NotLeader`, `ProposalDropped`, `TooLarge`, `Refused`: nothing was appended; `leader` is a hint where to go.
 * - `OutcomeUnknown`, and `Timeout` of a proposal: it may still commit.
 */
export class RaftError extends Error {
  readonly code: RaftErrorCode
  readonly leader?: number

  constructor(
    code: RaftErrorCode,
    message: string,
    options: { leader?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RaftError'
    this.code = code
    if (options.leader !== undefined) this.leader = options.leader
  }
}

/** A log or snapshot that cannot be trusted. Never repaired silently: acknowledged entries may be in it. */
export class WalCorruptError extends RaftError {
  readonly file: string
  /** In bytes from the beginning of the file. */
  readonly offset: number
  /** What is wrong there, without file and remedy. */
  readonly detail: string

  constructor(file: string, offset: number, detail: string) {
    super(
      'Corrupt',
      `${file} is damaged at byte ${offset}: ${detail}. Do not start this member from it; remove the member and let it join again with an empty directory, or salvage what comes before the damage with repairLog()`,
    )
    this.name = 'WalCorruptError'
    this.file = file
    this.offset = offset
    this.detail = detail
  }
}

/** A log that a later version of this library has written. Nothing in it was touched. */
export class WalVersionError extends RaftError {
  readonly file: string
  readonly version: number

  constructor(file: string, version: number, known: number) {
    super(
      'Refused',
      `${file} is of log format ${version}, and this version reads formats up to ${known}: start the version that wrote it, or a later one`,
    )
    this.name = 'WalVersionError'
    this.file = file
    this.version = version
  }
}

/** A broken promise inside the library: the process must not go on. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`raft invariant broken: ${message}`)
}
