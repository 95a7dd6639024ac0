// Raft messages between managers, over one standing stream to each of them. Losing a message does no harm; learning late
// that a connection broke does: a break is reported at once, which is what makes failover fast.
import type { Member, Message } from 'raft-ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Duplex } from '../../../runtime/duplex.ts'
import { type StatusError, hasCode, toStatusError } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Random } from '../../../runtime/random.ts'
import { type RaftEnvelope, unpackEnvelope } from './envelope.ts'
import { Outbox } from './outbox.ts'
import { packEnvelope } from './envelope.ts'
import { Peer } from './peer.ts'

/** What the metrics of the transport are made of. */
export interface TransportObserver {
  bytes?(direction: 'sent' | 'received', bytes: number): void
  /** Messages that were not sent: no connection, or a full queue. */
  dropped?(peer: number, messages: number): void
  sendFailed?(peer: number): void
  /** Streams ended because of what came in. */
  refused?(reason: 'cluster' | 'malformed'): void
}

export interface TransportOptions {
  readonly selfId: number
  readonly clusterId: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** A stream to the Raft service at host:port; failures show as its end. */
  readonly dial: (address: string) => Duplex<RaftEnvelope, RaftEnvelope>
  readonly onMessage: (message: Message) => void
  readonly onUnreachable: (id: number) => void
  readonly observer?: TransportObserver
}

type Stream = Duplex<RaftEnvelope, RaftEnvelope>

export class RaftTransport {
  readonly #options: TransportOptions
  readonly #peers = new Map<number, Peer>()
  /** Streams others opened, by who they said they are in their certificates: one each. */
  readonly #inbound = new Map<string, Stream>()
  /** The way back to members whose address is not known yet: a joiner has no configuration until it can answer. */
  readonly #ways = new Map<number, Stream>()
  #stopped = false

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /** Keeps a connection to each of `members`, and to nobody else. */
  setMembers(members: readonly Member[]): void {
    if (this.#stopped) return
    const wanted = new Map(members.map(member => [member.id, member.address]))
    wanted.delete(this.#options.selfId)
    for (const [id, peer] of this.#peers) {
      if (wanted.get(id) === peer.address) continue
      peer.close()
      this.#peers.delete(id)
    }
    for (const [id, address] of wanted) if (!this.#peers.has(id)) this.#open(id, address)
  }

  /** Fire and forget. */
  send(messages: readonly Message[]): void {
    const touched = new Set<Peer>()
    for (const message of messages) {
      const peer = this.#peers.get(message.to)
      if (peer === undefined) {
        this.#answer(message)
        continue
      }
      peer.put(message)
      touched.add(peer)
    }
    for (const peer of touched) peer.flush()
  }

  /**
   * Serves a stream that another manager opened. A wrong cluster id or malformed bytes end this stream alone.
   *
   * @param peer who its certificate says it is; a later stream of the same peer takes this one's place
   */
  handleMessages(peer: string, stream: Stream): void {
    if (this.#stopped) {
      stream.end()
      return
    }
    const former = this.#inbound.get(peer)
    this.#inbound.set(peer, stream)
    former?.end()
    const senders = new Set<number>()
    stream.onMessage(envelope => {
      if (this.#inbound.get(peer) !== stream) return
      try {
        for (const from of this.#receive(envelope)) {
          senders.add(from)
          this.#ways.set(from, stream)
        }
      } catch (error) {
        this.#forget(peer, stream, senders)
        stream.end(toStatusError(error))
      }
    })
    stream.onEnd(() => {
      if (!this.#forget(peer, stream, senders) || this.#stopped) return
      for (const id of senders) this.#options.onUnreachable(id)
    })
  }

  /** Members there is a standing stream to now. */
  connected(): readonly number[] {
    return [...this.#peers].filter(([, peer]) => peer.connected).map(([id]) => id)
  }

  stop(): void {
    this.#stopped = true
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
    const streams = [...this.#inbound.values()]
    this.#inbound.clear()
    this.#ways.clear()
    for (const stream of streams) stream.end()
  }

  #open(id: number, address: string): void {
    const { clusterId, clock, random, log, dial, onUnreachable, observer } = this.#options
    const peer = new Peer(address, {
      clusterId,
      clock,
      random,
      log: log.child({ peer: id }),
      dial,
      receive: envelope => {
        this.#receive(envelope)
      },
      lost: () => {
        observer?.sendFailed?.(id)
        onUnreachable(id)
      },
      sent: bytes => observer?.bytes?.('sent', bytes),
      dropped: messages => observer?.dropped?.(id, messages),
    })
    this.#peers.set(id, peer)
    peer.open()
  }

  /** Hands on what an envelope holds. @returns who sent it */
  #receive(envelope: RaftEnvelope): ReadonlySet<number> {
    const { clusterId, onMessage, observer } = this.#options
    const messages = this.#unpack(clusterId, envelope)
    const senders = new Set(messages.map(message => message.from))
    observer?.bytes?.(
      'received',
      envelope.messages.reduce((sum, bytes) => sum + bytes.length, 0),
    )
    for (const id of senders) this.#peers.get(id)?.heard()
    for (const message of messages) onMessage(message)
    return senders
  }

  #unpack(clusterId: string, envelope: RaftEnvelope): readonly Message[] {
    try {
      return unpackEnvelope(clusterId, envelope)
    } catch (error) {
      const reason = hasCode(error, 'FailedPrecondition') ? 'cluster' : 'malformed'
      this.#options.observer?.refused?.(reason)
      this.#options.log.warn('refused raft messages', {
        reason,
        error: (error as StatusError).message,
      })
      throw error
    }
  }

  #answer(message: Message): void {
    const { clusterId, observer } = this.#options
    const way = this.#ways.get(message.to)
    if (way === undefined) {
      observer?.dropped?.(message.to, 1)
      return
    }
    const outbox = new Outbox(1)
    outbox.put(message)
    const { envelope, bytes } = packEnvelope(clusterId, outbox)
    way.send(envelope)
    observer?.bytes?.('sent', bytes)
  }

  /** @returns whether it was the current one of its peer */
  #forget(peer: string, stream: Stream, senders: ReadonlySet<number>): boolean {
    for (const id of senders) if (this.#ways.get(id) === stream) this.#ways.delete(id)
    return this.#inbound.get(peer) === stream && this.#inbound.delete(peer)
  }
}
