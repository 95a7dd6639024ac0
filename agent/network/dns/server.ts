import type { Clock } from '../../../runtime/clock.ts'
import { messageOf } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Random } from '../../../runtime/random.ts'
import { answer, nameTables, type Answer, type NameTables } from './answer.ts'
import type { Forwarder } from './forward.ts'
import { encodeAnswer, parseQuery } from './message.ts'
import type { DnsSockets, Listener, Transport } from './sockets.ts'

const MAX_STREAM_BYTES = 65_535

export type DnsResult = 'internal' | 'forwarded' | 'nxdomain' | 'servfail' | 'refused'

/** What the name server counts. */
export interface DnsMetrics {
  query(type: string, result: DnsResult, durationMs: number): void
  malformed(): void
}

export interface DnsServerDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly sockets: DnsSockets
  readonly forwarder: Forwarder
  readonly metrics: DnsMetrics
  /** Default 53. */
  readonly port?: number
}

/** The agent's name server: one table, listening on every gateway address of this node. */
export class DnsServer {
  readonly #deps: DnsServerDeps
  readonly #listeners = new Map<string, Listener>()
  #tables: NameTables = nameTables('', [])
  #stopped = false

  constructor(deps: DnsServerDeps) {
    this.#deps = deps
  }

  /** Where it listens now. */
  addresses(): ReadonlySet<string> {
    return new Set(this.#listeners.keys())
  }

  /** From now on answers come from these. */
  setTables(tables: NameTables): void {
    this.#tables = tables
  }

  /** Listens on these addresses and no others. Calls must not overlap. @returns what could not be bound */
  async listenOn(addresses: readonly string[]): Promise<readonly string[]> {
    const problems: string[] = []
    for (const address of this.#listeners.keys())
      if (!addresses.includes(address)) await this.#close(address)
    for (const address of addresses) {
      if (this.#listeners.has(address) || this.#stopped) continue
      try {
        this.#listeners.set(address, await this.#listen(address))
      } catch (error) {
        problems.push(messageOf(error))
      }
    }
    return problems
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const address of this.#listeners.keys()) await this.#close(address)
  }

  #listen(address: string): Promise<Listener> {
    const { sockets, log, port = 53 } = this.#deps
    const onDead = (): void => {
      log.warn('dns: socket failed, will bind again', { address })
      void this.#close(address)
    }
    return sockets.listen(
      address,
      port,
      (message, source, via) => this.#handle(message, source, via),
      onDead,
    )
  }

  async #close(address: string): Promise<void> {
    const listener = this.#listeners.get(address)
    this.#listeners.delete(address)
    await listener?.close()
  }

  async #handle(
    message: Uint8Array,
    source: string,
    transport: Transport,
  ): Promise<Uint8Array | undefined> {
    const { clock, log, metrics } = this.#deps
    const startedMs = clock.monotonic()
    const query = parseQuery(message)
    if (query === undefined) {
      metrics.malformed()
      return undefined
    }
    try {
      const found: Answer = query.internet
        ? answer(query.question, source, this.#tables, this.#deps.random)
        : { kind: 'refused' }
      const forwarded =
        found.kind === 'forward'
          ? await this.#deps.forwarder.forward(message, transport)
          : undefined
      const result = forwarded === undefined ? resultOf(found) : 'forwarded'
      metrics.query(query.question.type, result, clock.monotonic() - startedMs)
      return (
        forwarded ??
        encodeAnswer(query, found, transport === 'tcp' ? MAX_STREAM_BYTES : query.datagramBytes)
      )
    } catch (error) {
      // A question that cannot be echoed, such as a name with bytes that are no text.
      log.debug('dns: question not answered', { source, error: messageOf(error) })
      metrics.malformed()
      return undefined
    }
  }
}

function resultOf({ kind }: Answer): DnsResult {
  if (kind === 'nxdomain' || kind === 'refused') return kind
  return kind === 'servfail' || kind === 'forward' ? 'servfail' : 'internal'
}
