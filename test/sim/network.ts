// The wire: streams over TCP between hosts in virtual time. What is sent arrives late but in order, or the stream breaks;
// a cut link holds bytes back until it heals or both ends give up.
import { type Codec, codec } from '../../proto/codec.ts'
import { v1 } from '../../proto/index.ts'
import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { Random } from '../../runtime/random.ts'
import type { Life, Timeline } from './time.ts'

export type Service = 'Dispatcher.session' | 'Dispatcher.stream' | 'Raft.messages'

/** A process on a host, as the network knows it. */
export interface Party {
  readonly host: string
  readonly life: Life
}

/** Takes a stream that `from` opened. */
export type Accept = (service: Service, stream: Duplex<never, never>, from: string) => void

export interface Weather {
  readonly minDelayMs: number
  readonly maxDelayMs: number
  /** Messages go through their codecs, as on a real wire. */
  readonly encoded: boolean
}

/** What a socket takes although nobody reads: a sender sees backlog beyond it. */
const SOCKET_MESSAGES = 64
const KEEPALIVE_MIN_MS = 2_000
const KEEPALIVE_MAX_MS = 4_000
const CONNECT_MS = 2_000

type AnyCodec = Codec<never>
const CODECS: Readonly<Record<Service, { readonly up: AnyCodec; readonly down: AnyCodec }>> = {
  'Dispatcher.session': {
    up: codec(v1.AgentMessage) as AnyCodec,
    down: codec(v1.ManagerMessage) as AnyCodec,
  },
  'Dispatcher.stream': {
    up: codec(v1.StreamFrame) as AnyCodec,
    down: codec(v1.StreamFrame) as AnyCodec,
  },
  'Raft.messages': {
    up: codec(v1.RaftEnvelope) as AnyCodec,
    down: codec(v1.RaftEnvelope) as AnyCodec,
  },
}

export class Network {
  readonly timeline: Timeline
  readonly random: Random
  readonly weather: Weather
  delivered = 0
  readonly #servers = new Map<string, Party & { readonly accept: Accept }>()
  /** "from to" → when it was cut. */
  readonly #cuts = new Map<string, number>()
  readonly #down = new Set<string>()
  readonly #pipes = new Set<Pipe>()

  constructor(timeline: Timeline, random: Random, weather: Weather) {
    this.timeline = timeline
    this.random = random
    this.weather = weather
  }

  listen(address: string, party: Party, accept: Accept): void {
    this.#servers.set(address, { ...party, accept })
  }

  server(address: string): (Party & { readonly accept: Accept }) | undefined {
    const server = this.#servers.get(address)
    return server?.life.ended ? undefined : server
  }

  /** A stream to `address`; failures show as its end. */
  dial<In, Out>(from: Party, address: string, service: Service): Duplex<In, Out> {
    const to = this.#servers.get(address)?.host ?? address
    const pipe = new Pipe(this, service, from, to, address)
    this.#pipes.add(pipe)
    return pipe.near as unknown as Duplex<In, Out>
  }

  forget(pipe: Pipe): void {
    this.#pipes.delete(pipe)
  }

  /** Nothing passes from one host to the other, until healed. */
  cut(from: string, to: string): void {
    const link = `${from} ${to}`
    if (from === to || this.#cuts.has(link)) return
    this.#cuts.set(link, this.timeline.monotonic())
    for (const pipe of this.#pipes) if (pipe.between(from, to)) pipe.doubt()
  }

  heal(): void {
    this.#cuts.clear()
    for (const pipe of this.#pipes) pipe.pump()
  }

  /** Whether bytes can go from one host to the other now. */
  passes(from: string, to: string): boolean {
    return !this.#cuts.has(`${from} ${to}`) && !this.#down.has(from) && !this.#down.has(to)
  }

  /** A process is gone. Its kernel says so to the other ends, unless the whole host went silent. */
  died(life: Life): void {
    for (const pipe of this.#pipes) pipe.died(life)
  }

  /** The host is off: nothing comes from it and nothing reaches it. */
  hostDown(host: string): void {
    this.#down.add(host)
    for (const pipe of this.#pipes) if (pipe.touches(host)) pipe.doubt()
  }

  hostUp(host: string): void {
    this.#down.delete(host)
    for (const pipe of this.#pipes) pipe.pump()
  }

  delayMs(): number {
    const { minDelayMs, maxDelayMs } = this.weather
    return minDelayMs + this.random.next() * (maxDelayMs - minDelayMs)
  }

  keepaliveMs(): number {
    return KEEPALIVE_MIN_MS + this.random.next() * (KEEPALIVE_MAX_MS - KEEPALIVE_MIN_MS)
  }
}

type Item =
  | { readonly kind: 'open' }
  | { readonly kind: 'message'; readonly data: unknown }
  | { readonly kind: 'end'; readonly error: StatusError | undefined }

/** One TCP connection with one stream on it. */
class Pipe {
  readonly near: End
  readonly #network: Network
  readonly #address: string
  readonly #service: Service
  readonly #far: End
  readonly #up: Lane
  readonly #down: Lane

  constructor(network: Network, service: Service, from: Party, to: string, address: string) {
    this.#network = network
    this.#address = address
    this.#service = service
    const { up, down } = CODECS[service]
    this.near = new End(from.host, from.life, true)
    this.#far = new End(to, undefined, false)
    this.#up = new Lane(network, from.host, to, up, item => this.#arrives(item))
    this.#down = new Lane(network, to, from.host, down, item => this.#back(item))
    this.near.attach(this.#up, () => this.#closed())
    this.#far.attach(this.#down, () => this.#closed())
    this.#up.push({ kind: 'open' })
    network.timeline.after(CONNECT_MS, () => {
      if (this.#far.life === undefined) this.near.finish(unavailable('no connection in time'))
    })
  }

  between(from: string, to: string): boolean {
    const { near } = this
    return (
      (near.host === from && this.#far.host === to) || (near.host === to && this.#far.host === from)
    )
  }

  touches(host: string): boolean {
    return this.near.host === host || this.#far.host === host
  }

  /** A link is cut: each end gives up when it has heard nothing for its time. */
  doubt(): void {
    for (const end of [this.near, this.#far]) {
      this.#network.timeline.after(this.#network.keepaliveMs(), () => {
        if (!this.#whole()) end.finish(unavailable('keepalive watchdog timeout'))
      })
    }
  }

  pump(): void {
    this.#up.pump()
    this.#down.pump()
  }

  died(life: Life): void {
    const reset: Item = { kind: 'end', error: unavailable('connection reset by peer') }
    if (this.near.life === life && !this.near.ended) {
      this.near.vanish()
      this.#up.push(reset)
    }
    if (this.#far.life === life && !this.#far.ended) {
      this.#far.vanish()
      this.#down.push(reset)
    }
    this.#closed()
  }

  #whole(): boolean {
    const { host } = this.near
    return this.#network.passes(host, this.#far.host) && this.#network.passes(this.#far.host, host)
  }

  #arrives(item: Item): void {
    if (item.kind === 'open') return this.#open()
    if (this.#far.life === undefined) return
    if (this.#far.ended && item.kind === 'message') this.#down.push(reset())
    // A client that ends with an error cancels its call: the server learns the end alone.
    else if (item.kind === 'end')
      this.#far.finish(item.error?.code === 'Unavailable' ? item.error : undefined)
    else this.#far.receive(item.data)
  }

  #back(item: Item): void {
    if (item.kind === 'end') this.near.finish(item.error)
    else if (item.kind === 'message' && this.near.ended) this.#up.push(reset())
    else if (item.kind === 'message') this.near.receive(item.data)
  }

  #open(): void {
    const server = this.#network.server(this.#address)
    if (!server || this.near.ended || this.#far.ended) {
      this.#down.push({ kind: 'end', error: unavailable(`connection to ${this.#address} refused`) })
      return
    }
    this.#far.life = server.life
    server.life.run(() =>
      server.accept(this.#service, this.#far as unknown as Duplex<never, never>, this.near.host),
    )
  }

  #closed(): void {
    if (
      this.near.ended &&
      (this.#far.ended || this.#far.life === undefined) &&
      !this.#up.busy &&
      !this.#down.busy
    )
      this.#network.forget(this)
  }
}

function unavailable(message: string): StatusError {
  return new StatusError('Unavailable', message)
}

function reset(): Item {
  return { kind: 'end', error: unavailable('connection reset by peer') }
}

/** One direction of a connection. */
class Lane {
  readonly #network: Network
  readonly #from: string
  readonly #to: string
  readonly #codec: AnyCodec
  readonly #deliver: (item: Item) => void
  readonly #queue: { readonly dueMs: number; readonly item: Item }[] = []
  #lastDueMs = 0
  #armed = false

  constructor(
    network: Network,
    from: string,
    to: string,
    wire: AnyCodec,
    deliver: (item: Item) => void,
  ) {
    this.#network = network
    this.#from = from
    this.#to = to
    this.#codec = wire
    this.#deliver = deliver
  }

  get backlog(): number {
    return Math.max(0, this.#queue.length - SOCKET_MESSAGES)
  }

  get busy(): boolean {
    return this.#queue.length > 0
  }

  push(item: Item): void {
    const { timeline, weather } = this.#network
    const packed: Item =
      item.kind === 'message' && weather.encoded
        ? { kind: 'message', data: this.#codec.encode(item.data as never) }
        : item
    this.#lastDueMs = Math.max(this.#lastDueMs, timeline.monotonic() + this.#network.delayMs())
    this.#queue.push({ dueMs: this.#lastDueMs, item: packed })
    this.#arm()
  }

  pump(): void {
    const { timeline, weather } = this.#network
    for (;;) {
      const next = this.#queue[0]
      if (next === undefined || next.dueMs > timeline.monotonic()) break
      // A cut link is pumped again when it heals.
      if (!this.#network.passes(this.#from, this.#to)) return
      this.#queue.shift()
      this.#network.delivered += 1
      const { item } = next
      this.#deliver(
        item.kind === 'message' && weather.encoded
          ? { kind: 'message', data: this.#codec.decode(item.data as Uint8Array) }
          : item,
      )
    }
    this.#arm()
  }

  #arm(): void {
    const next = this.#queue[0]
    if (next === undefined || this.#armed) return
    this.#armed = true
    const { timeline } = this.#network
    timeline.after(next.dueMs - timeline.monotonic(), () => {
      this.#armed = false
      this.pump()
    })
  }
}

/** One end of a stream, in one process. */
class End implements Duplex<unknown, unknown> {
  readonly host: string
  /** Undefined while the other side has not accepted it. */
  life: Life | undefined
  readonly #isClient: boolean
  #lane: Lane | undefined
  #closed: () => void = () => undefined
  #ended = false
  #inbox: unknown[] = []
  #onMessage: ((message: unknown) => void) | undefined
  #onEnd: ((error: StatusError | undefined) => void) | undefined
  #endedWith: { readonly error: StatusError | undefined } | undefined

  constructor(host: string, life: Life | undefined, isClient: boolean) {
    this.host = host
    this.life = life
    this.#isClient = isClient
  }

  attach(lane: Lane, closed: () => void): void {
    this.#lane = lane
    this.#closed = closed
  }

  get ended(): boolean {
    return this.#ended
  }

  get backlog(): number {
    return this.#lane?.backlog ?? 0
  }

  send(message: unknown): void {
    if (!this.#ended && !this.life?.ended) this.#lane?.push({ kind: 'message', data: message })
  }

  end(error?: StatusError): void {
    if (this.#ended || this.life?.ended) return
    // A cancelled call has no status to send.
    this.#lane?.push({ kind: 'end', error: this.#isClient ? undefined : error })
    this.#settle(error)
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#onMessage = listener
    for (const message of this.#inbox.splice(0)) listener(message)
  }

  onEnd(listener: (error: StatusError | undefined) => void): void {
    this.#onEnd = listener
    if (this.#endedWith) listener(this.#endedWith.error)
  }

  receive(message: unknown): void {
    this.life?.run(() => {
      if (this.#ended) return
      if (this.#onMessage) this.#onMessage(message)
      else this.#inbox.push(message)
    })
  }

  /** The other side, or the kernel, says it is over. */
  finish(error: StatusError | undefined): void {
    if (this.life === undefined) this.#ended = true
    else this.life.run(() => this.#settle(error))
  }

  /** Its process died: nobody is told. */
  vanish(): void {
    this.#ended = true
    this.#inbox = []
  }

  #settle(error: StatusError | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#endedWith = { error }
    this.#onEnd?.(error)
    this.#closed()
  }
}
