import type { RaftNode, RaftStatus } from 'raft-ts'
import { type Clock, sleep } from '../../../runtime/clock.ts'
import { messageOf } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'

const RETRY_MS = 20

/** Who leads, as far as this member knows. */
export interface Leadership {
  /** This member leads and its store holds everything that was ever acknowledged. */
  readonly leader: boolean
  readonly term: number
  readonly leaderId?: number
  readonly leaderAddress?: string
}

/**
 * Turns Raft's roles into leadership others can act on: a new leader is announced only after a ReadIndex of its term, so
 * that its loops never decide on state that misses an earlier leader's last writes.
 */
export class LeadershipWatch {
  readonly #clock: Clock
  readonly #log: Log
  #listeners: readonly ((state: Leadership) => void)[] = []
  #state: Leadership = { leader: false, term: 0 }
  #status: RaftStatus | undefined
  /** The term whose ReadIndex has come back, or is being waited for. */
  #currentTerm = 0
  #confirmingTerm = 0
  #stopped = false

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  get state(): Leadership {
    return this.#state
  }

  /** Calls `listener` on every change from now on; returns its cancel. */
  listen(listener: (state: Leadership) => void): () => void {
    const entry = (state: Leadership): void => listener(state)
    this.#listeners = [...this.#listeners, entry]
    return () => {
      this.#listeners = this.#listeners.filter(other => other !== entry)
    }
  }

  /** Takes in a change of role, term, leader or members. */
  update(node: RaftNode, status: RaftStatus): void {
    if (this.#stopped) return
    this.#status = status
    this.#publish()
    if (status.role === 'leader' && this.#currentTerm !== status.term)
      void this.#confirm(node, status.term)
  }

  /** Nothing leads here any more. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#announce({ leader: false, term: this.#state.term })
  }

  async #confirm(node: RaftNode, term: number): Promise<void> {
    if (this.#confirmingTerm === term) return
    this.#confirmingTerm = term
    while (this.#leads(term)) {
      try {
        await node.readIndex()
        if (this.#leads(term)) this.#currentTerm = term
        break
      } catch (error) {
        if (!this.#leads(term)) break
        this.#log.warn('the new leader could not confirm its term yet', {
          term,
          error: messageOf(error),
        })
        await sleep(this.#clock, RETRY_MS)
      }
    }
    this.#publish()
  }

  #leads(term: number): boolean {
    return !this.#stopped && this.#status?.role === 'leader' && this.#status.term === term
  }

  #publish(): void {
    const status = this.#status
    if (status === undefined || this.#stopped) return
    const { term, leader: leaderId, members, role } = status
    const address = members.find(member => member.id === leaderId)?.address
    this.#announce({
      leader: role === 'leader' && this.#currentTerm === term,
      term,
      ...(leaderId !== undefined && { leaderId }),
      ...(address !== undefined && { leaderAddress: address }),
    })
  }

  #announce(next: Leadership): void {
    const last = this.#state
    if (
      last.leader === next.leader &&
      last.term === next.term &&
      last.leaderId === next.leaderId &&
      last.leaderAddress === next.leaderAddress
    ) {
      return
    }
    this.#state = next
    for (const listener of this.#listeners) {
      try {
        listener(next)
      } catch (error) {
        this.#log.error('a leadership listener failed', { error: messageOf(error) })
      }
    }
  }
}
