import { RaftError } from '../errors.ts'
import type { Settings } from '../options.ts'
import { Conditions } from './pending.ts'

/**
 * When things are done: one turn per microtask, so that everything that came in one task shares one append and one
 * record; named timers; and waits for what a turn may make true.
 */
export class Loop {
  /** `stopping`: nothing new is taken on, but turns go on until a successor leads. */
  state: 'running' | 'stopping' | 'stopped' = 'running'
  readonly #settings: Settings
  readonly #turn: () => void
  readonly #failed: (error: unknown) => void
  readonly #cancels = new Map<string, () => void>()
  readonly #conditions = new Conditions()
  #scheduled = false

  constructor(settings: Settings, turn: () => void, failed: (error: unknown) => void) {
    this.#settings = settings
    this.#turn = turn
    this.#failed = failed
  }

  get nowMs(): number {
    return this.#settings.clock.monotonic()
  }

  /** A call, since the state changes behind an await or a callback. */
  isStopped(): boolean {
    return this.state === 'stopped'
  }

  mustRun(): void {
    if (this.state !== 'running') throw new RaftError('Stopped', 'the raft node is stopped')
  }

  schedule(): void {
    if (this.#scheduled || this.state === 'stopped') return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.guard(() => {
        if (this.state !== 'stopped') this.#turn()
      })
    })
  }

  /** Calls `fn` after the delay, in place of what was to be called under this name. */
  once(name: string, delayMs: number, fn: () => void): void {
    this.#cancels.get(name)?.()
    const cancel = this.#settings.clock.after(delayMs, () => {
      this.#cancels.delete(name)
      this.guard(fn)
    })
    this.#cancels.set(name, cancel)
  }

  every(name: string, intervalMs: number, fn: () => void): void {
    this.once(name, intervalMs, () => {
      this.every(name, intervalMs, fn)
      fn()
    })
  }

  /** Whatever throws in here broke a promise of the core or of the state machine. */
  guard(fn: () => void): void {
    try {
      fn()
    } catch (error) {
      this.#failed(error)
    }
  }

  deadline(timeoutMs: number | undefined): number {
    return this.nowMs + (timeoutMs ?? this.#settings.defaultTimeoutMs)
  }

  /** Resolves after the first turn that makes `test` true; `test` may throw to give up. */
  until(test: () => boolean, timeoutMs: number | undefined, late: () => RaftError): Promise<void> {
    const done = this.#conditions.wait(test, this.deadline(timeoutMs), late)
    this.schedule()
    return done
  }

  checkWaits(): void {
    this.#conditions.check(this.nowMs)
  }

  /** No further turn, no timer. Waits stay open until `failWaits`. */
  halt(): void {
    this.state = 'stopped'
    for (const cancel of this.#cancels.values()) cancel()
    this.#cancels.clear()
  }

  failWaits(error: () => RaftError): void {
    this.#conditions.failAll(error)
  }
}
