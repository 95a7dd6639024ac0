// What each member owes the others, seen from outside: its terms and commits only rise, it hears a healthy leader out, asks
// before it campaigns, and is quiet once it is removed.
import type { Message, RaftStatus } from '../../src/index.ts'
import type { Invariant } from './broken.ts'

/** Pre-votes and their grants name a term that nobody is in, and a chunk that came vouches for nothing. */
const SAYS_NOTHING: ReadonlySet<Message['type']> = new Set([
  'preVote',
  'preVoteResponse',
  'snapshotChunkResponse',
])

interface Seen {
  /** The highest term it ever spoke in; that is on its disk, or another member could be misled. */
  saidTerm: number
  term: number
  commit: number
  /** The term in which it knew to be removed, forgotten with its death. */
  removedTerm: number | undefined
  /** Who granted it a pre-vote, by term. */
  readonly granted: Map<number, Set<number>>
  leader: { id: number; heardMs: number } | undefined
}

export interface ConductOptions {
  readonly electionTimeoutMs: number
  readonly preVote: boolean
}

export class Conduct {
  readonly #fail: (invariant: Invariant, text: string) => void
  readonly #options: ConductOptions
  readonly #members = new Map<number, Seen>()

  constructor(fail: (invariant: Invariant, text: string) => void, options: ConductOptions) {
    this.#fail = fail
    this.#options = options
  }

  /** A new life: what was in memory is gone. */
  started(status: RaftStatus): void {
    const seen = this.#of(status.id)
    seen.term = 0
    seen.commit = 0
    seen.removedTerm = undefined
    seen.leader = undefined
    if (status.term < seen.saidTerm)
      this.#fail(
        'terms never fall',
        `member ${status.id} spoke in term ${seen.saidTerm} and came back in term ${status.term}`,
      )
    this.observed(status)
  }

  observed(status: RaftStatus): void {
    const seen = this.#of(status.id)
    if (status.term < seen.term)
      this.#fail('terms never fall', `member ${status.id}: ${seen.term}, then ${status.term}`)
    if (status.commitIndex < seen.commit)
      this.#fail(
        'commits never fall',
        `member ${status.id}: ${seen.commit}, then ${status.commitIndex}`,
      )
    seen.term = status.term
    seen.commit = status.commitIndex
    if (status.removed) seen.removedTerm ??= status.term
  }

  sent(m: Message, voters: readonly number[]): void {
    const seen = this.#of(m.from)
    if (m.type === 'preVote' || m.type === 'vote') this.#campaigns(m, seen, voters)
    if (m.type === 'preVoteResponse' && !m.reject) {
      const { granted } = this.#of(m.to)
      const givers = granted.get(m.term) ?? new Set()
      granted.set(m.term, givers.add(m.from))
    }
    if (!SAYS_NOTHING.has(m.type)) seen.saidTerm = Math.max(seen.saidTerm, m.term)
  }

  /** `before` and `after` are the receiver's, around its taking the message. */
  took(m: Message, before: RaftStatus, after: RaftStatus, nowMs: number): void {
    const seen = this.#of(m.to)
    // A late word of a leader that the receiver knows to be removed counts for nothing.
    const fromMember = before.members.some(({ id }) => id === m.from)
    const fromLeader = fromMember && (m.type === 'append' || m.type === 'heartbeat')
    if (fromLeader && m.term >= before.term) seen.leader = { id: m.from, heardMs: nowMs }
    if (m.type === 'vote' && !m.transfer) this.#hearsOut(m, before, after, seen, nowMs)
    this.observed(after)
  }

  /** Raft thesis §4.2.3: who hears a leader within the shortest election timeout pays no heed to candidates. */
  #hearsOut(m: Message, before: RaftStatus, after: RaftStatus, seen: Seen, nowMs: number): void {
    if (after.term === before.term) return
    const follows =
      before.leader !== undefined &&
      before.leader === seen.leader?.id &&
      nowMs - seen.leader.heardMs < this.#options.electionTimeoutMs
    if (!follows && before.role !== 'leader') return
    this.#fail(
      'healthy leaders stay',
      `member ${m.to} left term ${before.term} with its leader ${before.leader} for the candidate ${m.from}`,
    )
  }

  #campaigns(m: Message & { transfer: boolean }, seen: Seen, voters: readonly number[]): void {
    if (seen.removedTerm !== undefined && m.term > seen.removedTerm + 1)
      this.#fail(
        'removed members are quiet',
        `member ${m.from} knew in term ${seen.removedTerm} that it is removed and campaigns in ${m.term}`,
      )
    if (!this.#options.preVote || m.type !== 'vote' || m.transfer) return
    const givers = seen.granted.get(m.term) ?? new Set()
    // Of one voter fewer than it has: its voters may have changed since it campaigned.
    if (givers.size + 1 < Math.floor((voters.length - 1) / 2) + 1)
      this.#fail(
        'pre-vote comes first',
        `member ${m.from} campaigns in term ${m.term} with pre-votes of ${[...givers].join() || 'nobody'} among ${voters.join()}`,
      )
  }

  #of(id: number): Seen {
    let seen = this.#members.get(id)
    if (seen === undefined) {
      seen = {
        saidTerm: 0,
        term: 0,
        commit: 0,
        removedTerm: undefined,
        granted: new Map(),
        leader: undefined,
      }
      this.#members.set(id, seen)
    }
    return seen
  }
}
