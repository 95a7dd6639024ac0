import type { Message } from 'raft-ts'
import { Backoff } from '../../../runtime/backoff.ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Duplex } from '../../../runtime/duplex.ts'
import { StatusError, messageOf, toStatusError } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Random } from '../../../runtime/random.ts'
import { type RaftEnvelope, packEnvelope } from './envelope.ts'
import { Outbox } from './outbox.ts'

/** Envelopes handed to a stream that it has not taken yet; more wait in the outbox, where they can still be dropped. */
const MAX_BACKLOG = 16
const FULL_RETRY_MS = 5
/** A stream that takes nothing for this long is dead, whatever it says. */
const STALL_MS = 3_000
const FIRST_RETRY_MS = 50
const MAX_RETRY_MS = 1_000
/** A stream that lasted this long was a good one: its end is no reason to wait long. */
const GOOD_AFTER_MS = 2_000
/** A peer that is heard is dialed at once, but no more often than this. */
const MIN_DIAL_GAP_MS = 50

export interface PeerDeps {
  readonly clusterId: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly dial: (address: string) => Duplex<RaftEnvelope, RaftEnvelope>
  /** What came back on the stream that was dialed. @throws what the stream is to end with */
  readonly receive: (envelope: RaftEnvelope) => void
  /** The stream broke or could not be made. */
  readonly lost: () => void
  readonly sent: (bytes: number) => void
  readonly dropped: (messages: number) => void
}

/** The standing stream to one member: dialed at once, dialed again when it breaks, fed from a bounded outbox. */
export class Peer {
  readonly address: string
  readonly #deps: PeerDeps
  readonly #outbox = new Outbox()
  readonly #backoff: Backoff
  #stream: Duplex<RaftEnvelope, RaftEnvelope> | undefined
  #dialedAtMs = 0
  #cancelDial: (() => void) | undefined
  #cancelFlush: (() => void) | undefined
  #blockedSinceMs: number | undefined
  #reported = 0
  #closed = false

  constructor(address: string, deps: PeerDeps) {
    this.address = address
    this.#deps = deps
    this.#backoff = new Backoff(deps.random, { firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS })
  }

  get connected(): boolean {
    return this.#stream !== undefined
  }

  /** Dials. The first envelope is empty: it makes the other side check the cluster id before it matters. */
  open(): void {
    const { clock, dial } = this.#deps
    this.#cancelDial = undefined
    if (this.#closed || this.#stream) return
    this.#dialedAtMs = clock.monotonic()
    let stream: Duplex<RaftEnvelope, RaftEnvelope>
    try {
      stream = dial(this.address)
    } catch (error) {
      this.#broken(toStatusError(error))
      return
    }
    this.#stream = stream
    stream.onMessage(envelope => this.#received(stream, envelope))
    stream.onEnd(error => {
      if (this.#stream === stream) this.#broken(error)
    })
    if (this.#stream !== stream) return
    if (this.#outbox.length === 0) stream.send({ clusterId: this.#deps.clusterId, messages: [] })
    this.flush()
  }

  /** Queues; flush() sends. */
  put(message: Message): void {
    this.#outbox.put(message)
  }

  flush(): void {
    const stream = this.#stream
    if (stream === undefined) return
    while (this.#outbox.length > 0 && stream.backlog < MAX_BACKLOG) {
      const { envelope, bytes } = packEnvelope(this.#deps.clusterId, this.#outbox)
      stream.send(envelope)
      this.#deps.sent(bytes)
      this.#blockedSinceMs = undefined
    }
    this.#reportDropped()
    if (this.#outbox.length > 0) this.#waitForRoom(stream)
  }

  /** The peer was heard of, so it lives: no more waiting. */
  heard(): void {
    this.#backoff.reset()
    if (this.#cancelDial === undefined) return
    if (this.#deps.clock.monotonic() - this.#dialedAtMs < MIN_DIAL_GAP_MS) return
    this.#cancelDial()
    this.open()
  }

  close(): void {
    this.#closed = true
    this.#cancelDial?.()
    this.#cancelFlush?.()
    const stream = this.#stream
    this.#stream = undefined
    stream?.end()
  }

  #received(stream: Duplex<RaftEnvelope, RaftEnvelope>, envelope: RaftEnvelope): void {
    if (this.#stream !== stream) return
    try {
      this.#deps.receive(envelope)
    } catch (error) {
      const status = toStatusError(error)
      this.#broken(status)
      stream.end(status)
    }
  }

  #waitForRoom(stream: Duplex<RaftEnvelope, RaftEnvelope>): void {
    const { clock } = this.#deps
    this.#blockedSinceMs ??= clock.monotonic()
    if (clock.monotonic() - this.#blockedSinceMs > STALL_MS) {
      const error = new StatusError(
        'Unavailable',
        `${this.address} took no raft message for ${STALL_MS} ms`,
      )
      this.#broken(error)
      stream.end(error)
      return
    }
    this.#cancelFlush ??= clock.after(FULL_RETRY_MS, () => {
      this.#cancelFlush = undefined
      this.flush()
    })
  }

  #broken(error: StatusError | undefined): void {
    const { clock, log, lost } = this.#deps
    this.#stream = undefined
    this.#blockedSinceMs = undefined
    this.#outbox.clear()
    this.#reportDropped()
    if (this.#closed) return
    if (clock.monotonic() - this.#dialedAtMs > GOOD_AFTER_MS) this.#backoff.reset()
    const delayMs = this.#backoff.nextMs()
    log.debug('raft connection lost', {
      address: this.address,
      error: messageOf(error ?? 'ended'),
      retryMs: delayMs,
    })
    this.#cancelDial = clock.after(delayMs, () => this.open())
    lost()
  }

  #reportDropped(): void {
    const { dropped } = this.#outbox
    if (dropped > this.#reported) this.#deps.dropped(dropped - this.#reported)
    this.#reported = dropped
  }
}
