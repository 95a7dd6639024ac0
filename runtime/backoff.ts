import type { Random } from './random.ts'

export interface BackoffOptions {
  /** First upper bound. Default 100 ms. */
  readonly firstMs?: number
  /** Highest upper bound. Default 8,000 ms. */
  readonly maxMs?: number
}

/** Delays drawn from [0, bound), the bound doubling up to a limit, so that many clients do not return together. */
export class Backoff {
  readonly #random: Random
  readonly #firstMs: number
  readonly #maxMs: number
  #boundMs: number

  constructor(random: Random, options: BackoffOptions = {}) {
    this.#random = random
    this.#firstMs = options.firstMs ?? 100
    this.#maxMs = options.maxMs ?? 8_000
    this.#boundMs = this.#firstMs
  }

  /** The next delay in milliseconds. */
  nextMs(): number {
    const delayMs = this.#random.next() * this.#boundMs
    this.#boundMs = Math.min(this.#maxMs, this.#boundMs * 2 + this.#firstMs)
    return delayMs
  }

  /** Starts over, after a success. */
  reset(): void {
    this.#boundMs = this.#firstMs
  }
}
