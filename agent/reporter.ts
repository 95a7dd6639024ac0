import type { AgentMessage, TaskStatus } from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'

/** Reports of one batch; more wait for its acknowledgement. */
const MAX_BATCH = 500
/** Batches that wait for their acknowledgement at once. */
const MAX_UNACKED = 4
/** A burst of changes makes one message … */
const BATCH_MS = 20
/** … and while changes keep coming, there is one message in this time (Swarm's `maxBatchInterval`). */
const PERIOD_MS = 100

type Send = (message: AgentMessage) => void

/**
 * Brings the newest status of each task to the managers. Holds one status a task, so its size is bounded by the tasks
 * of the node; a status stays until a manager acknowledged it, and every session starts with all of them (row DP-15).
 */
export class Reporter {
  readonly #clock: Clock
  #send: Send | undefined
  /** The newest status of every task. */
  readonly #newest = new Map<string, TaskStatus>()
  /** Tasks whose newest status no message carries yet. */
  readonly #unsent = new Set<string>()
  readonly #unacked = new Map<number, ReadonlyMap<string, TaskStatus>>()
  #sequence = 0
  #sentMs = -Infinity
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Statuses no manager has acknowledged. */
  get queueLength(): number {
    let length = this.#unsent.size
    for (const batch of this.#unacked.values()) length += batch.size
    return length
  }

  /** Takes a task's status; an older one that was not sent is forgotten. */
  report(taskId: string, status: TaskStatus): void {
    this.#newest.set(taskId, status)
    this.#unsent.add(taskId)
    this.#schedule()
  }

  /** The task is gone from this node; nothing is said of it any more. */
  forget(taskId: string): void {
    this.#newest.delete(taskId)
    this.#unsent.delete(taskId)
  }

  /** A session began: everything is sent again, to `send`. */
  attach(send: Send): void {
    this.#send = send
    this.#unacked.clear()
    for (const taskId of this.#newest.keys()) this.#unsent.add(taskId)
    this.#flush()
  }

  /** The session ended; what happens now waits for the next. */
  detach(): void {
    this.#send = undefined
    this.#unacked.clear()
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** A manager has written down the batch `sequence`. */
  acknowledge(sequence: number): void {
    if (this.#unacked.delete(sequence)) this.#flush()
  }

  #schedule(): void {
    if (this.#cancelTimer || !this.#send) return
    const restMs = this.#sentMs + PERIOD_MS - this.#clock.monotonic()
    this.#cancelTimer = this.#clock.after(Math.max(BATCH_MS, restMs), () => {
      this.#cancelTimer = undefined
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#send && this.#unsent.size > 0 && this.#unacked.size < MAX_UNACKED) {
      const batch = new Map<string, TaskStatus>()
      for (const taskId of this.#unsent) {
        if (batch.size >= MAX_BATCH) break
        this.#unsent.delete(taskId)
        const status = this.#newest.get(taskId)
        if (status) batch.set(taskId, status)
      }
      this.#sentMs = this.#clock.monotonic()
      this.#sequence += 1
      this.#unacked.set(this.#sequence, batch)
      const tasks = [...batch].map(([taskId, status]) => ({ taskId, status }))
      this.#send({ message: 'report', report: { sequence: this.#sequence, tasks } })
    }
  }
}
