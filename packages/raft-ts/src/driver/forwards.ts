import type { ProposeOutcome } from '../core/raft.ts'
import { memberOf } from '../core/membership.ts'
import type { RaftState } from '../core/state.ts'
import { RaftError } from '../errors.ts'
import type { ForwardRefusal, ForwardRequest, ForwardResponse, Message } from '../types.ts'
import type { Refusal } from './gate.ts'

/** Requests of one member that are remembered in a term; an older one is a straggler and is not taken. */
const WINDOW = 65_536

interface Asked {
  readonly leader: number
  readonly term: number
  readonly deadlineMs: number
  readonly resolve: (place: { index: number; term: number }) => void
  readonly reject: (error: RaftError) => void
}

/** The core it proposes to and the ways out. */
export interface ForwardsDeps {
  readonly state: RaftState
  readonly enabled: boolean
  readonly maxEntryBytes: number
  readonly propose: (data: Uint8Array) => ProposeOutcome
  readonly send: (message: Message) => void
  readonly refused: (refusal: Refusal) => void
}

/**
 * Proposals of followers, sent on to the leader. At most once: a request is sent once and taken once, so one without an
 * answer may be in the log or not, which is `OutcomeUnknown`.
 *
 * The answer says where the entry is; its result is the one of the follower's own state machine, once it gets there.
 */
export class Forwards {
  readonly #deps: ForwardsDeps
  readonly #asked = new Map<number, Asked>()
  #next: number
  /** Of each member in this term: the requests taken, and the highest. */
  #taken = new Map<number, { highest: number; ids: Set<number> }>()
  #takenTerm = 0

  /** @param firstId random, so that the answer to a request from before a restart is not mistaken for a new one's */
  constructor(firstId: number, deps: ForwardsDeps) {
    this.#next = firstId
    this.#deps = deps
  }

  get size(): number {
    return this.#asked.size
  }

  /** Asks the leader. @returns where the entry is in the log, if it gets there */
  ask(data: Uint8Array, deadlineMs: number): Promise<{ index: number; term: number }> {
    const { state, send } = this.#deps
    const { leader, term } = state
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { leader, term, deadlineMs, resolve, reject })
      send({ type: 'forward', from: state.id, to: leader, term, id, data })
    })
  }

  /** On the leader. A request of another term is not answered: the asker gives up as soon as it learns of ours. */
  onRequest(m: ForwardRequest): void {
    const { state, send, refused } = this.#deps
    if (m.term !== state.term || !this.#isFirst(m)) return
    const stranger = memberOf(state.membership, m.from) === undefined
    if (stranger)
      refused({ reason: 'stranger', detail: `a proposal of ${m.from}, which is no member` })
    const outcome = stranger ? { refused: 'stranger' as const } : this.#propose(m.data)
    const index = 'index' in outcome ? outcome.index : 0
    const why = 'index' in outcome ? 'none' : outcome.refused
    const envelope = { from: state.id, to: m.from, term: m.term }
    send({ type: 'forwardResponse', ...envelope, id: m.id, index, refused: why })
  }

  onResponse(m: ForwardResponse): void {
    const asked = this.#asked.get(m.id)
    if (asked === undefined || asked.leader !== m.from || asked.term !== m.term) return
    this.#asked.delete(m.id)
    if (m.refused === 'none') asked.resolve({ index: m.index, term: m.term })
    else asked.reject(refusalError(m.refused, m.from))
  }

  /** Gives up those whose leader is gone, or whose time is over. */
  expire(nowMs: number): void {
    const { term, leader } = this.#deps.state
    for (const [id, asked] of this.#asked) {
      if (asked.term === term && asked.leader === leader && asked.deadlineMs > nowMs) continue
      this.#asked.delete(id)
      const why = asked.deadlineMs <= nowMs ? 'did not answer in time' : 'leads no longer'
      asked.reject(
        new RaftError(
          'OutcomeUnknown',
          `member ${asked.leader} ${why}; the entry may still commit`,
        ),
      )
    }
  }

  failAll(error: () => RaftError): void {
    const all = [...this.#asked.values()]
    this.#asked.clear()
    for (const asked of all) asked.reject(error())
  }

  #propose(data: Uint8Array): { readonly index: number } | { readonly refused: ForwardRefusal } {
    const { enabled, maxEntryBytes, propose } = this.#deps
    if (!enabled) return { refused: 'off' }
    if (data.length > maxEntryBytes) return { refused: 'tooLarge' }
    return propose(data)
  }

  /** The network may repeat a request; it is proposed once. */
  #isFirst({ from, id }: ForwardRequest): boolean {
    if (this.#takenTerm !== this.#deps.state.term) {
      this.#takenTerm = this.#deps.state.term
      this.#taken = new Map()
    }
    const taken = this.#taken.get(from) ?? { highest: 0, ids: new Set<number>() }
    this.#taken.set(from, taken)
    if (taken.ids.has(id) || id <= taken.highest - WINDOW) return false
    taken.ids.add(id)
    taken.highest = Math.max(taken.highest, id)
    if (taken.ids.size > 2 * WINDOW)
      for (const old of taken.ids) if (old <= taken.highest - WINDOW) taken.ids.delete(old)
    return true
  }
}

function refusalError(refused: Exclude<ForwardRefusal, 'none'>, leader: number): RaftError {
  switch (refused) {
    case 'notLeader':
      return new RaftError('NotLeader', `member ${leader} is not the leader any more`)
    case 'transferring':
    case 'full':
    case 'pending':
      return new RaftError(
        'ProposalDropped',
        `the leader, member ${leader}, takes none now: ${refused}; try again`,
      )
    case 'tooLarge':
      return new RaftError(
        'TooLarge',
        `the proposal is larger than maxEntryBytes of the leader, member ${leader}`,
      )
    case 'stranger':
      return new RaftError(
        'Refused',
        `the leader, member ${leader}, does not know this member; add it first`,
      )
    case 'off':
      return new RaftError(
        'NotLeader',
        `the leader, member ${leader}, takes no forwarded proposals; go there`,
        { leader },
      )
  }
}
