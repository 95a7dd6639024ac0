import type { Registry } from 'prom-client'
import type {
  AgentMessage,
  Assignments,
  EngineCall,
  ManagerMessage,
  Node,
  NodeDescription,
  StreamFrame,
  StreamRequest,
  Task,
} from '../proto/index.ts'
import { make } from '../proto/codec.ts'
import { v1 } from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/deadline.ts'
import type { Duplex } from '../runtime/duplex.ts'
import { StatusError, grpcCode, messageOf } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import type { Log } from '../runtime/log.ts'
import { Loop } from '../runtime/loop.ts'
import type { Random } from '../runtime/random.ts'
import type { Executor } from './executor/types.ts'
import { serveLogs } from './logs.ts'
import type { AgentMetrics } from './metrics.ts'
import type { Networks } from './network/types.ts'
import { ObjectStore } from './objects.ts'
import { Remotes } from './remotes.ts'
import { Reporter } from './reporter.ts'
import { Session, type SessionStatus } from './session.ts'
import { Storage } from './storage.ts'
import { Worker } from './worker.ts'

/** The node is described anew this often (Swarm row DP-16). */
const DESCRIBE_MS = 20_000
/** The kernel's progress is looked at this often while it is behind the tables, and while it is not. */
const ACK_BUSY_MS = 25
const ACK_IDLE_MS = 1_000
/** Time stop() gives to what runs. */
const STOP_MS = 10_000
/** Log streams a node serves at once. */
const MAX_STREAMS = 256

/** Facts of the node the engine does not know. */
export type HostFacts = Pick<
  NodeDescription,
  | 'hostname'
  | 'skeinVersion'
  | 'dataPathAddress'
  | 'metricsAddress'
  | 'wireguardPublicKey'
  | 'underlayMtu'
  | 'hostRoutes'
  | 'apiAddress'
>

export interface AgentDeps {
  readonly clock: Clock
  readonly random: Random
  readonly fs: Fs
  readonly log: Log
  readonly registry: Registry
  /** Shared with the executor. */
  readonly metrics: AgentMetrics
  readonly executor: Executor
  readonly networks: Networks
  readonly nodeId: string
  /** The agent's part of the state directory. */
  readonly stateDir: string
  /** Managers the operator named; more are learnt. */
  readonly managers: readonly string[]
  /** Opens a session with a manager. */
  connect(address: string): Duplex<ManagerMessage, AgentMessage>
  /** Opens a stream to the manager that asked for one. */
  openStream(address: string): Duplex<StreamFrame, StreamFrame>
  /** Read at each description. Any field but `hostname` left out keeps its default. */
  host(): Promise<Partial<HostFacts>>
  /** Answers a request for the engine; without it such requests are refused. */
  engineCall?(
    request: StreamRequest,
    call: EngineCall,
    stream: Duplex<StreamFrame, StreamFrame>,
  ): void
  onNode?(node: Node): void
  onRoots?(pem: readonly string[]): void
}

export interface AgentStatus extends SessionStatus {
  readonly managers: readonly string[]
  readonly tasks: readonly Task[]
  readonly unreported: number
  readonly networkProblems: readonly string[]
}

/** Everything one node does for the cluster. */
export class Agent {
  readonly #deps: AgentDeps
  readonly #worker: Worker
  readonly #session: Session
  readonly #reporter: Reporter
  readonly #remotes: Remotes
  readonly #objects: ObjectStore
  readonly #describeLoop: Loop
  readonly #ackLoop: Loop
  #description: NodeDescription = make(v1.NodeDescription, {})
  #send: ((message: AgentMessage) => void) | undefined
  #acked = ''
  #streams = 0

  constructor(deps: AgentDeps) {
    this.#deps = deps
    const { clock, fs, log, metrics, nodeId, stateDir } = deps
    this.#reporter = new Reporter(clock)
    this.#objects = new ObjectStore(nodeId)
    metrics.watchStatusQueue(deps.registry, () => this.#reporter.queueLength)
    this.#remotes = new Remotes({ ...deps, path: `${stateDir}/managers`, addresses: deps.managers })
    this.#worker = new Worker({
      ...deps,
      storage: new Storage({ fs, log, dir: stateDir }),
      reporter: this.#reporter,
      objects: this.#objects,
      address: () => this.#description.dataPathAddress,
    })
    this.#session = new Session({
      ...deps,
      remotes: this.#remotes,
      connect: address => deps.connect(address),
      description: () => this.#description,
      opened: send => this.#opened(send),
      closed: () => this.#closed(),
      assignments: assignments => this.#assignments(assignments),
      reported: sequence => this.#reporter.acknowledge(sequence),
      stream: (request, address) => this.#serve(request, address),
      node: node => this.#node(node),
      roots: pem => deps.onRoots?.(pem),
    })
    this.#describeLoop = new Loop({
      ...deps,
      name: 'describe node',
      pass: () => this.#describe(),
      everyMs: DESCRIBE_MS,
    })
    this.#ackLoop = new Loop({
      ...deps,
      name: 'acknowledge networks',
      pass: () => this.#acknowledge(),
    })
  }

  /** Adopts what runs, then keeps a session. Resolves when the tasks of the disk are taken up. */
  async start(): Promise<void> {
    try {
      await this.#describe()
    } catch (error) {
      // Without an engine the node still has tasks to report; the loop describes it when the engine is back.
      this.#deps.log.error('the engine cannot be described', { error: messageOf(error) })
      await this.#describeHost()
    }
    await this.#remotes.load()
    await this.#worker.start()
    this.#describeLoop.triggerIn(this.#description.engine ? DESCRIBE_MS : 0)
    this.#session.start()
  }

  /** Says good-bye; containers go on. */
  async stop(): Promise<void> {
    const { clock, log } = this.#deps
    const ended = Promise.all([
      this.#session.stop('the agent stops'),
      this.#describeLoop.stop(),
      this.#ackLoop.stop(),
      this.#worker.stop(),
    ])
    try {
      await withTimeout(clock, STOP_MS, 'stopping the agent', ended)
    } catch (error) {
      log.warn('the agent stopped while something still ran', { error: messageOf(error) })
    }
  }

  status(): AgentStatus {
    return {
      ...this.#session.status(),
      managers: this.#remotes.addresses(),
      tasks: this.#worker.tasks(),
      unreported: this.#reporter.queueLength,
      networkProblems: this.#deps.networks.applied().problems,
    }
  }

  /** Describes the node anew: something the description says has changed. */
  describe(): void {
    this.#describeLoop.trigger()
  }

  /** The task's newest state on this node, for routing exec, logs and the like. */
  task(id: string): Task | undefined {
    return this.#worker.task(id)
  }

  #opened(send: (message: AgentMessage) => void): void {
    this.#send = send
    this.#acked = ''
    this.#worker.sessionOpened()
    this.#reporter.attach(send)
    this.#ackLoop.trigger()
  }

  #closed(): void {
    this.#send = undefined
    this.#reporter.detach()
  }

  #assignments(assignments: Assignments): boolean {
    const whole = this.#worker.apply(assignments)
    if (whole) this.#ackLoop.trigger()
    return whole
  }

  #node(node: Node): void {
    this.#objects.setNode(node)
    this.#deps.onNode?.(node)
  }

  /** Tells the managers when the kernel has caught up, or has a problem it had not. */
  async #acknowledge(): Promise<void> {
    if (!this.#send) return
    const { revision, problems, behind } = this.#worker.applied()
    if (revision !== undefined) {
      const applied = { revision, problems }
      const text = JSON.stringify(applied)
      if (text !== this.#acked) this.#send({ message: 'applied', applied })
      this.#acked = text
    }
    this.#ackLoop.triggerIn(behind ? ACK_BUSY_MS : ACK_IDLE_MS)
  }

  async #describe(): Promise<void> {
    const engine = await this.#deps.executor.describe()
    this.#setDescription({ ...engine, ...(await this.#deps.host()) })
  }

  async #describeHost(): Promise<void> {
    this.#setDescription({ ...this.#description, ...(await this.#deps.host()) })
  }

  #setDescription(description: NodeDescription): void {
    if (JSON.stringify(description) === JSON.stringify(this.#description)) return
    this.#description = description
    this.#objects.setDescription(description)
    this.#send?.({ message: 'description', description })
  }

  #serve(request: StreamRequest, address: string): void {
    const { log } = this.#deps
    const stream = this.#deps.openStream(address)
    if (this.#streams >= MAX_STREAMS) {
      return refuse(request, stream, `this node serves ${MAX_STREAMS} log streams already`)
    }
    if (request.kind === 'engine' && this.#deps.engineCall) {
      return this.#deps.engineCall(request, request.engine, stream)
    }
    if (request.kind !== 'logs')
      return refuse(request, stream, 'this node cannot answer such a stream')
    const deps = { ...this.#deps, task: (id: string) => this.#worker.task(id) }
    this.#streams += 1
    serveLogs(request, request.logs, stream, deps)
      .catch((error: unknown) => log.error('log stream failed', { error: messageOf(error) }))
      .finally(() => {
        this.#streams -= 1
      })
  }
}

function refuse(
  request: StreamRequest,
  stream: Duplex<StreamFrame, StreamFrame>,
  message: string,
): void {
  const error = new StatusError('ResourceExhausted', message)
  const frame = {
    streamId: request.id,
    end: true,
    error: error.message,
    errorCode: grpcCode(error.code),
  }
  stream.send({ ...make(v1.StreamFrame, {}), ...frame })
  stream.end()
}
