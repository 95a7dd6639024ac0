/** The nouns of Raft as plain data. Ids, terms and indexes are integers below 2^53; id 0 means "nobody". */

/** One of a cluster. */
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

/** `empty` opens a term, `normal` is the state machine's, `config` changes the membership. */
export type EntryKind = 'empty' | 'normal' | 'config'

/** One place of the log (raft.pdf figure 2). `data` is opaque to Raft unless the kind is `config`. */
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

/** The last entry that a snapshot covers, and the membership as of it. */
export interface SnapshotMeta {
  readonly index: number
  readonly term: number
  readonly membership: Membership
}

/** The state machine's own bytes, and where they belong. */
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

/** raft.pdf §5.2; `preVote` asks in advance, with the term it would raise to (raft thesis §9.6). */
export interface VoteRequest extends Envelope, CommitFact {
  readonly type: 'vote' | 'preVote'
  readonly lastIndex: number
  readonly lastTerm: number
  /** The leader asked for this election, so stickiness does not apply (raft thesis §3.10). */
  readonly transfer: boolean
}

/** A granted answer has the term that was asked for, a rejection our own. */
export interface VoteResponse extends Envelope, CommitFact {
  readonly type: 'voteResponse' | 'preVoteResponse'
  readonly reject: boolean
}

/** raft.pdf §5.3: entries that follow `prevIndex` of `prevTerm`. */
export interface AppendRequest extends Envelope {
  readonly type: 'append'
  readonly prevIndex: number
  readonly prevTerm: number
  readonly commit: number
  readonly entries: readonly Entry[]
}

/** What the follower's disk holds, or where the logs may agree. */
export interface AppendResponse extends Envelope {
  readonly type: 'appendResponse'
  /** Last index known to match; on rejection the `prevIndex` that was refused. */
  readonly index: number
  readonly reject: boolean
  /** On rejection: where the follower's log may agree, and its term there, so that whole terms are skipped. */
  readonly hintIndex: number
  readonly hintTerm: number
}

/** raft.pdf §5.2. Carries no entries: appends are sent when there are any. */
export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat'
  readonly commit: number
  /** The newest ReadIndex round that waits for a quorum, 0 when none. */
  readonly round: number
}

/** `round` is that of the heartbeat. */
export interface HeartbeatResponse extends Envelope {
  readonly type: 'heartbeatResponse'
  readonly round: number
}

/** Within a process only: the driver cuts it into `snapshotChunk`s for the wire. */
export interface InstallSnapshot extends Envelope {
  readonly type: 'snapshot'
  readonly snapshot: Snapshot
}

/** `data` at `offset` of the `total` bytes of the snapshot that ends at `index`. */
export interface SnapshotChunk extends Envelope {
  readonly type: 'snapshotChunk'
  readonly index: number
  readonly offset: number
  readonly total: number
  readonly data: Uint8Array
  /** On the last chunk: SHA-256 of all of them together, 32 bytes. Without it the snapshot is refused. */
  readonly hash?: Uint8Array
}

/** Asks for what follows `offset`. */
export interface SnapshotChunkResponse extends Envelope {
  readonly type: 'snapshotChunkResponse'
  readonly index: number
  /** How many bytes the receiver holds without a gap. */
  readonly offset: number
}

/** Campaign at once (raft thesis §3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeoutNow'
}

/** A follower's read (raft thesis §6.4); `context` is its own number for it. */
export interface ReadIndexRequest extends Envelope {
  readonly type: 'readIndex'
  readonly context: number
}

/** The read may be served once `index` is applied. */
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

/** Where the proposal is, or why it is nowhere. */
export interface ForwardResponse extends Envelope {
  readonly type: 'forwardResponse'
  readonly id: number
  /** Where the entry of this term is in the leader's log, 0 when refused. */
  readonly index: number
  readonly refused: ForwardRefusal
}

/** All that members say to each other. */
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

/** `precandidate` asks whether it could win; `learner` is a follower without a vote. */
export type Role = 'leader' | 'candidate' | 'precandidate' | 'follower' | 'learner'

/** What an entry costs in memory and on the wire, near enough for limits. */
export function entryBytes(entry: Entry): number {
  return entry.data.length + 24
}
