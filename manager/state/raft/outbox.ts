import type { Message } from 'raft-ts'

/** Swarm row RF-04: a peer's queue holds 4,096 messages. */
const DEFAULT_MESSAGES = 4096

/**
 * Messages waiting for one peer, bounded. Raft repairs whatever is lost, so a full box drops: first what a later message
 * of its kind makes worthless, then the oldest.
 */
export class Outbox {
  readonly #limit: number
  #messages: Message[] = []
  #first = 0
  #dropped = 0

  constructor(limit: number = DEFAULT_MESSAGES) {
    this.#limit = limit
  }

  get length(): number {
    return this.#messages.length - this.#first
  }

  /** How many were dropped so far. */
  get dropped(): number {
    return this.#dropped
  }

  put(message: Message): void {
    if (this.length >= this.#limit) {
      this.#messages = this.#messages.slice(this.#first)
      this.#first = 0
      this.#messages.splice(Math.max(this.#messages.findIndex(isBeat), 0), 1)
      this.#dropped += 1
    }
    this.#messages.push(message)
  }

  /** Takes the oldest, undefined when none waits. */
  take(): Message | undefined {
    const oldest = this.#messages[this.#first]
    if (oldest === undefined) return undefined
    this.#first += 1
    if (this.#first === this.#messages.length) this.#reset()
    return oldest
  }

  /** Forgets what waits: it was meant for a connection that is gone. */
  clear(): void {
    this.#dropped += this.length
    this.#reset()
  }

  #reset(): void {
    this.#messages = []
    this.#first = 0
  }
}

function isBeat(message: Message): boolean {
  return message.type === 'heartbeat' || message.type === 'heartbeatResponse'
}
