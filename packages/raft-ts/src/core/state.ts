import { invariant } from '../errors.ts'
import type { HardState, Membership, Message, Role, Snapshot, SnapshotMeta } from '../types.ts'
import { Lease } from './lease.ts'
import type { RaftLog } from './log.ts'
import { electorateOf } from './joint.ts'
import { Progress } from './progress.ts'
import type { Electorate } from './quorum.ts'
import { type Read, ReadOnly } from './read-only.ts'

/** What the core has to know. Times in milliseconds, sizes in bytes. */
export interface CoreConfig {
  readonly id: number
  readonly heartbeatMs: number
  readonly electionTimeoutMs: number
  readonly preVote: boolean
  readonly checkQuorum: boolean
  readonly maxInflight: number
  readonly maxInflightBytes: number
  /** Bytes of entries in one append, and in one batch to apply. */
  readonly maxBatchBytes: number
  readonly maxUncommittedBytes: number
  /**
   * How long after a heartbeat that a majority answered the leader answers reads alone: less than an election timeout by what
   * clocks may drift apart. 0 or none: every read asks a majority. Needs `checkQuorum`; alike on every member.
   */
  readonly leaseMs?: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** A message without the sender, which `send` fills in. */
export type Outgoing = Message extends infer M
  ? M extends Message
    ? Omit<M, 'from' | 'term'> & { readonly term?: number }
    : never
  : never

/** What messages may depend on: those of `DEPENDENT` say something about our disk. */
const DEPENDENT: ReadonlySet<Message['type']> = new Set([
  'voteResponse',
  'appendResponse',
  'preVoteResponse',
])

interface Write {
  readonly number: number
  readonly term: number
  readonly vote: number
}

/** The variables of raft.pdf figure 2 and their bookkeeping. The rules are in election, replication and follower. */
export class RaftState {
  readonly config: CoreConfig
  readonly id: number
  readonly log: RaftLog
  term: number
  vote: number
  role: Exclude<Role, 'learner'> = 'follower'
  leader = 0
  membership!: Membership
  /** Whose majorities decide. */
  electorate!: Electorate
  /** Everybody in the electorate, once. */
  voters!: readonly number[]
  removed = false

  /** Time as this member has seen it pass, pauses included. */
  clockMs = 0
  /** Ticks since a leader was heard, whatever the term; kept only for leases. A start counts as hearing of one. */
  sinceLeaderMs = 0
  electionElapsedMs = 0
  heartbeatElapsedMs = 0
  timeoutMs = 0

  votes = new Map<number, boolean>()
  progress = new Map<number, Progress>()
  readonly reads = new ReadOnly()
  readonly lease = new Lease()
  /** Reads that came before the leader committed an entry of its own term. */
  earlyReads: { from: number; context: number }[] = []
  transferTo = 0
  /** Asked to campaign at once, but a committed change of membership has to be applied first. */
  campaignWhenApplied = false
  /** No further change of membership until this index is applied. */
  pendingConfigIndex = 0
  uncommittedBytes = 0
  /** The newest snapshot, what a member too far behind is sent. */
  snapshot: SnapshotMeta | undefined

  immediate: Message[] = []
  afterWrite: Message[] = []
  readsDone: Read[] = []
  received: Snapshot | undefined
  #writes: Write[] = []
  #writeNumber = 0
  #durableTerm: number
  #handed: HardState

  constructor(config: CoreConfig, log: RaftLog, hardState: HardState, membership: Membership) {
    this.config = config
    this.id = config.id
    this.log = log
    this.term = hardState.term
    this.vote = hardState.vote
    this.setMembership(membership)
    this.#durableTerm = hardState.term
    this.#handed = { term: hardState.term, vote: hardState.vote, commit: log.committed }
    this.resetTimer()
  }

  setMembership(membership: Membership): void {
    this.membership = membership
    this.electorate = electorateOf(membership)
    this.voters = [...new Set(this.electorate.flat())].sort((a, b) => a - b)
    this.removed ||= membership.removed.includes(this.id)
  }

  get isVoter(): boolean {
    return this.voters.includes(this.id)
  }

  /** May ask for votes: a voter that is not gone and has applied every change of membership it knows to be committed. */
  get promotable(): boolean {
    return this.isVoter && !this.removed && !this.log.hasUnappliedConfig()
  }

  get writeNumber(): number {
    return this.#writeNumber
  }

  get leaseMs(): number {
    return this.config.leaseMs ?? 0
  }

  /** A leader was heard within the election timeout: stick to it. */
  get inLease(): boolean {
    const { checkQuorum, electionTimeoutMs } = this.config
    return (
      this.promised ||
      (checkQuorum && this.leader !== 0 && this.electionElapsedMs < electionTimeoutMs)
    )
  }

  /** A leader may hold a lease on our word, which stands through restarts, new terms and doubts, and for our own vote too. */
  get promised(): boolean {
    return (
      this.leaseMs > 0 &&
      this.role !== 'leader' &&
      this.sinceLeaderMs < this.config.electionTimeoutMs
    )
  }

  /** Queues a message; one that vouches for our disk, or for a term not yet durable, leaves after the write. */
  send(message: Outgoing): void {
    const full = { ...message, from: this.id, term: message.term ?? this.term } as Message
    invariant(full.to !== this.id, 'a message to itself')
    const dependent = DEPENDENT.has(full.type) || this.term !== this.#durableTerm
    ;(dependent ? this.afterWrite : this.immediate).push(full)
  }

  becomeFollower(term: number, leader: number): void {
    this.reset(term)
    this.role = 'follower'
    this.leader = leader
  }

  reset(term: number): void {
    if (term !== this.term) {
      this.term = term
      this.vote = 0
    }
    this.leader = 0
    this.electionElapsedMs = 0
    this.heartbeatElapsedMs = 0
    this.votes = new Map()
    this.progress = new Map()
    this.reads.reset()
    this.lease.reset()
    this.earlyReads = []
    this.transferTo = 0
    this.campaignWhenApplied = false
    this.uncommittedBytes = 0
    this.resetTimer()
  }

  resetTimer(): void {
    this.timeoutMs = this.config.electionTimeoutMs * (1 + this.config.random())
  }

  newProgress(): Progress {
    return new Progress(this.log.lastIndex + 1, this.config)
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed }
  }

  /** The number the next write will have; a received snapshot is tied to it. */
  get nextWriteNumber(): number {
    return this.#writeNumber + 1
  }

  hasWrite(): boolean {
    return (
      this.#mustWrite() || this.log.committed !== this.#handed.commit || this.afterWrite.length > 0
    )
  }

  /** Opens a write: all it contains must be durable before `writeDone` is called with its number. */
  beginWrite(): { number: number; mustSync: boolean } {
    const mustSync = this.#mustWrite()
    const number = ++this.#writeNumber
    this.#writes.push({ number, term: this.term, vote: this.vote })
    this.#handed = this.hardState()
    return { number, mustSync }
  }

  /** @returns whether a vote for ourselves, in the present term, became durable */
  writeDone(number: number): boolean {
    let votedForSelf = false
    while (this.#writes[0] !== undefined && this.#writes[0].number <= number) {
      const write = this.#writes.shift() as Write
      this.#durableTerm = write.term
      votedForSelf ||= write.term === this.term && write.vote === this.id
    }
    this.log.writeDone(number)
    return votedForSelf
  }

  #mustWrite(): boolean {
    return (
      this.log.hasUnwritten() ||
      this.received !== undefined ||
      this.term !== this.#handed.term ||
      this.vote !== this.#handed.vote
    )
  }
}
