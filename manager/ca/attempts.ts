import type { Clock } from '../../runtime/clock.ts'

export interface AttemptLimits {
  /** Refused attempts an address may make within `windowMs`. Default 10. */
  readonly attempts?: number
  /** Default one minute. */
  readonly windowMs?: number
  /** Addresses remembered; the oldest is forgotten first. Default 1,000. */
  readonly addresses?: number
}

/** Counts refused attempts by address in a bounded table, so that nobody can guess fast or fill memory. */
export class Attempts {
  readonly #clock: Clock
  readonly #attempts: number
  readonly #windowMs: number
  readonly #addresses: number
  readonly #table = new Map<string, { count: number; untilMs: number }>()

  constructor(clock: Clock, limits: AttemptLimits = {}) {
    this.#clock = clock
    this.#attempts = limits.attempts ?? 10
    this.#windowMs = limits.windowMs ?? 60_000
    this.#addresses = limits.addresses ?? 1_000
  }

  /** How long `address` must wait, in ms; 0 when it may try. */
  waitMs(address: string): number {
    const entry = this.#table.get(address)
    if (!entry || entry.count < this.#attempts) return 0
    return Math.max(0, entry.untilMs - this.#clock.monotonic())
  }

  /** Records a refused attempt. */
  refused(address: string): void {
    const nowMs = this.#clock.monotonic()
    const entry = this.#table.get(address)
    if (entry && entry.untilMs > nowMs) {
      entry.count += 1
      return
    }
    this.#table.delete(address)
    this.#table.set(address, { count: 1, untilMs: nowMs + this.#windowMs })
    const oldest = this.#table.keys().next().value
    if (this.#table.size > this.#addresses && oldest !== undefined) this.#table.delete(oldest)
  }
}
