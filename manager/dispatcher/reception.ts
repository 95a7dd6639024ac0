import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError, toStatusError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/random.ts'
import type { AgentMessage, ManagerMessage, NodeDescription } from '../../proto/index.ts'
import type { LeaderDeps } from '../loop.ts'
import type { Assigner } from './assigner.ts'
import type { HealthLoop } from './health-loop.ts'
import { healthConfig } from './node-health.ts'
import { type Hello, descriptionOf, introduce, register } from './registration.ts'
import type { Roster } from './roster.ts'
import { Session } from './session.ts'
import type { StatusQueue } from './status-queue.ts'
import type { Rendezvous } from './streams.ts'

const HELLO_LIMIT_MS = 5_000

/** What exists only while this manager leads. */
export interface Term {
  readonly assigner: Assigner
  readonly health: HealthLoop
  readonly queue: StatusQueue
  readonly unwatch: () => void
  managers: readonly string[]
}

/** What agents say, from the hello to the good-bye (rows DP-01 … DP-08). */
export class Reception {
  readonly #deps: LeaderDeps
  readonly #roster: Roster
  readonly #rendezvous: Rendezvous
  /** Undefined while this manager does not lead: streams outlive a term by a moment. */
  readonly #term: () => Term | undefined

  constructor(
    deps: LeaderDeps,
    roster: Roster,
    rendezvous: Rendezvous,
    term: () => Term | undefined,
  ) {
    this.#deps = deps
    this.#roster = roster
    this.#rendezvous = rendezvous
    this.#term = term
  }

  /** Serves one agent's stream from its first message to its end. */
  serve(
    peer: { readonly nodeId: string; readonly address: string },
    stream: Duplex<AgentMessage, ManagerMessage>,
  ): void {
    if (!this.#term()) {
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

  async #greet(session: Session, hello: Hello): Promise<void> {
    const { store, log } = this.#deps
    try {
      const description = descriptionOf(hello)
      this.#roster.enter(session)
      const node = await register(this.#deps, session, description)
      if (!this.#roster.has(session)) return
      session.open = true
      const cluster = store.view(tx => tx.list('cluster')[0])
      const managers = this.#term()?.managers ?? []
      introduce(session, { cluster, node, heartbeatMs: this.#heartbeatMs(), managers })
      this.#term()?.health.trigger()
      this.#term()?.assigner.mark(session.nodeId)
    } catch (error) {
      log.warn('refused a session', {
        node_id: session.nodeId,
        error: toStatusError(error).message,
      })
      session.end(toStatusError(error))
      this.#ended(session, toStatusError(error))
    }
  }

  #receive(session: Session, message: AgentMessage): void {
    const term = this.#term()
    if (!term || !this.#roster.has(session)) return
    const isHeartbeat = message.heartbeat !== null && message.heartbeat !== undefined
    this.#roster.heard(session.nodeId, isHeartbeat ? this.#heartbeatMs() : undefined)
    switch (message.message) {
      case 'heartbeat': {
        const { sequence } = message.heartbeat
        session.send({ heartbeatAck: { sequence, heartbeatMs: this.#heartbeatMs() } })
        break
      }
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
        this.#roster.setApplied(session.nodeId, message.applied)
        break
      case 'goodBye':
        this.#roster.saidGoodBye(session.nodeId)
        session.stream.end()
        this.#ended(session, undefined)
        break
      case 'hello':
        session.end(new StatusError('InvalidArgument', 'a session has one hello'))
        break
      case undefined:
        break
    }
  }

  #describe(session: Session, description: NodeDescription): void {
    register(this.#deps, session, description).catch((error: unknown) =>
      session.end(toStatusError(error)),
    )
  }

  #ended(session: Session, error: StatusError | undefined): void {
    if (!this.#roster.leave(session, error)) return
    this.#rendezvous.fail(
      new StatusError('Unavailable', `the connection to node ${session.nodeId} broke`),
      session.nodeId,
    )
    this.#term()?.health.trigger()
  }

  #heartbeatMs(): number {
    return this.#deps.store.view(healthConfig).heartbeatMs
  }
}
