import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError, toStatusError } from '../../runtime/errors.ts'
import { Loop } from '../../runtime/loop.ts'
import { newId } from '../../runtime/random.ts'
import {
  type AgentMessage,
  type ManagerMessage,
  type Node,
  NodeState,
  type NodeDescription,
  Reachability,
  type StreamFrame,
  type StreamRequest,
  TaskState,
} from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import { duration, IO, level, outcome } from '../metrics.ts'
import type { Change, ReadTx } from '../state/store/types.ts'
import { isLive, nodeSet } from './assignments.ts'
import { countItems } from './diff.ts'
import { HealthLoop } from './health-loop.ts'
import { type Contact, type HealthConfig, heartbeatPeriod } from './node-health.ts'
import { PROTOCOL, Session } from './session.ts'
import { StatusQueue } from './status-queue.ts'
import { Rendezvous } from './streams.ts'
import { NetworkTables } from './tables.ts'

const HELLO_LIMIT_MS = 5_000
const DEBOUNCE_MS = 5
const DEFAULT_HEARTBEAT_MS = 1_000
const DEFAULT_GRACE_MS = 3_000
const REGISTRATION_MS = 5_000

type Hello = NonNullable<Extract<AgentMessage, { readonly message?: 'hello' }>['hello']>

/** What an agent says of the kernel's networks. */
export interface AppliedState {
  readonly revision: number
  readonly problems: readonly string[]
}

/**
 * The leader's side of every agent's stream (rows DP-01 … DP-12): who is there, what each is to run, what each reports.
 * It can be started again after it was stopped.
 */
export class Dispatcher implements LeaderLoop {
  readonly name = 'dispatcher'
  readonly #deps: LeaderDeps
  readonly #sessions = new Map<string, Session>()
  readonly #contacts = new Map<string, Contact>()
  readonly #applied = new Map<string, AppliedState>()
  readonly #rendezvous: Rendezvous
  #term: Term | undefined

  constructor(deps: LeaderDeps) {
    this.#deps = deps
    this.#rendezvous = new Rendezvous(deps.clock)
  }

  start(): void {
    const { store, clock, random, log } = this.#deps
    const tables = new NetworkTables()
    store.view(tx => tables.reset(tx))
    const health = new HealthLoop(this.#deps, {
      config: () => this.#config(),
      contact: id => this.#contacts.get(id),
      onSilent: id => this.#silent(id),
    })
    const flush = new Loop({
      name: 'assignments',
      clock,
      random,
      log,
      debounceMs: DEBOUNCE_MS,
      pass: async () => this.#flush(),
    })
    this.#term = {
      tables,
      health,
      flush,
      queue: new StatusQueue(this.#deps),
      dirty: new Map(),
      managers: store.view(managerAddresses),
      unwatch: store.watch(batch => {
        if (batch.reset) this.#reset()
        for (const change of batch.changes) this.#notice(change)
      }),
    }
    health.trigger()
  }

  async stop(): Promise<void> {
    const term = this.#term
    if (!term) return
    this.#term = undefined
    term.unwatch()
    const error = new StatusError('Unavailable', 'this manager does not lead any more')
    for (const session of this.#sessions.values()) this.#end(session, error, 'leader_change')
    this.#sessions.clear()
    this.#contacts.clear()
    this.#applied.clear()
    this.#rendezvous.fail(error)
    await Promise.all([term.health.stop(), term.flush.stop(), term.queue.stop()])
  }

  /** Serves one agent's stream from its first message to its end. */
  session(
    peer: { readonly nodeId: string; readonly address: string },
    stream: Duplex<AgentMessage, ManagerMessage>,
  ): void {
    if (!this.#term) {
      stream.end(new StatusError('FailedPrecondition', 'this manager does not lead'))
      return
    }
    const session = new Session(newId(this.#deps.random), peer, stream)
    const cancel = this.#deps.clock.after(HELLO_LIMIT_MS, () =>
      stream.end(
        new StatusError('DeadlineExceeded', `no hello within ${HELLO_LIMIT_MS / 1_000} s`),
      ),
    )
    let greeted = false
    stream.onMessage(message => {
      if (greeted) {
        this.#receive(session, message)
        return
      }
      greeted = true
      cancel()
      if (message.hello) void this.#greet(session, message.hello)
      else stream.end(new StatusError('InvalidArgument', 'the first message must be a hello'))
    })
    stream.onEnd(error => {
      cancel()
      this.#ended(session, error)
    })
  }

  /** Connected nodes. */
  connected(): readonly string[] {
    return [...this.#sessions.keys()]
  }

  /** What the node's kernel has of its networks; undefined before it said so. */
  applied(nodeId: string): AppliedState | undefined {
    return this.#applied.get(nodeId)
  }

  /**
   * Asks a node to open a stream (logs, engine calls) and waits for it.
   * @throws StatusError Unavailable when the node is not connected, DeadlineExceeded when it does not open it
   */
  openStream(nodeId: string, request: StreamRequest): Promise<Duplex<StreamFrame, StreamFrame>> {
    const session = this.#sessions.get(nodeId)
    if (!session?.open) {
      const node = this.#deps.store.view(tx => tx.get('node', nodeId))
      const name = node?.description?.hostname ?? nodeId
      return Promise.reject(new StatusError('Unavailable', `node ${name} is not connected`))
    }
    const id = request.id || newId(this.#deps.random)
    const opened = this.#rendezvous.expect(nodeId, id)
    session.send({ stream: { ...request, id } })
    return opened
  }

  /** Takes a stream that an agent opened for one of `openStream`. */
  attachStream(
    peer: { readonly nodeId: string },
    first: StreamFrame,
    stream: Duplex<StreamFrame, StreamFrame>,
  ): void {
    this.#rendezvous.attach(peer, first, stream)
  }

  async #greet(session: Session, hello: Hello): Promise<void> {
    const { store, clock, log, registry } = this.#deps
    try {
      if (hello.protocol !== PROTOCOL)
        throw new StatusError(
          'FailedPrecondition',
          `the agent speaks protocol ${hello.protocol}, this manager ${PROTOCOL}: install the same version of Skein on both`,
        )
      if (!hello.description)
        throw new StatusError('InvalidArgument', 'the hello has no description of the node')
      const before = this.#sessions.get(session.nodeId)
      this.#sessions.set(session.nodeId, session)
      if (before)
        this.#end(
          before,
          new StatusError('Aborted', 'a newer session replaced this one'),
          'replaced',
        )
      this.#contacts.set(session.nodeId, {
        connected: true,
        heardMs: clock.monotonic(),
        lostMs: undefined,
        goodBye: false,
      })
      level(registry, 'skein_dispatcher_sessions', this.#sessions.size)
      const node = await this.#register(session, hello.description)
      if (this.#sessions.get(session.nodeId) !== session) return
      session.open = true
      const cluster = store.view(tx => tx.list('cluster')[0])
      session.send({
        welcome: {
          sessionId: session.id,
          heartbeatMs: this.#config().heartbeatMs,
          clusterId: cluster?.id ?? '',
          node,
        },
      })
      session.send({ managers: { addresses: this.#term?.managers ?? [] } })
      const pem = [cluster?.rootCa?.certificatePem, cluster?.rootCa?.nextCertificatePem]
      session.send({ roots: { pem: pem.filter(text => text) as string[] } })
      this.#term?.health.trigger()
      this.#mark(session.nodeId)
    } catch (error) {
      log.warn('refused a session', {
        node_id: session.nodeId,
        error: toStatusError(error).message,
      })
      session.end(toStatusError(error))
      this.#ended(session, toStatusError(error))
    }
  }

  /** READY, with what the agent says of itself (row DP-02). @throws StatusError NotFound for a removed node */
  #register(session: Session, description: NodeDescription): Promise<Node> {
    const { store, clock } = this.#deps
    return store.update(
      tx => {
        const node = tx.get('node', session.nodeId)
        if (!node)
          throw new StatusError(
            'NotFound',
            `node ${session.nodeId} is not in the cluster; it may have been removed: join again`,
          )
        const wasReady = node.status?.state === NodeState.NODE_READY
        const registered: Node = {
          ...node,
          description,
          status: {
            state: NodeState.NODE_READY,
            message: '',
            address: session.address,
            sinceMs: wasReady ? (node.status?.sinceMs ?? clock.now()) : clock.now(),
            observedAtMs: clock.now(),
          },
        }
        tx.update('node', registered)
        return registered
      },
      { author: session.nodeId },
    )
  }

  #receive(session: Session, message: AgentMessage): void {
    const term = this.#term
    if (!term || this.#sessions.get(session.nodeId) !== session) return
    this.#heard(session, message.heartbeat !== null && message.heartbeat !== undefined)
    switch (message.message) {
      case 'heartbeat':
        session.send({
          heartbeatAck: {
            sequence: message.heartbeat.sequence,
            heartbeatMs: this.#config().heartbeatMs,
          },
        })
        break
      case 'report': {
        const { sequence, tasks } = message.report
        const ack = (): void => session.send({ reportAck: { sequence } })
        if (!term.queue.put(session.nodeId, tasks, ack))
          session.end(new StatusError('ResourceExhausted', 'too many status reports wait'))
        break
      }
      case 'description':
        this.#describe(session, message.description)
        break
      case 'applied':
        this.#applied.set(session.nodeId, message.applied)
        break
      case 'goodBye': {
        const contact = this.#contacts.get(session.nodeId)
        if (contact) this.#contacts.set(session.nodeId, { ...contact, goodBye: true })
        session.stream.end()
        this.#ended(session, undefined)
        break
      }
      case 'hello':
        session.end(new StatusError('InvalidArgument', 'a session has one hello'))
        break
      case undefined:
        break
    }
  }

  #heard(session: Session, heartbeat: boolean): void {
    const { clock, registry } = this.#deps
    const contact = this.#contacts.get(session.nodeId)
    const nowMs = clock.monotonic()
    if (heartbeat && contact) {
      const lateMs = nowMs - contact.heardMs - this.#config().heartbeatMs
      const result = lateMs > this.#config().heartbeatMs / 2 ? 'late' : 'ok'
      outcome(registry, 'skein_dispatcher_heartbeats_total', { result })
      duration(registry, 'skein_dispatcher_heartbeat_lateness_seconds', IO).observe(
        Math.max(0, lateMs) / 1_000,
      )
    }
    this.#contacts.set(session.nodeId, {
      connected: true,
      heardMs: nowMs,
      lostMs: undefined,
      goodBye: contact?.goodBye ?? false,
    })
  }

  #describe(session: Session, description: NodeDescription): void {
    this.#register(session, description).catch((error: unknown) =>
      session.end(toStatusError(error)),
    )
  }

  /** The stream is over, whoever ended it. */
  #ended(session: Session, error: StatusError | undefined): void {
    session.open = false
    if (this.#sessions.get(session.nodeId) !== session) return
    const { clock, registry } = this.#deps
    this.#sessions.delete(session.nodeId)
    const contact = this.#contacts.get(session.nodeId)
    this.#contacts.set(session.nodeId, {
      connected: false,
      heardMs: contact?.heardMs ?? clock.monotonic(),
      lostMs: clock.monotonic(),
      goodBye: contact?.goodBye ?? false,
    })
    level(registry, 'skein_dispatcher_sessions', this.#sessions.size)
    outcome(registry, 'skein_dispatcher_session_ends_total', { reason: error ? 'error' : 'client' })
    this.#rendezvous.fail(
      new StatusError('Unavailable', `the connection to node ${session.nodeId} broke`),
      session.nodeId,
    )
    this.#term?.health.trigger()
  }

  #end(session: Session, error: StatusError, reason: string): void {
    outcome(this.#deps.registry, 'skein_dispatcher_session_ends_total', { reason })
    session.end(error)
  }

  /** Heartbeats stopped on an open stream: nobody is there any more. */
  #silent(nodeId: string): void {
    const session = this.#sessions.get(nodeId)
    const contact = this.#contacts.get(nodeId)
    if (!session || !contact) return
    this.#sessions.delete(nodeId)
    this.#contacts.set(nodeId, { ...contact, connected: false, lostMs: contact.heardMs })
    this.#end(session, new StatusError('DeadlineExceeded', 'no heartbeat'), 'timeout')
  }

  #config(): HealthConfig {
    return this.#deps.store.view(tx => {
      const spec = tx.list('cluster')[0]?.spec
      const heartbeatMs = heartbeatPeriod(
        spec?.heartbeatMs || DEFAULT_HEARTBEAT_MS,
        tx.list('node').length,
      )
      return {
        heartbeatMs,
        graceMs: spec?.nodeDownGraceMs || DEFAULT_GRACE_MS,
        registrationMs: REGISTRATION_MS + heartbeatMs,
      }
    })
  }

  #reset(): void {
    const term = this.#term
    if (!term) return
    this.#deps.store.view(tx => term.tables.reset(tx))
    for (const id of this.#sessions.keys()) this.#mark(id)
    term.health.trigger()
  }

  #notice(change: Change): void {
    const term = this.#term
    if (!term) return
    for (const networkId of term.tables.notice(change))
      for (const session of this.#sessions.values())
        if (session.knowsNetwork(networkId)) this.#mark(session.nodeId)
    if (change.kind === 'task') {
      for (const task of [change.before, change.after])
        if (task && task.nodeId !== '' && concernsAgent(change)) this.#mark(task.nodeId)
    } else if (change.kind === 'node') {
      this.#noticeNode(term, change.before, change.after)
    }
  }

  #noticeNode(term: Term, before: Node | undefined, after: Node | undefined): void {
    const id = (after ?? before)?.id ?? ''
    if (!after) {
      this.#contacts.delete(id)
      this.#applied.delete(id)
      const session = this.#sessions.get(id)
      if (session) {
        const error = new StatusError('NotFound', 'this node was removed from the cluster')
        this.#end(session, error, 'removed')
      }
    } else if (before && concernsNode(before, after)) {
      const session = this.#sessions.get(id)
      if (session?.open) session.send({ node: after })
    }
    if (!before && after) term.health.trigger()
    const managers = this.#deps.store.view(managerAddresses)
    if (managers.join() === term.managers.join()) return
    term.managers = managers
    for (const session of this.#sessions.values())
      if (session.open) session.send({ managers: { addresses: managers } })
  }

  /** The node's set may have changed: it is looked at with the next flush. */
  #mark(nodeId: string): void {
    const term = this.#term
    if (!term || !this.#sessions.has(nodeId)) return
    if (!term.dirty.has(nodeId)) term.dirty.set(nodeId, this.#deps.clock.monotonic())
    term.flush.trigger()
  }

  #flush(): void {
    const term = this.#term
    const { store, clock, registry } = this.#deps
    if (!term) return
    store.view(tx => {
      for (const [nodeId, sinceMs] of term.dirty) {
        term.dirty.delete(nodeId)
        const session = this.#sessions.get(nodeId)
        if (!session?.open) continue
        const message = session.assign(nodeSet(tx, nodeId, id => term.tables.get(tx, id)))
        if (!message) continue
        const type = message.complete ? 'complete' : 'incremental'
        outcome(registry, 'skein_dispatcher_assignments_total', { type })
        countItems(message, (kind, action, count) => {
          if (count > 0)
            outcome(registry, 'skein_dispatcher_assignment_changes_total', { kind, action }, count)
        })
        duration(registry, 'skein_dispatcher_assignment_delay_seconds', IO).observe(
          (clock.monotonic() - sinceMs) / 1_000,
        )
      }
    })
  }
}

/** What exists only while this manager leads. */
interface Term {
  readonly tables: NetworkTables
  readonly health: HealthLoop
  readonly flush: Loop
  readonly queue: StatusQueue
  /** Nodes to look at, and since when. */
  readonly dirty: Map<string, number>
  readonly unwatch: () => void
  managers: readonly string[]
}

/** Whether the task's agent has something to learn: not from its own statuses, unless they end what the task needs. */
function concernsAgent(change: Extract<Change, { kind: 'task' }>): boolean {
  const { before, after } = change
  if (!before || !after) return true
  const assigned = observedState(after) >= TaskState.ASSIGNED
  return (
    before.desiredState !== after.desiredState ||
    before.nodeId !== after.nodeId ||
    before.startAfterMs !== after.startAfterMs ||
    isLive(before) !== isLive(after) ||
    assigned !== observedState(before) >= TaskState.ASSIGNED
  )
}

/** Whether a node has to know of its object's change: what it is to be, is, and whether it is one of the managers. */
function concernsNode(before: Node, after: Node): boolean {
  return (
    before.role !== after.role ||
    (before.manager === null) !== (after.manager === null) ||
    JSON.stringify(before.spec) !== JSON.stringify(after.spec)
  )
}

/** Where agents find managers, the unreachable ones left out. */
function managerAddresses(tx: ReadTx): readonly string[] {
  return tx
    .list('node')
    .flatMap(({ manager }) =>
      manager && manager.address !== '' && manager.reachability !== Reachability.UNREACHABLE
        ? [manager.address]
        : [],
    )
}
