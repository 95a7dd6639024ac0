// A host: an engine that outlives daemons, disks that outlive power, and the daemon's present life, wired as daemon/ wires
// the real one.
import { MemoryFs as RaftDisk } from 'raft-ts'
import { Registry } from 'prom-client'
import { Agent } from '../../agent/agent.ts'
import type { Controller, Executor } from '../../agent/executor/types.ts'
import { AgentMetrics } from '../../agent/metrics.ts'
import { Manager, type ManagerDisk, type ManagerHandlers } from '../../manager/manager.ts'
import { make } from '../../proto/codec.ts'
import { v1 } from '../../proto/index.ts'
import type { Caller } from '../../proto/service.ts'
import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import { type Fs, MemoryFs } from '../../runtime/fs.ts'
import type { Log } from '../../runtime/log.ts'
import { type Random, below, seededRandom } from '../../runtime/random.ts'
import { FakeExecutor } from '../support/fake-executor.ts'
import type { Network, Party, Service } from './network.ts'
import { FakeNetworks } from './networks.ts'
import { Life, type Timeline } from './time.ts'

const NO_DISK: ManagerDisk = {
  logBytes: 0,
  snapshotBytes: 0,
  snapshotAtMs: 0,
  freeBytes: -1,
  totalBytes: -1,
}

export const CLUSTER_ID = 'sim'
const GIB = 2 ** 30
const AGENT_DISK_MS = 3

export interface HostDeps {
  readonly timeline: Timeline
  readonly random: Random
  readonly network: Network
  readonly log: Log
  readonly managerAddresses: readonly string[]
  readonly raft: { readonly snapshotEntries: number; readonly maxDiskMs: number }
  /** A manager's store stands, before anything else happens to it. */
  opened(host: Host, manager: Manager): void
  led(term: number, raftId: number): void
  fail(what: string): void
}

/** What runs while the daemon runs. */
export interface Daemon extends Party {
  readonly agent: Agent
  readonly networks: FakeNetworks
  readonly manager: Manager | undefined
  readonly handlers: ManagerHandlers | undefined
}

export class Host {
  readonly id: string
  readonly number: number
  readonly address: string
  /** 0: no manager. */
  readonly raftId: number
  readonly engine: FakeExecutor
  readonly raftDisk: RaftDisk
  readonly agentDisk = new MemoryFs()
  readonly #deps: HostDeps
  readonly #skewMs: number
  /** Undefined while no daemon runs, or one is still opening its state. */
  daemon: Daemon | undefined
  /** Of the daemon that runs or is starting. */
  life: Life | undefined
  /** The disk takes so many times its usual time. */
  diskFactor = 1

  constructor(number: number, isManager: boolean, deps: HostDeps) {
    const { timeline, random, raft } = deps
    this.#deps = deps
    this.number = number
    this.id = `n${number}`
    this.address = `10.0.0.${number}:2377`
    this.raftId = isManager ? number : 0
    this.#skewMs = below(random, 400) - 200
    this.engine = new FakeExecutor(timeline, {
      times: {
        prepareMs: below(random, 300),
        startMs: below(random, 120),
        stopMs: below(random, 200),
        removeMs: below(random, 60),
      },
      description: make(v1.NodeDescription, {
        hostname: this.id,
        platform: { architecture: 'x86_64', os: 'linux' },
        resources: { nanoCpus: (2 + below(random, 3)) * 1e9, memoryBytes: 4 * GIB },
        engine: { version: '28.5.0', apiVersion: '1.51' },
      }),
    })
    this.raftDisk = new RaftDisk({
      before: operation => {
        if (operation !== 'write' && operation !== 'sync') return
        const delayMs = random.next() * raft.maxDiskMs * this.diskFactor
        const { life } = this
        return new Promise(resolve => {
          timeline.after(delayMs, () => (life ? life.run(resolve) : resolve()))
        })
      },
    })
  }

  /** Starts a daemon on what the disks hold. Resolves when it serves; never, when it is killed before. */
  async start(bootstrap = false): Promise<Daemon> {
    const { timeline, network, log } = this.#deps
    const life = new Life(timeline)
    this.life = life
    const clock = life.clock(this.#skewMs)
    const random = seededRandom(below(this.#deps.random, 2 ** 32))
    const registry = new Registry()
    const party: Party = { host: this.id, life }
    const shared = { clock, random, registry, log: log.child({ host: this.id }) }
    const manager =
      this.raftId === 0
        ? undefined
        : await life.guard(
            Manager.open({
              ...shared,
              nodeId: this.id,
              raftId: this.raftId,
              clusterId: CLUSTER_ID,
              address: this.address,
              dir: 'raft',
              fs: this.raftDisk.mount(),
              bootstrap,
              dial: address => network.dial(party, address, 'Raft.messages'),
              onFatal: error => this.#deps.fail(`${this.id}: raft gave up: ${error.message}`),
              snapshotEntries: this.#deps.raft.snapshotEntries,
              disk: async () => NO_DISK,
              ask: async address => {
                throw new StatusError('Unimplemented', `${address} is not asked in a simulation`)
              },
              observer: {
                changed: status => {
                  if (status.role === 'leader' && !life.ended)
                    this.#deps.led(status.term, status.id)
                },
              },
            }),
          )
    if (manager) this.#deps.opened(this, manager)
    const handlers = manager?.handlers()
    if (handlers)
      network.listen(this.address, party, (service, stream, from) =>
        serve(handlers, service, stream, from),
      )
    const networks = new FakeNetworks(clock, random)
    const agent = new Agent({
      ...shared,
      fs: this.#agentFs(life),
      metrics: new AgentMetrics(registry),
      executor: mortalExecutor(this.engine, life),
      networks,
      nodeId: this.id,
      stateDir: 'agent',
      managers: this.#deps.managerAddresses,
      connect: address => network.dial(party, address, 'Dispatcher.session'),
      openStream: address => network.dial(party, address, 'Dispatcher.stream'),
      host: async () => ({ hostname: this.id, dataPathAddress: `10.0.0.${this.number}` }),
    })
    await life.guard(agent.start())
    this.daemon = { ...party, agent, networks, manager, handlers }
    return this.daemon
  }

  /** SIGKILL. What was not synced may be lost even so: the same path serves power loss. */
  kill(): void {
    const { life } = this
    if (life === undefined) return
    life.end()
    this.life = undefined
    this.daemon = undefined
    this.raftDisk.crash(() => this.#deps.random.next())
    this.#deps.network.died(life)
  }

  /** SIGTERM: hands over, says good-bye, ends. */
  async stop(): Promise<void> {
    const { daemon } = this
    if (daemon === undefined) return
    this.daemon = undefined
    await daemon.life.guard(daemon.agent.stop())
    if (daemon.manager) await daemon.life.guard(daemon.manager.stop({ transfer: true }))
    if (this.life === daemon.life) this.kill()
  }

  #agentFs(life: Life): Fs {
    const { timeline, random } = this.#deps
    const disk = this.agentDisk
    const later = <T>(work: () => Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        const delayMs = random.next() * AGENT_DISK_MS * this.diskFactor
        timeline.after(delayMs, () => life.run(() => void work().then(resolve, reject)))
      })
    return {
      read: path => later(() => disk.read(path)),
      write: (path, data) => later(() => disk.write(path, data)),
      list: path => later(() => disk.list(path)),
      remove: path => later(() => disk.remove(path)),
    }
  }
}

function serve(
  handlers: ManagerHandlers,
  service: Service,
  stream: Duplex<never, never>,
  from: string,
): void {
  const caller: Caller = { nodeId: from, role: 'manager', address: `10.0.0.${from.slice(1)}:40000` }
  const any = stream as Duplex<never, unknown>
  if (service === 'Raft.messages') handlers.Raft.messages(any as never, caller)
  else if (service === 'Dispatcher.session') handlers.Dispatcher.session(any as never, caller)
  else handlers.Dispatcher.stream(any as never, caller)
}

/** The engine as one daemon sees it: what was asked goes on after the daemon's death, but nobody is told. */
function mortalExecutor(engine: FakeExecutor, life: Life): Executor {
  const mortal =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      life.ended ? new Promise<never>(() => undefined) : life.guard(call(...args))
  return {
    controller(task, objects): Controller {
      const controller = engine.controller(task, objects)
      return {
        observe: mortal(() => controller.observe()),
        missing: () => controller.missing(),
        prepare: mortal(signal => controller.prepare(signal)),
        start: mortal(() => controller.start()),
        stop: mortal(() => controller.stop()),
        release: mortal(() => controller.release()),
        remove: mortal(() => controller.remove()),
      }
    },
    list: mortal(() => engine.list()),
    discard: mortal(id => engine.discard(id)),
    watch: listener => engine.watch(taskId => life.run(() => listener(taskId))),
    tidy: mortal(() => engine.tidy()),
    describe: mortal(() => engine.describe()),
    logs: (task, query, signal) => engine.logs(task, query, signal),
  }
}
