// Virtual time for a whole cluster, and what a process is in it: something whose timers, disk and wires stop with it.
import type { Clock } from '../../runtime/clock.ts'

interface Timer {
  readonly dueMs: number
  readonly sequence: number
  fn: (() => void) | undefined
}

/** A clock with thousands of timers: a heap, cancelled ones left in it. They fire in (due, insertion) order. */
export class Timeline implements Clock {
  #nowMs: number
  #sequence = 0
  #fired = 0
  readonly #heap: Timer[] = []

  constructor(startMs: number) {
    this.#nowMs = startMs
  }

  /** Timers fired so far: a measure of work, and of sameness between two runs. */
  get fired(): number {
    return this.#fired
  }

  now(): number {
    return Math.floor(this.#nowMs)
  }

  monotonic(): number {
    return this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer: Timer = {
      dueMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      fn,
    }
    this.#push(timer)
    return () => {
      timer.fn = undefined
    }
  }

  /** Moves to the next timer due by `untilMs` and fires it alone. False when there is none; time is then `untilMs`. */
  step(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.dueMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs)
        return false
      }
      this.#pop()
      const { fn } = next
      if (fn === undefined) continue
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      this.#fired += 1
      fn()
      return true
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Timer
      if (!before(timer, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      const right = child + 1
      if (right < heap.length && before(heap[right] as Timer, heap[child] as Timer)) child = right
      if (!before(heap[child] as Timer, last)) break
      heap[at] = heap[child] as Timer
      at = child
    }
    heap[at] = last
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence)
}

/** One run of a program. When it ends nothing of it happens any more; while it is stalled nothing happens yet. */
export class Life {
  readonly #timeline: Timeline
  #ended = false
  #stalledUntilMs = 0

  constructor(timeline: Timeline) {
    this.#timeline = timeline
  }

  get ended(): boolean {
    return this.#ended
  }

  end(): void {
    this.#ended = true
  }

  /** As SIGSTOP and, later, SIGCONT. */
  stall(ms: number): void {
    this.#stalledUntilMs = this.#timeline.monotonic() + ms
  }

  /** Something happens to the process: now, when it goes on, or never. */
  run(fn: () => void): void {
    if (this.#ended) return
    const leftMs = this.#stalledUntilMs - this.#timeline.monotonic()
    if (leftMs > 0) this.#timeline.after(leftMs, () => this.run(fn))
    else fn()
  }

  /** `work` as this process sees it: it never settles after the end. */
  guard<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(
        value => this.run(() => resolve(value)),
        (error: unknown) => this.run(() => reject(error as Error)),
      )
    })
  }

  /** The process's clock; its wall time is wrong by `skewMs`. */
  clock(skewMs: number): Clock {
    const timeline = this.#timeline
    return {
      now: () => timeline.now() + skewMs,
      monotonic: () => timeline.monotonic(),
      after: (delayMs, fn) => timeline.after(delayMs, () => this.run(fn)),
    }
  }
}

/** Resolves when everything that waits for no timer has happened: an immediate runs after all microtasks. */
export function settle(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve)
  })
}
