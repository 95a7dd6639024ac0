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
  readonly offset: number

  constructor(file: string, offset: number, detail: string) {
    super(
      'Corrupt',
      `${file} is damaged at byte ${offset}: ${detail}. Do not start this member from it; remove the member and let it join again with an empty directory`,
    )
    this.name = 'WalCorruptError'
    this.file = file
    this.offset = offset
  }
}

/** A broken promise inside the library: the process must not go on. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`raft invariant broken: ${message}`)
}
