import { type Electorate, hasJointQuorum } from './quorum.ts'

interface Round {
  readonly number: number
  readonly sentMs: number
  readonly heard: Set<number>
}

/** Heartbeat rounds that wait for a majority; the oldest is given up beyond this. */
const MAX_ROUNDS = 64

/**
 * The leader's lease (raft thesis §6.4.1): who has answered a heartbeat grants no vote for an election timeout from its
 * arrival. So once a majority has answered one, nobody else can lead until an election timeout after it was sent, less what
 * clocks may differ, and the leader may answer reads by itself.
 *
 * Times are the leader's own, in milliseconds of `RaftState.clockMs`.
 */
export class Lease {
  #rounds: Round[] = []
  #sinceMs = Number.NEGATIVE_INFINITY
  #forfeited = false

  sent(number: number, nowMs: number): void {
    this.#rounds.push({ number, sentMs: nowMs, heard: new Set() })
    if (this.#rounds.length > MAX_ROUNDS) this.#rounds.shift()
  }

  /** `id` has answered heartbeat round `number`, and so heard of us later than any earlier round was sent. */
  confirm(id: number, number: number, self: number, electorate: Electorate): void {
    for (const round of this.#rounds) if (round.number <= number) round.heard.add(id)
    const newest = this.#rounds.findLastIndex(round =>
      hasJointQuorum(electorate, voter => voter === self || round.heard.has(voter)),
    )
    for (const round of this.#rounds.splice(0, newest + 1)) this.#sinceMs = round.sentMs
  }

  holds(nowMs: number, leaseMs: number): boolean {
    return !this.#forfeited && nowMs < this.#sinceMs + leaseMs
  }

  /** The electorate has changed: who promised may not be the majority of those who decide now. */
  restart(): void {
    this.#rounds = []
    this.#sinceMs = Number.NEGATIVE_INFINITY
  }

  /** Another was asked to campaign, which no promise keeps it from, however late the message arrives: none in this term. */
  forfeit(): void {
    this.#forfeited = true
  }

  reset(): void {
    this.restart()
    this.#forfeited = false
  }
}
