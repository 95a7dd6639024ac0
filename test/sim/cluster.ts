// Five hosts, three of them managers, in one process. Everything that happens follows from the seed.
import type { Manager } from '../../manager/manager.ts'
import { make } from '../../proto/codec.ts'
import { NodeAvailability, NodeRole, NodeState, v1, type Node } from '../../proto/index.ts'
import type { Caller } from '../../proto/service.ts'
import { messageOf } from '../../runtime/errors.ts'
import type { Fields, Level, Log } from '../../runtime/log.ts'
import { type Random, below, seededRandom } from '../../runtime/random.ts'
import { foundingObjects } from '../../daemon/founding.ts'
import { History, mix } from './history.ts'
import { CLUSTER_ID, type Daemon, Host } from './host.ts'
import { Invariants } from './invariants.ts'
import { Network } from './network.ts'
import { Timeline, settle } from './time.ts'

const HOSTS = 5
const MANAGERS = 3
const BOOT_MS = 20_000
const YEAR_MS = 365 * 24 * 3_600_000
/** Errors a program logs although nothing is wrong with it. */
const EXPECTED_ERRORS = [
  'the engine cannot be described',
  'no manager is known',
  'raft: the log is damaged',
]

export interface WorldOptions {
  readonly seed: number
  /** Told every event, for people. */
  readonly trace?: (line: string) => void
}

export class World {
  readonly seed: number
  readonly random: Random
  readonly timeline = new Timeline(1_000_000)
  readonly network: Network
  readonly hosts: readonly Host[]
  readonly invariants: Invariants
  readonly history: History
  /** The storm is over: nobody makes trouble or asks for anything any more. */
  calm = false
  failure: Error | undefined
  readonly #trace: ((line: string) => void) | undefined

  constructor(options: WorldOptions) {
    this.seed = options.seed
    this.#trace = options.trace
    this.random = seededRandom(options.seed)
    const { random, timeline } = this
    this.network = new Network(timeline, random, {
      minDelayMs: 0.2,
      maxDelayMs: this.pick([2, 10, 40]),
      encoded: random.next() < 0.2,
    })
    const fail = (what: string): void => this.fail(what)
    this.invariants = new Invariants({ nowMs: () => timeline.now(), fail })
    this.history = new History({
      fail,
      changed: (change, version) => {
        this.invariants.changed(change)
        if (this.tracing) this.trace(describeChange(change, version))
      },
      committed: () => this.invariants.committed(),
    })
    const raft = {
      snapshotEntries: this.pick([30, 150, 10_000]),
      maxDiskMs: this.pick([0.5, 4, 15]),
    }
    const managerAddresses = Array.from({ length: MANAGERS }, (_, i) => `10.0.0.${i + 1}:2377`)
    const log = new SimLog((level, message, fields) => this.#logged(level, message, fields))
    this.hosts = Array.from(
      { length: HOSTS },
      (_, i) =>
        new Host(i + 1, i < MANAGERS, {
          timeline,
          random,
          network: this.network,
          log,
          managerAddresses,
          raft,
          opened: (host, manager) => this.history.follow(host.id, manager.store),
          led: (term, id) => this.invariants.led(term, id),
          fail,
        }),
    )
    for (const host of this.hosts)
      host.engine.watch(taskId => {
        if (taskId !== undefined) this.invariants.engine(host, this.hosts, taskId)
      })
    this.trace(
      `seed ${this.seed}: snapshots every ${raft.snapshotEntries}, disks ${raft.maxDiskMs} ms, wire ${this.network.weather.maxDelayMs} ms`,
    )
  }

  get tracing(): boolean {
    return this.#trace !== undefined
  }

  trace(line: string): void {
    this.#trace?.(
      `${((this.timeline.monotonic() - 1_000_000) / 1000).toFixed(3).padStart(8)} ${line}`,
    )
  }

  fail(what: string | Error): void {
    if (this.failure) return
    this.failure = what instanceof Error ? what : new Error(what)
    this.trace(`FAILED ${this.failure.message}`)
  }

  below(limit: number): number {
    return below(this.random, limit)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  chance(probability: number): boolean {
    return this.random.next() < probability
  }

  /** Daemons that serve. */
  running(): readonly Daemon[] {
    return this.hosts.flatMap(host => host.daemon ?? [])
  }

  managers(): readonly Manager[] {
    return this.hosts.flatMap(host => host.daemon?.manager ?? [])
  }

  leader(): Host | undefined {
    const leading = this.hosts.filter(host => host.daemon?.manager?.isLeader())
    const term = (host: Host): number => host.daemon?.manager?.member.leadership.term ?? 0
    return leading.toSorted((a, b) => term(b) - term(a))[0]
  }

  /** A number two runs of one seed must agree on. */
  fingerprint(): number {
    const { timeline, network, history } = this
    const parts = [history.digest, history.version, timeline.fired, network.delivered]
    return parts.reduce((hash, part) => mix(hash, part), 1) >>> 0
  }

  /** Founds the cluster and waits until all three managers are voters. */
  async boot(): Promise<void> {
    const [first, ...others] = this.hosts
    const founder = await this.#finished(this.#start(first as Host, true))
    await this.#finished(this.#found(founder))
    await this.#finished(Promise.all(others.map(host => this.#start(host))))
    for (const host of others) if (host.raftId !== 0) await this.#finished(this.#join(host))
  }

  /** Fires timers up to `forMs` from now, each followed by all it sets off; ends early when `stop` says so. */
  async run(forMs: number, stop: () => boolean = () => false): Promise<void> {
    const untilMs = this.timeline.monotonic() + forMs
    await settle()
    while (this.failure === undefined && !stop() && this.timeline.step(untilMs)) await settle()
    if (this.failure) throw this.failure
  }

  /** Starts a host's daemon in the background. */
  begin(host: Host): void {
    this.#start(host).catch((error: unknown) =>
      this.fail(new Error(`${host.id}: did not start: ${messageOf(error)}`, { cause: error })),
    )
  }

  async #start(host: Host, bootstrap = false): Promise<Daemon> {
    this.trace(`${host.id} starts`)
    return host.start(bootstrap)
  }

  async #finished<T>(work: Promise<T>): Promise<T> {
    let done = false
    const watched = work.finally(() => {
      done = true
    })
    watched.catch(() => undefined)
    await this.run(BOOT_MS, () => done)
    if (!done) throw new Error('the cluster did not come up')
    return watched
  }

  #found(daemon: Daemon): Promise<void> {
    const { cluster, node } = foundingObjects({
      clusterId: CLUSTER_ID,
      nodeId: daemon.host,
      raftId: 1,
      address: '10.0.0.1:2377',
      rootCa: make(v1.RootCa, { certificatePem: 'PEM', digest: 'digest' }),
      request: make(v1.InitRequest, { taskHistoryLimit: this.pick([1, 3]) }),
      nowMs: this.timeline.now(),
      certificateExpiresAtMs: this.timeline.now() + YEAR_MS,
    })
    const zones = this.hosts.map(() => this.pick(['a', 'b']))
    const nodes = this.hosts.map(host => ({
      ...(host.number === 1 ? node : joined(host)),
      spec: make(v1.NodeSpec, {
        annotations: { labels: { zone: zones[host.number - 1] ?? 'a' } },
        role: host.raftId === 0 ? NodeRole.WORKER : NodeRole.MANAGER,
        availability: NodeAvailability.ACTIVE,
      }),
    }))
    return (daemon.manager as Manager).found(tx => {
      tx.create('cluster', cluster)
      for (const each of nodes) tx.create('node', each)
    }, BOOT_MS)
  }

  async #join(host: Host): Promise<void> {
    const leader = this.leader()?.daemon
    const caller: Caller = { nodeId: host.id, role: 'manager', address: host.address }
    await leader?.handlers?.Raft.join({ raftId: host.raftId, address: host.address }, caller)
  }

  #logged(level: Level, message: string, fields: Fields): void {
    if (this.tracing && level !== 'debug')
      this.trace(`${level} ${message} ${JSON.stringify(fields)}`)
    if (level === 'error' && !EXPECTED_ERRORS.includes(message))
      this.fail(`an error was logged: ${message} ${JSON.stringify(fields)}`)
  }
}

function joined(host: Host): Node {
  return make(v1.Node, {
    id: host.id,
    description: {},
    role: host.raftId === 0 ? NodeRole.WORKER : NodeRole.MANAGER,
    status: { state: NodeState.UNKNOWN },
  })
}

function describeChange(change: Parameters<Invariants['changed']>[0], version: number): string {
  const { kind, before, after } = change
  const what = !before ? 'new' : !after ? 'gone' : 'changed'
  const head = `v${version} ${kind} ${(after ?? before)?.id} ${what}`
  if (change.kind === 'task' && change.after) {
    const { serviceName, slot, nodeId, desiredState, status, networks } = change.after
    const at = networks.map(({ address }) => address).join()
    return `${head}: ${serviceName}.${slot} on ${nodeId || '-'} ${status?.state}→${desiredState} ${at} ${status?.error ?? ''}`
  }
  if (change.kind === 'node' && change.after)
    return `${head}: state ${change.after.status?.state} availability ${change.after.spec?.availability} ${change.after.status?.message}`
  if (change.kind === 'service' && change.after) {
    const { spec, updateStatus, blockedBy } = change.after
    const replicas = spec?.mode === 'replicated' ? spec.replicated.replicas : 'global'
    return `${head}: ${spec?.annotations?.name} ${replicas} ${spec?.task?.container?.env.join()} update ${updateStatus?.state ?? '-'} ${blockedBy}`
  }
  return head
}

class SimLog implements Log {
  readonly #sink: (level: Level, message: string, fields: Fields) => void
  readonly #fields: Fields

  constructor(sink: (level: Level, message: string, fields: Fields) => void, fields: Fields = {}) {
    this.#sink = sink
    this.#fields = fields
  }

  debug(): void {}
  info(message: string, fields?: Fields): void {
    this.#sink('info', message, { ...this.#fields, ...fields })
  }
  warn(message: string, fields?: Fields): void {
    this.#sink('warn', message, { ...this.#fields, ...fields })
  }
  error(message: string, fields?: Fields): void {
    this.#sink('error', message, { ...this.#fields, ...fields })
  }
  child(fields: Fields): Log {
    return new SimLog(this.#sink, { ...this.#fields, ...fields })
  }
}
