import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { Backoff } from './backoff.ts'
import { messageOf } from './errors.ts'
import type { Random } from './random.ts'

export interface LoopOptions {
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** One pass: list what is, diff with what should be, apply. May be called at any time and must then be harmless. */
  pass(): Promise<void>
  /** Waits this long after the first trigger, so that a burst makes one pass. Default 0. */
  readonly debounceMs?: number
  /** Runs a pass this often without a trigger. Default: never. */
  readonly everyMs?: number
}

/** A level-triggered control loop: triggers coalesce, passes never overlap, a failed pass is retried with back-off. */
export class Loop {
  readonly #options: LoopOptions
  readonly #backoff: Backoff
  #cancelTimer: (() => void) | undefined
  #dueMs = Infinity
  #running: Promise<void> | undefined
  #again = false
  #stopped = false

  constructor(options: LoopOptions) {
    this.#options = options
    this.#backoff = new Backoff(options.random, { firstMs: 50, maxMs: 5_000 })
  }

  /** Asks for a pass, now or when the one that runs has ended. */
  trigger(): void {
    if (this.#running) this.#again = true
    else this.#schedule(this.#options.debounceMs ?? 0)
  }

  /** Asks for a pass in `delayMs`, unless one is due sooner. */
  triggerIn(delayMs: number): void {
    if (!this.#running) this.#schedule(delayMs)
    else void this.#running.then(() => this.#schedule(delayMs))
  }

  /** Ends the loop; resolves when a pass that runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer?.()
    await this.#running
  }

  #schedule(delayMs: number): void {
    const { clock } = this.#options
    const dueMs = clock.monotonic() + delayMs
    if (this.#stopped || this.#running || this.#dueMs <= dueMs) return
    this.#cancelTimer?.()
    this.#dueMs = dueMs
    this.#cancelTimer = clock.after(delayMs, () => {
      this.#dueMs = Infinity
      this.#cancelTimer = undefined
      this.#running = this.#run()
    })
  }

  async #run(): Promise<void> {
    const { name, log, everyMs, debounceMs } = this.#options
    let nextMs = everyMs
    this.#again = false
    try {
      await this.#options.pass()
      this.#backoff.reset()
    } catch (error) {
      nextMs = this.#backoff.nextMs()
      if (!this.#stopped) log.warn(`${name}: pass failed, will retry`, { error: messageOf(error) })
    }
    this.#running = undefined
    if (this.#again) this.#schedule(debounceMs ?? 0)
    else if (nextMs !== undefined) this.#schedule(nextMs)
  }
}
