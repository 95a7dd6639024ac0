import { type Electorate, hasJointQuorum } from './quorum.ts'

/** `from` may serve read `context` once it has applied `index`. */
export interface Read {
  readonly from: number
  readonly context: number
  readonly index: number
}

interface Round extends Read {
  readonly number: number
  readonly heard: Set<number>
}

/** Reads that wait for a majority to confirm the leader; unconfirmed ones beyond this are dropped and asked again. */
const MAX_ROUNDS = 4096

/**
 * ReadIndex (raft thesis §6.4): remember the commit index, ask a majority whether we still lead, then answer.
 * One answer confirms its own round and every older one.
 */
export class ReadOnly {
  #rounds: Round[] = []
  #number = 0

  /** The newest round in waiting, 0 when none. */
  get newest(): number {
    return this.#rounds.at(-1)?.number ?? 0
  }

  /** A round that no read waits for, of the leader's lease. */
  open(): number {
    return ++this.#number
  }

  get waiting(): number {
    return this.#rounds.length
  }

  add(from: number, context: number, index: number): boolean {
    if (this.#rounds.length >= MAX_ROUNDS) return false
    this.#rounds.push({ number: ++this.#number, from, context, index, heard: new Set() })
    return true
  }

  /** @returns the reads that `id`'s answer completes, oldest first */
  confirm(id: number, number: number, self: number, voters: Electorate): Read[] {
    for (const round of this.#rounds) if (round.number <= number) round.heard.add(id)
    return this.take(self, voters)
  }

  /** The reads a majority has confirmed by now; in a cluster of one that is all of them. */
  take(self: number, voters: Electorate): Read[] {
    const done = this.#rounds.findLastIndex(round =>
      hasJointQuorum(voters, id => id === self || round.heard.has(id)),
    )
    return this.#rounds.splice(0, done + 1)
  }

  reset(): void {
    this.#rounds = []
  }
}
