// A cluster of real RaftNodes on simulated disks, wires and time. Everything follows from the seed.
import { decodeMessage, encodeMessage, RaftNode, VirtualClock } from '../../src/index.ts'
import type { Member, Message } from '../../src/index.ts'
import { holds } from './audit.ts'
import { Broken, type Invariant } from './broken.ts'
import { stream } from './chance.ts'
import { Checker, everyMajority, type Groups } from './checker.ts'
import type { Climate } from './climate.ts'
import { Conduct } from './conduct.ts'
import { type Death, Disk, DISK_FAULT } from './disk.ts'
import { type Applied, Registers, mix } from './registers.ts'
import { Nemesis } from './nemesis.ts'
import { Wire } from './wire.ts'

export const HEARTBEAT_MS = 50
export const ELECTION_TIMEOUT_MS = 300
/** Of an entry's first appliances, one in so many is audited on the disks. */
const AUDIT_EVERY = 5

export interface Host {
  readonly id: number
  readonly disk: Disk
  readonly bootstrap: readonly Member[] | undefined
  machine: Registers
  node: RaftNode | undefined
  /** Counts starts and deaths, so that what belongs to an earlier life is ignored. */
  life: number
  /** What waits until a paused process goes on; undefined while it runs. */
  held: (() => void)[] | undefined
}

export interface WorldOptions {
  /** Names of faults that are left out. */
  readonly without?: ReadonlySet<string>
  readonly trace?: (line: string) => void
}

export class World {
  readonly seed: number
  readonly climate: Climate
  readonly clock = new VirtualClock()
  readonly hosts = new Map<number, Host>()
  readonly wire = new Wire((delayMs, fn) => this.clock.after(delayMs, fn))
  readonly checker: Checker
  /** Texts that members refused to append. */
  readonly refused = new Set<string>()
  /** What befell the cluster, by name: what shrinking can leave out. */
  readonly strikes: string[] = []
  readonly stats = {
    deaths: 0,
    fsDeaths: 0,
    diskFaults: 0,
    changes: 0,
    joints: 0,
    transfers: 0,
    snapshots: 0,
    installs: 0,
    truncations: 0,
    audits: 0,
    reads: 0,
    rivalReads: 0,
    writes: 0,
    unknown: 0,
    undecided: 0,
  }
  calm = false
  failure: Error | undefined
  fingerprint = 0
  readonly #random: () => number
  readonly #conduct: Conduct
  readonly #nemesis: Nemesis
  readonly #options: WorldOptions
  #applied = 0

  constructor(seed: number, climate: Climate, options: WorldOptions = {}) {
    this.seed = seed
    this.climate = climate
    this.#options = options
    this.#random = stream(seed, 'wire')
    this.#nemesis = new Nemesis(this, climate)
    const broken = (invariant: Invariant, text: string): void => this.broken(invariant, text)
    this.checker = new Checker(broken, id => this.groupsOf(id))
    this.#conduct = new Conduct(broken, {
      electionTimeoutMs: ELECTION_TIMEOUT_MS - HEARTBEAT_MS,
      preVote: climate.options.preVote !== false,
    })
  }

  live(): Host[] {
    return [...this.hosts.values()].filter(h => h.node !== undefined)
  }

  leader(): Host | undefined {
    let found: Host | undefined
    let foundTerm = -1
    for (const host of this.hosts.values()) {
      const status = host.node?.status()
      if (status?.role !== 'leader' || status.term <= foundTerm) continue
      found = host
      foundTerm = status.term
    }
    return found
  }

  votersOf(id: number): number[] {
    const members = this.hosts.get(id)?.node?.status().members ?? []
    return members.filter(m => !m.learner).map(m => m.id)
  }

  groupsOf(id: number): Groups {
    const outgoing = this.hosts.get(id)?.node?.status().joint?.outgoing
    return outgoing === undefined ? [this.votersOf(id)] : [this.votersOf(id), outgoing]
  }

  addHost(id: number, bootstrap?: readonly Member[]): Host {
    const disk = new Disk({
      random: stream(this.seed, `disk ${id}`),
      maxMs: () => (this.calm ? 0.2 : this.climate.maxDiskMs * (id % 3 === 0 ? 3 : 1)),
      after: (delayMs, fn) => this.clock.after(delayMs, () => this.whenAwake(host, fn)),
      nowMs: () => this.clock.monotonic(),
      onFatalCall: death => {
        this.stats.fsDeaths++
        this.crashAndRestart(host, death, 5)
      },
      onRename: path => {
        if (!path.includes('/snap/')) return
        this.stats.snapshots++
        if (!this.calm) this.#nemesis.sawSnapshot(host)
      },
    })
    const host: Host = {
      id,
      disk,
      bootstrap,
      machine: new Registers(),
      node: undefined,
      life: 0,
      held: undefined,
    }
    this.hosts.set(id, host)
    return host
  }

  async start(host: Host): Promise<void> {
    const life = ++host.life
    const machine = new Registers()
    machine.onApply = (index, applied) => this.#onApply(host, index, applied)
    machine.onRestore = (index, hash) => {
      this.stats.installs++
      this.checker.restored(host.id, index, hash)
    }
    host.machine = machine
    const fs = host.disk.fs.mount()
    const { bootstrap } = host
    const fresh = bootstrap !== undefined && !(await RaftNode.hasState(fs, 'data'))
    if (host.life !== life) return
    const node = await RaftNode.open(
      {
        id: host.id,
        dir: 'data',
        fs,
        clock: {
          monotonic: () => this.clock.monotonic(),
          after: (delayMs, fn) => this.clock.after(delayMs, () => this.whenAwake(host, fn)),
        },
        random: stream(this.seed, `node ${host.id} ${life}`),
        stateMachine: machine,
        heartbeatMs: HEARTBEAT_MS,
        electionTimeoutMs: ELECTION_TIMEOUT_MS,
        defaultTimeoutMs: 1500,
        ...this.climate.options,
        send: messages => {
          if (host.life === life) for (const m of messages) this.#post(m)
        },
        onChange: status => {
          if (host.life !== life) return
          this.note(
            `  ${status.id} is ${status.role} of ${status.leader ?? 'nobody'} in term ${status.term}`,
          )
          if (status.role === 'leader') this.checker.leads(status.term, status.id)
        },
        onFatal: error => {
          if (host.life === life) this.#onFatal(host, error)
        },
      },
      fresh ? { bootstrap } : {},
    )
    if (host.life !== life) node.kill()
    else {
      host.node = node
      this.#conduct.started(node.status())
    }
  }

  crash(host: Host, death: Death): void {
    this.stats.deaths++
    this.note(`  ${host.id} dies (${death})`)
    host.life++
    host.held = undefined
    host.node?.kill()
    host.node = undefined
    host.disk.die(death)
  }

  /** Also in the middle of a start. */
  crashAndRestart(host: Host, death: Death, downMs: number): void {
    this.crash(host, death)
    const { life } = host
    this.clock.after(downMs, () => {
      if (host.life === life) this.restart(host)
    })
  }

  /** A disk that is full or failing may refuse this too; the member tries again when it is not. */
  restart(host: Host): void {
    this.note(`  ${host.id} starts`)
    this.start(host).catch((error: unknown) => this.#onFatal(host, error))
  }

  /** The process gets no time for a while; then everything that waited for it comes at once, in any order. */
  pause(host: Host, durationMs: number, random: () => number): void {
    if (host.held !== undefined) return
    const held: (() => void)[] = []
    host.held = held
    this.clock.after(durationMs, () => {
      if (host.held !== held) return
      host.held = undefined
      for (const fn of held) this.clock.after(random(), fn)
    })
  }

  whenAwake(host: Host, fn: () => void): void {
    if (host.held === undefined) fn()
    else host.held.push(fn)
  }

  /** A fault by name, unless it is left out. What it does must depend on its own dice alone. */
  strike(name: string, what: string, act: () => void): void {
    if (this.calm || this.#options.without?.has(name) === true) return
    this.strikes.push(name)
    this.note(`! ${name}: ${what}`)
    act()
  }

  note(line: string): void {
    this.#options.trace?.(`${this.clock.monotonic().toFixed(1).padStart(8)} ${line}`)
  }

  broken(invariant: Invariant, text: string): void {
    this.fail(new Broken(invariant, text))
  }

  fail(error: unknown): void {
    this.failure ??=
      error instanceof Error ? error : new Broken('clean end', String(error), { cause: error })
  }

  /** Fires timers until `untilMs`, each followed by all the promises it settles. */
  async run(untilMs: number, stop: () => boolean = () => false): Promise<void> {
    await settle()
    while (this.failure === undefined && !stop() && this.clock.fireNext(untilMs)) await settle()
    if (this.failure !== undefined) throw this.failure
  }

  #onApply(host: Host, index: number, applied: Applied): void {
    if (this.refused.has(applied.text))
      this.broken('refused is not applied', `${applied.text} was refused and is at ${index}`)
    const first = this.checker.applied(host.id, index, applied)
    if (first && this.#applied++ % AUDIT_EVERY === 0) this.#audit(host, index, applied.term)
  }

  /** No message goes, no timer fires, before the disks, as they are now, have been looked at. */
  #audit(host: Host, index: number, term: number): void {
    this.stats.audits++
    const sets = [this.groupsOf(host.id), ...this.checker.voterSetsSince(term)]
    const ids = [...new Set(sets.flat(2))]
    Promise.all(
      ids.map(async id => {
        const disk = this.hosts.get(id)?.disk
        return disk !== undefined && (await holds(disk.fs, index, term))
      }),
    ).then(
      held => {
        const holders = new Set(ids.filter((_, i) => held[i]))
        const isQuorum = (groups: Groups): boolean => everyMajority(groups, id => holders.has(id))
        if (sets.some(groups => groups.flat().length > 0 && isQuorum(groups))) return
        this.broken(
          'committed is durable',
          `member ${host.id} applied ${index} of term ${term}, which is on the disks of ${[...holders].join() || 'nobody'}`,
        )
      },
      (error: unknown) => this.fail(error),
    )
  }

  /** A member whose disk fails must stop, saying why; any other that stops has met a fault of its own. */
  #onFatal(host: Host, error: unknown): void {
    const reason = String(error)
    if (!DISK_FAULT.test(reason)) {
      this.fail(error)
      return
    }
    this.stats.diskFaults++
    this.note(`  ${host.id} stops: ${reason}`)
    this.crashAndRestart(host, 'kill', 300)
  }

  #post(message: Message): void {
    if (this.#options.trace !== undefined) this.note(`    ${describe(message)}`)
    this.checker.sent(message)
    this.#conduct.sent(message, this.votersOf(message.from))
    this.#nemesis.saw(message)
    const bytes = encodeMessage(message)
    this.fingerprint = mix(mix(this.fingerprint, bytes.length), this.clock.monotonic() * 1024)
    const { climate, calm } = this
    const copies = !calm && this.#random() < climate.duplicates ? 2 : 1
    for (let i = 0; i < copies; i++) {
      if (!calm && this.#random() < climate.loss) continue
      const late = !calm && climate.late > 0 && this.#random() < climate.late
      const longestMs = calm ? 2 : late ? 3000 : climate.maxDelayMs
      const delayMs = 0.5 + this.#random() * longestMs
      this.clock.after(delayMs, () => this.#arrive(message.from, message.to, bytes))
    }
  }

  #arrive(from: number, to: number, bytes: Uint8Array): void {
    const host = this.hosts.get(to)
    if (host === undefined || !this.wire.passes(from, to)) return
    this.whenAwake(host, () => this.#deliver(host, bytes))
  }

  #deliver({ node }: Host, bytes: Uint8Array): void {
    if (node === undefined) return
    const message = decodeMessage(bytes)
    const before = node.status()
    node.step(message)
    const after = node.status()
    if (message.type === 'append' && after.lastIndex < before.lastIndex) this.stats.truncations++
    this.#conduct.took(message, before, after, this.clock.monotonic())
  }
}

/** Type, ends, term, and what else is short. */
function describe(message: Message): string {
  const { type, from, to, term, ...rest } = message
  const facts = Object.entries(rest).map(([key, value]) =>
    key === 'entries'
      ? `entries ${(value as { index: number; term: number }[]).map(e => `${e.index}/${e.term}`).join()}`
      : `${key} ${value instanceof Uint8Array ? value.length : String(value)}`,
  )
  return `${from} > ${to} ${type} term ${term} ${facts.join(' ')}`
}

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
