import type { StatusError } from './errors.ts'

/**
 * One side of a two-way stream of messages, whatever carries it: gRPC in production, memory in tests and simulations.
 * Sending after the end is silently ignored: the end itself is what both sides learn.
 */
export interface Duplex<In, Out> {
  send(message: Out): void
  /** Messages handed to send() that the transport has not taken yet. A sender that sees this grow should end the stream. */
  readonly backlog: number
  /** Stops taking messages from the transport until resume(), so that the sender's backlog grows instead of our memory. */
  pause?(): void
  resume?(): void
  /** Ends both directions; the other side learns `error` (its code and message), or a clean end. */
  end(error?: StatusError): void
  /** At most one listener; messages that came before it are kept for it. */
  onMessage(listener: (message: In) => void): void
  /** Called once, after the last message. Without an error the other side ended cleanly. */
  onEnd(listener: (error: StatusError | undefined) => void): void
}

/** Two ends of a stream in memory. Delivery is by microtask, in order. */
export function duplexPair<A, B>(): [Duplex<A, B>, Duplex<B, A>] {
  const left = new MemoryDuplex<A, B>()
  const right = new MemoryDuplex<B, A>()
  left.connect(right)
  right.connect(left)
  return [left, right]
}

class MemoryDuplex<In, Out> implements Duplex<In, Out> {
  readonly backlog = 0
  #peer: MemoryDuplex<Out, In> | undefined
  #ended = false
  #inbox: In[] = []
  #onMessage: ((message: In) => void) | undefined
  #onEnd: ((error: StatusError | undefined) => void) | undefined
  #endedWith: { error: StatusError | undefined } | undefined

  connect(peer: MemoryDuplex<Out, In>): void {
    this.#peer = peer
  }

  send(message: Out): void {
    if (this.#ended) return
    queueMicrotask(() => this.#peer?.receive(message))
  }

  end(error?: StatusError): void {
    if (this.#ended) return
    this.#ended = true
    queueMicrotask(() => {
      this.#peer?.finish(error)
      this.finish(error)
    })
  }

  onMessage(listener: (message: In) => void): void {
    this.#onMessage = listener
    for (const message of this.#inbox.splice(0)) listener(message)
  }

  onEnd(listener: (error: StatusError | undefined) => void): void {
    this.#onEnd = listener
    if (this.#endedWith) listener(this.#endedWith.error)
  }

  receive(message: In): void {
    if (this.#endedWith) return
    if (this.#onMessage) this.#onMessage(message)
    else this.#inbox.push(message)
  }

  finish(error: StatusError | undefined): void {
    if (this.#endedWith) return
    this.#ended = true
    this.#endedWith = { error }
    this.#onEnd?.(error)
  }
}
