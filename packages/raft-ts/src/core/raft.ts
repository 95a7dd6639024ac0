// The face of the core: inputs are messages, elapsed time, proposals and finished writes; outputs are `Ready`s, plain data.
// No clock, no chance, no disk, no promise in here, so a run is a function of its inputs and can be replayed.
import type { Entry, HardState, Membership, Message, Snapshot, SnapshotMeta } from '../types.ts'
import { adopt, leaveJointWhenDue } from './adopt.ts'
import { campaign, ownVoteDurable } from './election.ts'
import type { RaftLog } from './log.ts'
import {
  applyChange,
  type Change,
  type ChangeOutcome,
  decodeChange,
  encodeChange,
} from './membership.ts'
import type { Read } from './read-only.ts'
import {
  appendAsLeader,
  checkQuorum,
  heartbeat,
  maybeHandOver,
  ownEntriesDurable,
  replicate,
  startRead,
} from './replication.ts'
import { type CoreConfig, RaftState } from './state.ts'
import { step } from './step.ts'

/** What the driver has to do, in this order where order matters: write, then send `afterWrite`. */
export interface Ready {
  /** To be passed to `written` once this and every earlier write is durable. */
  readonly write: number
  /** Nothing to make durable: pass the number on as soon as the earlier writes are done. */
  readonly mustSync: boolean
  readonly hardState: HardState
  /** To append; a first index at or below the stored end truncates. */
  readonly entries: readonly Entry[]
  /** To save before the entries, and to restore the state machine from when the write is done. */
  readonly snapshot: Snapshot | undefined
  /** May leave at once, even before the write. */
  readonly messages: readonly Message[]
  /** Must not leave before the write is durable. */
  readonly afterWrite: readonly Message[]
  /** Durable and committed: apply, then call `applied`. */
  readonly committed: readonly Entry[]
  /** Our own reads: serve once `index` is applied. */
  readonly reads: readonly Read[]
}

/**
 * Where the entry is in the log, or why nothing was appended: `transferring` while the leadership is being handed over, `full` beyond
 * `maxUncommittedBytes`, `pending` while another change of membership is not applied.
 */
export type ProposeOutcome =
  | { readonly index: number; readonly term: number }
  | { readonly refused: 'notLeader' | 'transferring' | 'full' | 'pending' }

/**
 * One member's protocol. Feed it messages, elapsed time and proposals, do what its `Ready`s say, and report back with `written` and
 * `applied`. Every method is synchronous; what it throws is a broken invariant, and the process must end.
 */
export class Raft {
  readonly state: RaftState

  constructor(
    config: CoreConfig,
    start: { log: RaftLog; hardState: HardState; membership: Membership; snapshot?: SnapshotMeta },
  ) {
    this.state = new RaftState(config, start.log, start.hardState, start.membership)
    this.state.snapshot = start.snapshot
  }

  /** @param realMs how much time has really passed since it was last told, when a pause is not to count for patience */
  tick(elapsedMs: number, realMs = elapsedMs): void {
    const s = this.state
    s.clockMs += realMs
    s.sinceLeaderMs += elapsedMs
    s.electionElapsedMs += elapsedMs
    if (s.role === 'leader') this.#tickLeader(elapsedMs)
    else if (s.electionElapsedMs >= s.timeoutMs && s.promotable) this.campaign()
  }

  /** Brings the clock of the lease up to now, between ticks. */
  elapse(realMs: number): void {
    this.state.clockMs += realMs
  }

  campaign(): void {
    campaign(this.state, this.state.config.preVote ? 'preVote' : 'vote')
  }

  /**
   * A follower has proof that its leader is gone. It may grant votes at once; it keeps its term and vote.
   * A leader does not forget itself.
   */
  forgetLeader(): void {
    const s = this.state
    if (s.role === 'follower') s.leader = 0
  }

  /** The transport lost `id`: what was in flight to it is probably gone. */
  reportUnreachable(id: number): void {
    const p = this.state.progress.get(id)
    if (p?.state === 'replicate' && id !== this.state.id) p.becomeProbe()
  }

  /** Whether the snapshot for `id` was delivered. Either way its log is probed again, after the next heartbeat. */
  reportSnapshot(id: number, delivered: boolean): void {
    const p = this.state.progress.get(id)
    if (p?.state === 'snapshot') p.snapshotSent(delivered)
  }

  propose(data: Uint8Array): ProposeOutcome {
    return this.#propose('normal', data)
  }

  /** One change at a time: `pending` until the last one, of whatever leader, is applied here. */
  proposeChange(change: Change): ProposeOutcome {
    const s = this.state
    if (s.role === 'leader' && s.log.applied < s.pendingConfigIndex) return { refused: 'pending' }
    const outcome = this.#propose('config', encodeChange(change))
    if ('index' in outcome) s.pendingConfigIndex = outcome.index
    return outcome
  }

  /** @returns false when there is nobody to ask; the answer comes in a later `Ready.reads`, or never: ask again */
  readIndex(context: number): boolean {
    const s = this.state
    if (s.role === 'leader') return startRead(s, s.id, context)
    if (s.leader === 0) return false
    s.send({ type: 'readIndex', to: s.leader, context })
    return true
  }

  /** Raft thesis §3.10. Given up after an election timeout; no proposals are accepted meanwhile. */
  transferTo(id: number): boolean {
    const s = this.state
    if (s.role !== 'leader' || id === s.id || !s.voters.includes(id)) return false
    s.transferTo = id
    s.electionElapsedMs = 0
    const p = s.progress.get(id)
    if (p !== undefined) p.nudged = true
    maybeHandOver(s)
    return true
  }

  /** Messages for others are ignored, and so are our own. */
  step(m: Message): void {
    step(this.state, m)
  }

  /** @returns false when there is nothing to do */
  hasReady(): boolean {
    const s = this.state
    if (s.role === 'leader') replicate(s)
    return s.hasWrite() || s.immediate.length > 0 || s.readsDone.length > 0 || this.#mayApply()
  }

  ready(): Ready | undefined {
    if (!this.hasReady()) return undefined
    const s = this.state
    const hardState = s.hardState()
    const { number, mustSync } = s.beginWrite()
    const ready: Ready = {
      write: number,
      mustSync,
      hardState,
      entries: s.log.takeUnwritten(number),
      snapshot: s.received,
      messages: s.immediate,
      afterWrite: s.afterWrite,
      committed: this.#mayApply() ? s.log.takeCommitted(s.config.maxBatchBytes, 1024) : [],
      reads: s.readsDone,
    }
    s.received = undefined
    s.immediate = []
    s.afterWrite = []
    s.readsDone = []
    return ready
  }

  /** Write `number` and all before it are durable. */
  written(number: number): void {
    const s = this.state
    const votedForSelf = s.writeDone(number)
    if (votedForSelf) ownVoteDurable(s)
    if (s.role === 'leader') ownEntriesDurable(s)
  }

  /** The state machine holds everything up to `last`; a config entry takes effect now. */
  applied(entries: readonly Entry[]): ChangeOutcome | undefined {
    const s = this.state
    const last = entries.at(-1)
    if (last === undefined) return undefined
    s.log.appliedTo(last.index)
    const outcome =
      last.kind === 'config' ? applyChange(s.membership, decodeChange(last.data)) : undefined
    if (outcome !== undefined && outcome.refused === undefined) adopt(s, outcome.membership)
    if (s.campaignWhenApplied && last.kind === 'config' && s.role === 'follower')
      campaign(s, 'transfer')
    leaveJointWhenDue(s)
    return outcome
  }

  /** The state machine was restored from the snapshot of a `Ready`. */
  snapshotApplied(meta: SnapshotMeta): void {
    this.state.log.appliedTo(meta.index)
  }

  /** A snapshot of our own is durable; a tail of at most so many entries and bytes stays for slow members. */
  compact(meta: SnapshotMeta, tailEntries: number, tailBytes: number): void {
    const s = this.state
    if (meta.index <= (s.snapshot?.index ?? 0)) return
    s.snapshot = meta
    s.log.compact(s.log.tailBefore(meta.index, tailEntries, tailBytes))
  }

  /** Not while a batch is still being applied: who applies slowly must not be handed the whole log. */
  #mayApply(): boolean {
    return this.state.log.hasCommitted(this.state.config.maxBatchBytes)
  }

  #propose(kind: 'normal' | 'config', data: Uint8Array): ProposeOutcome {
    const s = this.state
    if (s.role !== 'leader') return { refused: 'notLeader' }
    if (s.transferTo !== 0) return { refused: 'transferring' }
    const { maxUncommittedBytes } = s.config
    if (s.uncommittedBytes > 0 && s.uncommittedBytes + data.length > maxUncommittedBytes)
      return { refused: 'full' }
    appendAsLeader(s, [{ kind, data }])
    return { index: s.log.lastIndex, term: s.term }
  }

  #tickLeader(elapsedMs: number): void {
    const s = this.state
    if (s.electionElapsedMs >= s.config.electionTimeoutMs) {
      s.electionElapsedMs = 0
      s.transferTo = 0
      checkQuorum(s)
      if (s.role !== 'leader') return
      leaveJointWhenDue(s)
    }
    s.heartbeatElapsedMs += elapsedMs
    if (s.heartbeatElapsedMs < s.config.heartbeatMs) return
    s.heartbeatElapsedMs = 0
    heartbeat(s)
  }
}
