import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/random.ts'
import {
  type AgentMessage,
  type ManagerMessage,
  type Node,
  Reachability,
  type StreamFrame,
  type StreamRequest,
} from '../../proto/index.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import type { Change, ReadTx } from '../state/store/types.ts'
import { Assigner } from './assigner.ts'
import { HealthLoop } from './health-loop.ts'
import { healthConfig } from './node-health.ts'
import { Reception, type Term } from './reception.ts'
import { type AppliedState, Roster } from './roster.ts'
import { StatusQueue } from './status-queue.ts'
import { Rendezvous } from './streams.ts'

/**
 * The leader's side of every agent's stream (rows DP-01 … DP-12): who is there, what each is to run, what each reports.
 * It can be started again after it was stopped.
 */
export class Dispatcher implements LeaderLoop {
  readonly name = 'dispatcher'
  readonly #deps: LeaderDeps
  readonly #roster: Roster
  readonly #rendezvous: Rendezvous
  readonly #reception: Reception
  #term: Term | undefined

  constructor(deps: LeaderDeps) {
    this.#deps = deps
    this.#roster = new Roster(deps)
    this.#rendezvous = new Rendezvous(deps.clock)
    this.#reception = new Reception(deps, this.#roster, this.#rendezvous, () => this.#term)
  }

  start(): void {
    const { store } = this.#deps
    const health = new HealthLoop(this.#deps, {
      config: () => store.view(healthConfig),
      contact: id => this.#roster.contact(id),
      onSilent: id => this.#roster.silent(id),
    })
    this.#term = {
      assigner: new Assigner(this.#deps, this.#roster),
      health,
      queue: new StatusQueue(this.#deps),
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
    this.#roster.clear(error)
    this.#rendezvous.fail(error)
    await Promise.all([term.health.stop(), term.assigner.stop(), term.queue.stop()])
  }

  /** Serves one agent's stream from its first message to its end. */
  session(
    peer: { readonly nodeId: string; readonly address: string },
    stream: Duplex<AgentMessage, ManagerMessage>,
  ): void {
    this.#reception.serve(peer, stream)
  }

  /** Connected nodes. */
  connected(): readonly string[] {
    return this.#roster.nodeIds()
  }

  /** What the node's kernel has of its networks; undefined before it said so. */
  applied(nodeId: string): AppliedState | undefined {
    return this.#roster.applied(nodeId)
  }

  /**
   * Asks a node to open a stream (logs, engine calls) and waits for it.
   * @throws StatusError Unavailable when the node is not connected, DeadlineExceeded when it does not open it
   */
  openStream(nodeId: string, request: StreamRequest): Promise<Duplex<StreamFrame, StreamFrame>> {
    const session = this.#roster.get(nodeId)
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

  #reset(): void {
    const term = this.#term
    if (!term) return
    term.assigner.reset()
    term.health.trigger()
  }

  #notice(change: Change): void {
    const term = this.#term
    if (!term) return
    term.assigner.notice(change)
    if (change.kind === 'node') this.#noticeNode(term, change.before, change.after)
  }

  #noticeNode(term: Term, before: Node | undefined, after: Node | undefined): void {
    const id = (after ?? before)?.id ?? ''
    if (!after) {
      this.#roster.remove(id)
    } else if (before && concernsNode(before, after)) {
      const session = this.#roster.get(id)
      if (session?.open) session.send({ node: after })
    }
    if (!before && after) term.health.trigger()
    const managers = this.#deps.store.view(managerAddresses)
    if (managers.join() === term.managers.join()) return
    term.managers = managers
    for (const session of this.#roster.sessions())
      if (session.open) session.send({ managers: { addresses: managers } })
  }
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
