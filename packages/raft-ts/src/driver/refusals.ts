import type { Settings } from '../options.ts'
import type { Refusal } from './gate.ts'

/** Counts what is refused, and says so in the log: the first of each kind, then at most one line an election timeout. */
export class Refusals {
  readonly #settings: Settings
  readonly #loggedMs = new Map<string, number>()

  constructor(settings: Settings) {
    this.#settings = settings
  }

  note({ reason, detail }: Refusal): void {
    const { metrics, log, clock, electionTimeoutMs } = this.#settings
    metrics?.refused?.(reason)
    const nowMs = clock.monotonic()
    if (nowMs - (this.#loggedMs.get(reason) ?? Number.NEGATIVE_INFINITY) < electionTimeoutMs) return
    this.#loggedMs.set(reason, nowMs)
    log?.warn('refused what came in', { reason, detail })
  }
}
