import { StatusError } from './errors.ts'

/**
 * A bounded queue with one consumer. Producers never wait: a full box refuses with ResourceExhausted, so the caller
 * decides whether to drop, coalesce or fail.
 */
export class Mailbox<T> implements AsyncIterable<T> {
  readonly #limit: number
  readonly #name: string
  #items: T[] = []
  #wake: (() => void) | undefined
  #closed = false

  constructor(name: string, limit: number) {
    this.#name = name
    this.#limit = limit
  }

  get length(): number {
    return this.#items.length
  }

  /** @throws StatusError ResourceExhausted when full, Cancelled when closed */
  put(item: T): void {
    if (this.#closed) throw new StatusError('Cancelled', `${this.#name} is closed`)
    if (this.#items.length >= this.#limit) {
      throw new StatusError('ResourceExhausted', `${this.#name} is full (${this.#limit} waiting)`)
    }
    this.#items.push(item)
    this.#wake?.()
  }

  /** Takes all that waits, without waiting. */
  drain(): T[] {
    const items = this.#items
    this.#items = []
    return items
  }

  /** Ends iteration once what waits has been taken. */
  close(): void {
    this.#closed = true
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) {
        yield item
      } else if (this.#closed) {
        return
      } else {
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    }
  }
}
