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
  | 'DiskLow'
  | 'DiskFailed'

/**
 * The one error callers meet.
 *
 * - `NotLeader`, `ProposalDropped`, `TooLarge`, `Refused`: nothing was appended; `leader` is a hint where to go.
 * - `DiskLow`: as those; nothing is taken before there is room on the disk.
 * - `DiskFailed`: what was written may not be on disk. Told to `onFatal` only.
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

/** Why the process ends, of a write or sync that failed. */
export function diskFailed(file: string, cause: unknown): RaftError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new RaftError(
    'DiskFailed',
    `${file} could not be made durable: ${reason}. It is not tried again, because after a failed sync the kernel may take for written what is not; look at the disk, then start anew`,
    { cause },
  )
}

/** A broken promise inside the library: the process must not go on. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`raft invariant broken: ${message}`)
}
