// Clients that read and write registers and record what they were told.
import { RaftError } from '../../src/index.ts'
import type { KeyedOperation } from '../../../../test/support/linearizability.ts'
import { pick, stream } from './chance.ts'
import type { Host, World } from './world.ts'

const CLIENTS = 4
const KEYS = ['a', 'b', 'c']
const THINK_MS = 60
/** How often a call to a paused process tries to get in. */
const PAUSED_RETRY_MS = 5
/** Of what clients do. */
const READS = 0.5
/** Surely not appended; anything else may still be. */
const REFUSALS: ReadonlySet<string> = new Set(['NotLeader', 'ProposalDropped', 'TooLarge'])

export class Clients {
  readonly history: KeyedOperation[] = []
  readonly #world: World
  /** The highest index that was acknowledged to anybody. */
  #floor = 0
  #written = 0
  readonly #acknowledged = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  get acknowledged(): ReadonlyMap<string, number> {
    return this.#acknowledged
  }

  start(): void {
    for (let client = 1; client <= CLIENTS; client++) this.#live(client)
  }

  #live(client: number): void {
    const world = this.#world
    const random = stream(world.seed, `client ${client}`)
    const again = (): void => {
      world.clock.after(random() * 2 * THINK_MS, () => {
        if (world.calm) return
        this.#act(client, random).then(again, (error: unknown) => world.fail(error))
      })
    }
    again()
  }

  async #act(client: number, random: () => number): Promise<void> {
    const reads = random() < READS
    const host = this.#choose(reads, random)
    const key = pick(random, KEYS) as string
    // Now and then several at once, so that entries gather in one append and one record.
    const burst = random() < 0.1 ? 1 + Math.floor(random() * 8) : 1
    if (host === undefined) return
    if (reads) await this.#read(client, host, key)
    else
      await Promise.all(
        Array.from({ length: burst }, (_, i) => this.write(client + i * 100, host, key)),
      )
  }

  /** Writes go to the newest leader mostly, reads to whoever believes to lead: it must find out before it answers. */
  #choose(reads: boolean, random: () => number): Host | undefined {
    const world = this.#world
    const live = world.live()
    if (random() < 0.25) return pick(random, live)
    if (!reads) return world.leader() ?? pick(random, live)
    const leading = live.filter(h => h.node?.status().role === 'leader')
    return pick(random, leading) ?? pick(random, live)
  }

  /** @returns whether it was acknowledged */
  async write(client: number, host: Host, key: string): Promise<boolean> {
    const world = this.#world
    const value = `${++this.#written}`
    const text = `${key}=${value}`
    const invokedMs = world.clock.monotonic()
    const operation = { client, key, kind: 'write' as const, value, invokedMs }
    try {
      await this.#reach(host)
      if (host.node === undefined) return false
      const { index, result } = await host.node.propose(new TextEncoder().encode(text))
      this.history.push({ ...operation, returnedMs: world.clock.monotonic() })
      world.stats.writes++
      this.#floor = Math.max(this.#floor, index)
      this.#acknowledged.set(text, index)
      if (result !== `did ${text}` || world.checker.textAt(index) !== text)
        world.broken('acknowledged is kept', `${text} at ${index} was answered ${String(result)}`)
      return true
    } catch (error) {
      if (!this.#isExpected(error)) return false
      if (REFUSALS.has(error.code)) {
        world.refused.add(text)
        if (world.checker.isApplied(text))
          world.broken('refused is not applied', `${text} was refused and applied`)
      } else {
        world.stats.unknown++
        this.history.push({ ...operation, returnedMs: undefined })
      }
      return false
    }
  }

  /** A read must see everything acknowledged to anybody before it was asked; the history tells the rest. */
  async #read(client: number, host: Host, key: string): Promise<void> {
    const world = this.#world
    const { machine, node, life } = host
    const floor = this.#floor
    const invokedMs = world.clock.monotonic()
    try {
      await this.#reach(host)
      if (host.life !== life) return
      if (node?.status().role === 'leader' && world.leader() !== host) world.stats.rivalReads++
      const index = await node?.readIndex({ timeoutMs: 800 })
      if (index === undefined) return
      world.stats.reads++
      if (index < floor)
        world.broken('reads are linearizable', `a read at ${index} misses the write at ${floor}`)
      const value = machine.get(key)
      const returnedMs = world.clock.monotonic()
      this.history.push({ client, key, kind: 'read', value, invokedMs, returnedMs })
    } catch (error) {
      this.#isExpected(error)
    }
  }

  /** A paused process hears of it when it goes on, one that dies meanwhile never. */
  async #reach(host: Host): Promise<void> {
    const { life } = host
    const { clock } = this.#world
    while (host.held !== undefined && host.life === life)
      await new Promise<void>(resolve => clock.after(PAUSED_RETRY_MS, resolve))
  }

  #isExpected(error: unknown): error is RaftError {
    if (error instanceof RaftError && error.code !== 'Corrupt') return true
    this.#world.fail(error)
    return false
  }
}
