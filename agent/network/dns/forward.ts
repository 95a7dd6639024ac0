import type { Clock } from '../../../runtime/clock.ts'
import type { Fs } from '../../../runtime/fs.ts'
import type { Random } from '../../../runtime/random.ts'
import { nameservers } from './resolv-conf.ts'
import type { DnsSockets, Transport } from './sockets.ts'

const MAX_PENDING = 256
const SERVER_TIMEOUT_MS = 2_000
const RESOLV_CONF = '/etc/resolv.conf'
const RESOLV_CONF_AGE_MS = 5_000
const HEADER_BYTES = 12

export interface ForwarderDeps {
  readonly clock: Clock
  readonly random: Random
  readonly fs: Fs
  readonly sockets: DnsSockets
  /** This node's own name servers, which must not be asked. */
  readonly own: () => ReadonlySet<string>
}

/** Passes questions that are not the cluster's on to the host's resolvers, each in turn. */
export class Forwarder {
  readonly #deps: ForwarderDeps
  #pending = 0
  #preferred = ''
  #servers: Promise<readonly string[]> = Promise.resolve([])
  #readMs = -Infinity

  constructor(deps: ForwarderDeps) {
    this.#deps = deps
  }

  /** The resolvers' answer with the query's own id, or undefined when there is none. Never rejects. */
  async forward(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    if (this.#pending >= MAX_PENDING) return undefined
    this.#pending += 1
    try {
      const servers = await this.#upstreams()
      // The one that answered last goes first, so that a dead one costs its time limit once.
      const first = Math.max(0, servers.indexOf(this.#preferred))
      for (let i = 0; i < servers.length; i++) {
        const server = servers[(first + i) % servers.length] ?? ''
        const reply = await this.#ask(server, query, transport)
        if (reply === undefined) continue
        this.#preferred = server
        return reply
      }
      return undefined
    } finally {
      this.#pending -= 1
    }
  }

  async #ask(
    server: string,
    query: Uint8Array,
    transport: Transport,
  ): Promise<Uint8Array | undefined> {
    const { random, sockets } = this.#deps
    // An id of our own: the asker's may be known to others.
    const sent = withId(query, random.bytes(2))
    try {
      const reply = await sockets.exchange(transport, server, sent, SERVER_TIMEOUT_MS)
      return isReplyTo(reply, sent) ? withId(reply, query.subarray(0, 2)) : undefined
    } catch {
      // Silent or refusing: the next one is asked.
      return undefined
    }
  }

  /** Questions that come while the file is being read wait for it too. */
  #upstreams(): Promise<readonly string[]> {
    const { clock } = this.#deps
    if (clock.monotonic() - this.#readMs >= RESOLV_CONF_AGE_MS) {
      this.#readMs = clock.monotonic()
      this.#servers = this.#readServers(this.#servers)
    }
    return this.#servers
  }

  async #readServers(before: Promise<readonly string[]>): Promise<readonly string[]> {
    const { fs, own } = this.#deps
    try {
      const text = new TextDecoder().decode(await fs.read(RESOLV_CONF))
      return nameservers(text, own())
    } catch {
      // Unreadable for a moment (it is being replaced): the servers known before still hold.
      return before
    }
  }
}

function withId(message: Uint8Array, id: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(message)
  copy.set(id.subarray(0, 2), 0)
  return copy
}

/** Same id, a response, and the same question byte for byte (servers keep the case they were asked in). */
function isReplyTo(reply: Uint8Array, query: Uint8Array): boolean {
  if (reply.length < HEADER_BYTES || ((reply[2] ?? 0) & 0x80) === 0) return false
  if (reply[0] !== query[0] || reply[1] !== query[1]) return false
  const end = questionEnd(query)
  // A server that could not read the question may leave it out.
  const questions = ((reply[4] ?? 0) << 8) | (reply[5] ?? 0)
  if (questions === 0) return true
  return query.subarray(HEADER_BYTES, end).every((byte, i) => byte === reply[HEADER_BYTES + i])
}

function questionEnd(query: Uint8Array): number {
  let at = HEADER_BYTES
  while (at < query.length && query[at] !== 0) at += (query[at] ?? 0) + 1
  return Math.min(query.length, at + 5)
}
