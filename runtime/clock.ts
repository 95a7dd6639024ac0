/** Time as a component sees it. Wall time is for display and stamps; monotonic time is for durations. */
export interface Clock {
  /** Wall time, Unix milliseconds, whole. May jump. */
  now(): number
  /** Monotonic milliseconds since an arbitrary origin. */
  monotonic(): number
  /** Calls `fn` once, no sooner than `delayMs` from now. Returns its cancel. */
  after(delayMs: number, fn: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, delayMs)
    return () => clearTimeout(timer)
  },
}

/** A clock that moves only when told to; timers fire in (due, insertion) order. */
export class SimClock implements Clock {
  #nowMs: number
  #seq = 0
  #timers: { dueMs: number; seq: number; fn: () => void }[] = []

  constructor(startMs = 0) {
    this.#nowMs = startMs
  }

  now(): number {
    return Math.floor(this.#nowMs)
  }

  monotonic(): number {
    return this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), seq: this.#seq++, fn }
    const at = this.#timers.findIndex(other => other.dueMs > timer.dueMs)
    if (at < 0) this.#timers.push(timer)
    else this.#timers.splice(at, 0, timer)
    return () => {
      const index = this.#timers.indexOf(timer)
      if (index >= 0) this.#timers.splice(index, 1)
    }
  }

  /** When the next timer is due, or undefined when none waits. */
  nextDueMs(): number | undefined {
    return this.#timers[0]?.dueMs
  }

  /** Moves time on by `ms`, firing what falls due on the way. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    while (this.step(untilMs));
    this.#nowMs = untilMs
  }

  /** Moves to the next timer due by `untilMs` and fires it alone. False when there is none. */
  step(untilMs: number): boolean {
    const next = this.#timers[0]
    if (next === undefined || next.dueMs > untilMs) return false
    this.#timers.shift()
    this.#nowMs = Math.max(this.#nowMs, next.dueMs)
    next.fn()
    return true
  }
}

/** Resolves after `delayMs`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
    const onAbort = (): void => {
      cancel()
      reject(signal?.reason as Error)
    }
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
