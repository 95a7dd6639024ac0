// A cluster of real RaftNodes on simulated disks, wires and time. Everything follows from the seed.
import { decodeMessage, encodeMessage, MemoryFs, RaftNode, VirtualClock } from '../../src/index.ts'
import type { Member, Message, RaftNodeOptions } from '../../src/index.ts'
import { Checker } from './checker.ts'
import { Machine } from './machine.ts'
import { Nemesis, type Temper } from './nemesis.ts'

export interface Climate {
  readonly members: number
  readonly loss: number
  readonly duplicates: number
  readonly maxDelayMs: number
  readonly maxDiskMs: number
  readonly temper: Temper
  /** Learners that are never promoted. */
  readonly learners: number
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
  #island = new Set<number>()
  readonly #estranged = new Set<string>()
  readonly #checker: Checker
  readonly #nemesis: Nemesis
  readonly stats = { crashes: 0, proposed: 0, reads: 0, changes: 0, transfers: 0, installs: 0 }
  failure: Error | undefined

  constructor(random: () => number, climate: Climate) {
    this.random = random
    this.climate = climate
    this.#nemesis = new Nemesis(this, climate.temper)
    this.#checker = new Checker(
      text => this.fail(new Error(text)),
      id => votersOf(this.hosts.get(id)),
    )
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
      before: (operation, path) => this.#disk(host, operation, path),
    })
    const host: Host = { id, fs, machine: new Machine(), node: undefined, life: 0 }
    this.hosts.set(id, host)
    return host
  }

  async start(host: Host, bootstrap?: readonly Member[]): Promise<void> {
    const life = ++host.life
    const machine = new Machine()
    machine.onApply = (index, applied) => this.#checker.applied(host.id, index, applied)
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
          if (status.role === 'leader') this.#checker.led(status.term, status.id)
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

  crashAndRestart(host: Host, downMs: number): void {
    if (host.node === undefined) return
    this.crash(host)
    const { life } = host
    this.clock.after(downMs, () => {
      if (host.life === life) this.start(host).catch(error => this.fail(error))
    })
  }

  /** Cuts off some hosts from all others, until others are or the time is over. */
  isolate(ids: readonly number[], durationMs: number): void {
    const island = new Set(ids)
    this.#island = island
    this.clock.after(durationMs, () => {
      if (this.#island === island) this.#island = new Set()
    })
  }

  /** Two hosts do not hear each other for a while. */
  estrange(a: number, b: number, durationMs: number): void {
    const pairs = [`${a} ${b}`, `${b} ${a}`]
    for (const pair of pairs) this.#estranged.add(pair)
    this.clock.after(durationMs, () => {
      for (const pair of pairs) this.#estranged.delete(pair)
    })
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
    this.#estranged.clear()
    this.#island = new Set()
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
    this.#checker.sent(message)
    this.#nemesis.saw(message)
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
    if (this.#island.has(from) !== this.#island.has(to)) return
    const link = `${from} ${to}`
    if (this.#cutLinks.has(link) || this.#estranged.has(link)) return
    this.hosts.get(to)?.node?.step(decodeMessage(bytes))
  }

  async #disk(host: Host, operation: string, path: string): Promise<void> {
    if (operation === 'rename' && path.includes('/snap/')) this.#nemesis.sawSnapshot(host)
    if (operation !== 'write' && operation !== 'sync') return
    const slow = host.id % 3 === 0 ? 3 : 1
    const delayMs = this.calm ? 0.2 : this.random() * this.climate.maxDiskMs * slow
    await new Promise<void>(resolve => this.clock.after(delayMs, resolve))
  }
}

function votersOf(host: Host | undefined): number[] {
  const members = host?.node?.status().members ?? []
  return members.filter(m => !m.learner).map(m => m.id)
}

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
