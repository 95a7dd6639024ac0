// Builders and a small world for tests of the leader's loops: a store in memory, virtual time, agents made of memory.
import { Registry } from 'prom-client'
import { SimClock } from '../../runtime/clock.ts'
import { type Duplex, duplexPair } from '../../runtime/duplex.ts'
import { MemoryLog } from '../../runtime/log.ts'
import { newId, seededRandom } from '../../runtime/random.ts'
import { leaderLoops } from '../../manager/loops.ts'
import type { LeaderDeps } from '../../manager/loop.ts'
import { createMemoryStore } from '../../manager/state/store/memory-proposer.ts'
import type { ReadTx } from '../../manager/state/store/types.ts'
import { make, type InitOf } from '../../proto/codec.ts'
import {
  type AgentMessage,
  type ManagerMessage,
  type Network,
  type Node,
  NodeState,
  type Service,
  type ServiceSpecInit,
  type Task,
  TaskState,
  v1,
} from '../../proto/index.ts'

export const SECOND = 1_000

/** A node that is READY with 4 CPUs and 8 GiB. */
export function aNode(id: string, init: InitOf<typeof v1.Node> = {}): Node {
  return make(v1.Node, {
    id,
    spec: { annotations: { name: id } },
    description: aDescription(id),
    status: { state: NodeState.NODE_READY, address: '127.0.0.1:1' },
    ...init,
  })
}

export function aDescription(hostname: string): InitOf<typeof v1.NodeDescription> {
  return {
    hostname,
    platform: { architecture: 'x86_64', os: 'linux' },
    resources: { nanoCpus: 4e9, memoryBytes: 8 * 2 ** 30 },
    dataPathAddress: `192.168.0.${1 + (Number(hostname.replace(/\D/g, '')) % 250)}`,
    engine: { version: '28.5.2' },
  }
}

/** Fields of a service spec, its mode free of protobuf's unions. */
export type SpecInit = Omit<InitOf<typeof v1.ServiceSpec>, 'mode' | 'replicated' | 'global'> & {
  readonly replicated?: { readonly replicas: number }
  readonly global?: object
}

/** A replicated service; the mode, task and so on can be given. */
export function aService(
  name: string,
  spec: SpecInit = {},
  init: InitOf<typeof v1.Service> = {},
): Service {
  const mode = spec.global ? {} : { replicated: { replicas: 1 } }
  const given = spec as unknown as ServiceSpecInit
  return make(v1.Service, {
    id: `service-${name}`,
    meta: { version: 1, specVersion: 1 },
    spec: {
      annotations: { name },
      task: aTaskSpec(),
      update: { parallelism: 1, monitorMs: 5 * SECOND },
      rollback: { parallelism: 1, monitorMs: 5 * SECOND },
      ...mode,
      ...given,
    } as ServiceSpecInit,
    ...init,
  })
}

export function aTaskSpec(init: InitOf<typeof v1.TaskSpec> = {}): InitOf<typeof v1.TaskSpec> {
  return {
    container: { image: 'web:1' },
    restart: { delayMs: 5 * SECOND },
    ...init,
  }
}

let order = 1

/** A task of `service` that runs on a node. */
export function aTask(service: Service, init: InitOf<typeof v1.Task> = {}): Task {
  const number = order++
  return make(v1.Task, {
    id: `task-${number}`,
    serviceId: service.id,
    serviceName: service.spec?.annotations?.name ?? '',
    spec: service.spec?.task ?? {},
    endpoint: { spec: service.spec?.endpoint ?? null } as never,
    specVersion: service.meta?.specVersion ?? 0,
    slot: 1,
    nodeId: 'n1',
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.RUNNING, appliedAtMs: 1, observedAtMs: 1, runningAtMs: 1 },
    createdOrder: number,
    ...init,
  })
}

export function aNetwork(name: string, init: InitOf<typeof v1.Network> = {}): Network {
  return make(v1.Network, {
    id: `network-${name}`,
    spec: { annotations: { name }, driver: 'overlay' },
    ...init,
  })
}

/** Lets promises settle without moving time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** An agent that does what it is told, as fast as it can. */
export class FakeAgent {
  readonly nodeId: string
  readonly world: World
  readonly tasks = new Map<string, Task>()
  readonly messages: ManagerMessage[] = []
  ended: string | undefined
  /** What becomes of a task told to run: its last state. Default RUNNING. */
  outcome: (task: Task) => TaskState = () => TaskState.RUNNING
  /** A silent agent does not answer, not even with heartbeats. */
  silent = false
  #stream: Duplex<ManagerMessage, AgentMessage> | undefined
  #sequence = 0
  readonly #reported = new Map<string, TaskState>()

  constructor(world: World, nodeId: string) {
    this.world = world
    this.nodeId = nodeId
  }

  connect(): void {
    const [ours, theirs] = duplexPair<ManagerMessage, AgentMessage>()
    this.#stream = ours
    this.ended = undefined
    ours.onMessage(message => this.#receive(message))
    ours.onEnd(error => {
      if (this.#stream === ours) this.ended = error ? error.message : 'clean'
    })
    this.world.dispatcher.session({ nodeId: this.nodeId, address: '127.0.0.1:1' }, theirs)
    this.send({ hello: { description: aDescription(this.nodeId), protocol: 1 } })
    this.#beat(ours)
  }

  /** The connection breaks. */
  cut(): void {
    this.#stream?.end()
    this.#stream = undefined
  }

  send(init: InitOf<typeof v1.AgentMessage>): void {
    if (!this.silent) this.#stream?.send(make(v1.AgentMessage, init))
  }

  report(task: Task, state: TaskState): void {
    this.#reported.set(task.id, state)
    const status = { state, observedAtMs: this.world.clock.now(), message: 'said the agent' }
    this.send({ report: { sequence: ++this.#sequence, tasks: [{ taskId: task.id, status }] } })
  }

  #beat(stream: Duplex<ManagerMessage, AgentMessage>): void {
    this.world.clock.after(SECOND, () => {
      if (this.#stream !== stream || this.ended !== undefined) return
      this.send({ heartbeat: { sequence: ++this.#sequence } })
      this.#beat(stream)
    })
  }

  #receive(message: ManagerMessage): void {
    this.messages.push(message)
    if (message.message !== 'assignments') return
    if (message.assignments.complete) this.tasks.clear()
    for (const id of message.assignments.removedTasks) this.tasks.delete(id)
    for (const task of message.assignments.tasks) {
      this.tasks.set(task.id, task)
      if (!this.silent) this.#work(task)
    }
  }

  #work(task: Task): void {
    const state = this.#reported.get(task.id) ?? TaskState.ASSIGNED
    if (state > TaskState.RUNNING) return
    if (task.desiredState > TaskState.RUNNING) this.report(task, TaskState.SHUTDOWN)
    else if (task.desiredState === TaskState.READY) this.report(task, TaskState.READY)
    else if (state < TaskState.RUNNING) {
      this.report(task, TaskState.STARTING)
      const last = this.outcome(task)
      if (last >= TaskState.RUNNING) this.report(task, TaskState.RUNNING)
      if (last > TaskState.RUNNING) this.report(task, last)
    }
  }
}

/** Virtual time of a process that can be stopped for a while: its timers then all fire late. */
export class StallingClock extends SimClock {
  #stalledMs = 0

  stall(ms: number): void {
    this.#stalledMs += ms
  }

  override now(): number {
    return super.now() + this.#stalledMs
  }

  override monotonic(): number {
    return super.monotonic() + this.#stalledMs
  }

  /** Time without what was slept through: what timers are set by. */
  get awakeMs(): number {
    return super.monotonic()
  }
}

/** A leading manager with agents. */
export class World {
  readonly clock = new StallingClock(1_000_000)
  readonly random = seededRandom(7)
  readonly log = new MemoryLog()
  readonly registry = new Registry()
  readonly store = createMemoryStore({ clock: this.clock, random: this.random, log: this.log })
  readonly deps: LeaderDeps = {
    store: this.store,
    clock: this.clock,
    random: this.random,
    log: this.log,
    registry: this.registry,
  }
  readonly parts = leaderLoops(this.deps)
  readonly agents = new Map<string, FakeAgent>()

  get dispatcher() {
    return this.parts.dispatcher
  }

  /** Starts the loops over a cluster of connected nodes. */
  async start(nodes: readonly string[]): Promise<void> {
    await this.store.update(tx => {
      tx.create(
        'cluster',
        make(v1.Cluster, {
          id: 'cluster',
          spec: { taskHistoryLimit: 5, defaultSubnetSize: 24 },
          rootCa: { certificatePem: 'PEM' },
        }),
      )
      for (const id of nodes) tx.create('node', { ...aNode(id), status: null })
    })
    for (const loop of this.parts.loops) loop.start()
    for (const id of nodes) this.connect(id)
    await this.run(100)
  }

  async stop(): Promise<void> {
    for (const loop of this.parts.loops.toReversed()) await loop.stop()
  }

  connect(id: string): FakeAgent {
    const agent = new FakeAgent(this, id)
    this.agents.set(id, agent)
    agent.connect()
    return agent
  }

  agent(id: string): FakeAgent {
    const agent = this.agents.get(id)
    if (!agent) throw new Error(`no agent ${id}`)
    return agent
  }

  /** Moves time on, letting everything that is asynchronous happen in between. */
  async run(ms: number): Promise<void> {
    const untilMs = this.clock.awakeMs + ms
    await settle()
    while (this.clock.step(untilMs)) await settle()
    this.clock.advance(untilMs - this.clock.awakeMs)
    await settle()
  }

  /** Runs until `done` holds; answers how long that took, or fails after `limitMs`. */
  async until(done: (tx: ReadTx) => boolean, limitMs: number): Promise<number> {
    const startMs = this.clock.monotonic()
    while (!this.store.view(done)) {
      if (this.clock.monotonic() - startMs > limitMs) throw new Error(`not within ${limitMs} ms`)
      await this.run(10)
    }
    return this.clock.monotonic() - startMs
  }

  async create(service: Service): Promise<Service> {
    const id = newId(this.random)
    await this.store.update(tx => tx.create('service', { ...service, id }))
    return this.store.view(tx => tx.get('service', id)) as Service
  }

  /** A user's service update, as the control API makes it. */
  async update(id: string, change: (spec: NonNullable<Service['spec']>) => object): Promise<void> {
    await this.store.update(tx => {
      const service = tx.get('service', id)
      if (!service?.spec) throw new Error(`no service ${id}`)
      tx.update(
        'service',
        {
          ...service,
          spec: { ...service.spec, ...change(service.spec) } as Service['spec'],
          previousSpec: service.spec,
          updateStatus: null,
        },
        { spec: true },
      )
    })
  }

  tasks(serviceId: string): readonly Task[] {
    return this.store.view(tx => tx.tasksOfService(serviceId))
  }

  running(serviceId: string): readonly Task[] {
    return this.tasks(serviceId).filter(
      t => t.status?.state === TaskState.RUNNING && t.desiredState === TaskState.RUNNING,
    )
  }
}
