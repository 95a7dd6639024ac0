/** The nouns of Raft as plain data. Ids, terms and indexes are integers below 2^53; id 0 means "nobody". */

export interface Member {
  readonly id: number
  /** Opaque to Raft: whatever the transport needs to reach the member. */
  readonly address: string
  /** A learner receives the log but neither votes nor counts. */
  readonly learner: boolean
}

/** Who belongs, and which ids once belonged: an id is never used twice. */
export interface Membership {
  /** During a joint change also those who leave when it ends, as learners: they still need the log. */
  readonly members: readonly Member[]
  readonly removed: readonly number[]
  /** A joint change is under way. */
  readonly joint?: Joint
}

/**
 * The old half of a joint configuration (raft thesis §4.3): until it ends every decision needs a majority of the outgoing
 * voters and one of the new ones, which are the members that are no learners.
 */
export interface Joint {
  /** Ids of the voters before the change; each is still among the members. */
  readonly outgoing: readonly number[]
  /** Those of them that are removed when the change ends. */
  readonly leaving: readonly number[]
  /** The leader ends the change by itself as soon as it has begun; otherwise somebody has to ask for it. */
  readonly autoLeave: boolean
}

export type EntryKind = 'empty' | 'normal' | 'config'

export interface Entry {
  readonly index: number
  readonly term: number
  readonly kind: EntryKind
  readonly data: Uint8Array
}

/** What must survive a crash besides the log (raft.pdf figure 2), and the commit index as last written. */
export interface HardState {
  readonly term: number
  readonly vote: number
  readonly commit: number
}

export interface SnapshotMeta {
  readonly index: number
  readonly term: number
  readonly membership: Membership
}

export interface Snapshot {
  readonly meta: SnapshotMeta
  readonly data: Uint8Array
}

interface Envelope {
  readonly from: number
  readonly to: number
  readonly term: number
}

/**
 * Both sides of a vote say what they know to be committed. A member that holds that entry may commit it, and so apply a
 * change of membership without which it could not find a majority (as raft-rs does in `maybe_commit_by_vote`).
 */
interface CommitFact {
  readonly commit: number
  readonly commitTerm: number
}

export interface VoteRequest extends Envelope, CommitFact {
  readonly type: 'vote' | 'preVote'
  readonly lastIndex: number
  readonly lastTerm: number
  /** The leader asked for this election, so stickiness does not apply (raft thesis §3.10). */
  readonly transfer: boolean
}

export interface VoteResponse extends Envelope, CommitFact {
  readonly type: 'voteResponse' | 'preVoteResponse'
  readonly reject: boolean
}

export interface AppendRequest extends Envelope {
  readonly type: 'append'
  readonly prevIndex: number
  readonly prevTerm: number
  readonly commit: number
  readonly entries: readonly Entry[]
}

export interface AppendResponse extends Envelope {
  readonly type: 'appendResponse'
  /** Last index known to match; on rejection the `prevIndex` that was refused. */
  readonly index: number
  readonly reject: boolean
  /** On rejection: where the follower's log may agree, and its term there, so that whole terms are skipped. */
  readonly hintIndex: number
  readonly hintTerm: number
}

export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat'
  readonly commit: number
  /** The newest ReadIndex round that waits for a quorum, 0 when none. */
  readonly round: number
}

export interface HeartbeatResponse extends Envelope {
  readonly type: 'heartbeatResponse'
  readonly round: number
}

/** Within a process only: the driver cuts it into `snapshotChunk`s for the wire. */
export interface InstallSnapshot extends Envelope {
  readonly type: 'snapshot'
  readonly snapshot: Snapshot
}

export interface SnapshotChunk extends Envelope {
  readonly type: 'snapshotChunk'
  readonly index: number
  readonly offset: number
  readonly total: number
  readonly data: Uint8Array
  /** On the last chunk: SHA-256 of all of them together, 32 bytes. Without it the snapshot is refused. */
  readonly hash?: Uint8Array
}

export interface SnapshotChunkResponse extends Envelope {
  readonly type: 'snapshotChunkResponse'
  readonly index: number
  /** How many bytes the receiver holds without a gap. */
  readonly offset: number
}

export interface TimeoutNow extends Envelope {
  readonly type: 'timeoutNow'
}

export interface ReadIndexRequest extends Envelope {
  readonly type: 'readIndex'
  readonly context: number
}

export interface ReadIndexResponse extends Envelope {
  readonly type: 'readIndexResponse'
  readonly context: number
  readonly index: number
}

/** Tells a member that its removal is committed: it must stop campaigning. */
export interface RemovedNotice extends Envelope {
  readonly type: 'removed'
}

/** A follower's proposal, for the leader of `term`. Sent once. */
export interface ForwardRequest extends Envelope {
  readonly type: 'forward'
  /** The sender's own number for it. */
  readonly id: number
  readonly data: Uint8Array
}

/** Why a forwarded proposal was not appended; `none` when it was. */
export type ForwardRefusal =
  | 'none'
  | 'notLeader'
  | 'transferring'
  | 'full'
  | 'pending'
  | 'tooLarge'
  | 'stranger'
  | 'off'

export interface ForwardResponse extends Envelope {
  readonly type: 'forwardResponse'
  readonly id: number
  /** Where the entry of this term is in the leader's log, 0 when refused. */
  readonly index: number
  readonly refused: ForwardRefusal
}

export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | InstallSnapshot
  | SnapshotChunk
  | SnapshotChunkResponse
  | TimeoutNow
  | ReadIndexRequest
  | ReadIndexResponse
  | RemovedNotice
  | ForwardRequest
  | ForwardResponse

export type Role = 'leader' | 'candidate' | 'precandidate' | 'follower' | 'learner'

/** What an entry costs in memory and on the wire, near enough for limits. */
export function entryBytes(entry: Entry): number {
  return entry.data.length + 24
}
