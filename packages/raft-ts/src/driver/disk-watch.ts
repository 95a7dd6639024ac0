import type { RaftState } from '../core/state.ts'

/**
 * Whether this leader's own disk holds it up: the others commit, and our log has not become any more durable. A leader
 * keeps its office without a disk, since a majority needs only the others; but it applies nothing and answers nobody.
 */
export class DiskWatch {
  readonly #limitMs: number
  #stable = 0
  #stalledMs = 0

  /** @param limitMs how long is too long */
  constructor(limitMs: number) {
    this.#limitMs = limitMs
  }

  /**
   * @param elapsedMs since the last call; a pause of the process counts as little as the caller makes of it
   * @returns for how long the disk has been stalled, when that is too long; counting starts anew then
   */
  check(s: RaftState, elapsedMs: number): number | undefined {
    const { stable, committed } = s.log
    const stalls = s.role === 'leader' && stable < committed && stable === this.#stable
    this.#stable = stable
    this.#stalledMs = stalls ? this.#stalledMs + elapsedMs : 0
    if (this.#stalledMs <= this.#limitMs) return undefined
    const stalledMs = this.#stalledMs
    this.#stalledMs = 0
    return stalledMs
  }
}
