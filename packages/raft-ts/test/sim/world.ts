// A cluster of real RaftNodes on simulated disks, wires and time. Everything follows from the seed.
import { decodeMessage, encodeMessage, MemoryFs, RaftNode, VirtualClock } from '../../src/index.ts'
import type { Member, Message, RaftNodeOptions } from '../../src/index.ts'
import { Machine } from './machine.ts'

export interface Climate {
  readonly members: number
  readonly loss: number
  readonly duplicates: number
  readonly maxDelayMs: number
  readonly maxDiskMs: number
  readonly options: Partial<RaftNodeOptions>
}

export interface Host {
  readonly id: number
  readonly fs: MemoryFs
  machine: Machine
  node: RaftNode | undefined
  /** Counts starts, so that what belongs to an earlier life is ignored. */
  life: number
}

export class World {
  readonly random: () => number
  readonly clock = new VirtualClock()
  readonly hosts = new Map<number, Host>()
  readonly acknowledged = new Map<string, number>()
  climate: Climate
  calm = false
  #side = new Map<number, number>()
  #cutLinks = new Set<string>()
  readonly #leaders = new Map<number, number>()
  readonly #history: { term: number; text: string }[] = []
  readonly stats = { crashes: 0, proposed: 0, reads: 0, changes: 0, transfers: 0, installs: 0 }
  failure: Error | undefined

  constructor(random: () => number, climate: Climate) {
    this.random = random
    this.climate = climate
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit)
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.below(list.length)]
  }

  live(): Host[] {
    return [...this.hosts.values()].filter(h => h.node !== undefined)
  }

  leader(): Host | undefined {
    const leading = this.live().filter(h => h.node?.status().role === 'leader')
    return leading.toSorted(
      (a, b) => (b.node?.status().term ?? 0) - (a.node?.status().term ?? 0),
    )[0]
  }

  addHost(id: number): Host {
    const fs = new MemoryFs({
      before: (operation, path) => this.#disk(id, operation, path),
    })
    const host: Host = { id, fs, machine: new Machine(), node: undefined, life: 0 }
    this.hosts.set(id, host)
    return host
  }

  async start(host: Host, bootstrap?: readonly Member[]): Promise<void> {
    const life = ++host.life
    const machine = new Machine()
    machine.onApply = (index, term, text) => this.#applied(host.id, index, term, text)
    machine.onRestore = () => this.stats.installs++
    host.machine = machine
    const fs = host.fs.mount()
    const hasState = await RaftNode.hasState(fs, 'data')
    if (host.life !== life) return
    const node = await RaftNode.open(
      {
        id: host.id,
        dir: 'data',
        fs,
        clock: this.clock,
        random: this.random,
        stateMachine: machine,
        heartbeatMs: 50,
        electionTimeoutMs: 300,
        defaultTimeoutMs: 3000,
        ...this.climate.options,
        send: messages => {
          if (host.life === life) for (const m of messages) this.#post(m)
        },
        onChange: status => {
          if (status.role === 'leader') this.#led(status.term, status.id)
        },
        onFatal: error => this.fail(error),
      },
      bootstrap && !hasState ? { bootstrap } : {},
    )
    if (host.life !== life) node.kill()
    else host.node = node
  }

  crash(host: Host): void {
    this.stats.crashes++
    host.life++
    host.node?.kill()
    host.node = undefined
    host.fs.crash(this.random)
  }

  /** Splits the hosts in two at random, or cuts single directions. */
  partition(): void {
    if (this.random() < 0.6) for (const id of this.hosts.keys()) this.#side.set(id, this.below(2))
    else
      for (const a of this.hosts.keys())
        for (const b of this.hosts.keys()) if (this.random() < 0.25) this.#cutLinks.add(`${a} ${b}`)
  }

  heal(): void {
    this.#side.clear()
    this.#cutLinks.clear()
  }

  fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error))
  }

  /** Fires timers until `untilMs`, each followed by all the promises it settles. */
  async run(untilMs: number, stop: () => boolean = () => false): Promise<void> {
    await settle()
    while (this.failure === undefined && !stop() && this.clock.fireNext(untilMs)) await settle()
    if (this.failure !== undefined) throw this.failure
  }

  #post(message: Message): void {
    const bytes = encodeMessage(message)
    const copies = this.calm ? 1 : this.random() < this.climate.duplicates ? 2 : 1
    for (let i = 0; i < copies; i++) {
      if (!this.calm && this.random() < this.climate.loss) continue
      const delayMs = 0.5 + this.random() * (this.calm ? 2 : this.climate.maxDelayMs)
      this.clock.after(delayMs, () => this.#deliver(message.from, message.to, bytes))
    }
  }

  #deliver(from: number, to: number, bytes: Uint8Array): void {
    if ((this.#side.get(from) ?? 0) !== (this.#side.get(to) ?? 0)) return
    if (this.#cutLinks.has(`${from} ${to}`)) return
    this.hosts.get(to)?.node?.step(decodeMessage(bytes))
  }

  async #disk(id: number, operation: string, _path: string): Promise<void> {
    if (operation !== 'write' && operation !== 'sync') return
    const slow = id % 3 === 0 ? 3 : 1
    const delayMs = this.calm ? 0.2 : this.random() * this.climate.maxDiskMs * slow
    await new Promise<void>(resolve => this.clock.after(delayMs, resolve))
  }

  #led(term: number, id: number): void {
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== id)
      this.fail(new Error(`term ${term} has two leaders: ${other}, ${id}`))
    this.#leaders.set(term, id)
  }

  #applied(id: number, index: number, term: number, text: string): void {
    const known = this.#history[index]
    if (known === undefined) this.#history[index] = { term, text }
    else if (known.term !== term || known.text !== text)
      this.fail(
        new Error(
          `member ${id} applied ${term}:${text} at ${index}, another ${known.term}:${known.text}`,
        ),
      )
  }
}

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
