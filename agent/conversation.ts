import type {
  AgentMessage,
  Assignments,
  ManagerMessage,
  Node,
  NodeDescription,
  StreamRequest,
} from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Duplex } from '../runtime/duplex.ts'
import { StatusError, hasCode, messageOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { AgentMetrics, SessionFailure } from './metrics.ts'
import type { Remotes } from './remotes.ts'

/** Time a manager has to answer the first message (Swarm row DP-15). */
const WELCOME_MS = 5_000
/** Periods without an acknowledgement after which a session is over (row DP-03). */
const MISSED_PERIODS = 3
/** Messages the transport has not taken; more and the manager is not reading. */
const MAX_BACKLOG = 5_000
const PROTOCOL = 1
const MIN_HEARTBEAT_MS = 50

export interface ConversationDeps {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: AgentMetrics
  readonly remotes: Remotes
  /** What the node says of itself first. */
  description(): NodeDescription
  /** A session is open; `send` works until it ends. */
  opened(send: (message: AgentMessage) => void): void
  /** False when something was missed: the session ends and the next one brings a complete set. */
  assignments(assignments: Assignments): boolean
  reported(sequence: number): void
  stream(request: StreamRequest, address: string): void
  node(node: Node): void
  roots(pem: readonly string[]): void
}

/** How a conversation went. */
export interface Ended {
  readonly reason: SessionFailure
  readonly error: StatusError | undefined
  /** When the welcome came, monotonic; undefined when it never did. */
  readonly openedMs: number | undefined
}

/** One session with one manager, from the hello to its end: the welcome, heartbeats, and who is told what arrives. */
export class Conversation {
  readonly #duplex: Duplex<ManagerMessage, AgentMessage>
  readonly #address: string
  readonly #deps: ConversationDeps
  readonly #onWelcome: (sessionId: string) => void
  #cancelTimer: (() => void) | undefined
  #openedMs: number | undefined
  #heartbeatMs = 0
  #sequence = 0
  #sentMs = 0
  #ackedMs = 0
  #resolve: ((ended: Ended) => void) | undefined

  constructor(
    duplex: Duplex<ManagerMessage, AgentMessage>,
    address: string,
    deps: ConversationDeps,
    onWelcome: (sessionId: string) => void,
  ) {
    this.#duplex = duplex
    this.#address = address
    this.#deps = deps
    this.#onWelcome = onWelcome
  }

  /** Says hello; resolves when it is over. */
  run(): Promise<Ended> {
    return new Promise(resolve => {
      this.#resolve = resolve
      this.#cancelTimer = this.#deps.clock.after(WELCOME_MS, () =>
        this.finish('welcome', new StatusError('DeadlineExceeded', 'the manager did not answer')),
      )
      this.#duplex.onEnd(error => this.finish(this.#endReason(error), error))
      this.#duplex.onMessage(message => this.#receive(message))
      const description = this.#deps.description()
      // Revisions count within a session, so none is known when one begins.
      const hello = { description, protocol: PROTOCOL, knownRevision: 0 }
      this.#duplex.send({ message: 'hello', hello })
    })
  }

  /** Ends it for this reason; nothing when it is over. */
  finish(reason: SessionFailure, error?: StatusError): void {
    const resolve = this.#resolve
    if (!resolve) return
    this.#resolve = undefined
    this.#cancelTimer?.()
    this.#duplex.end(error)
    resolve({ reason, error, openedMs: this.#openedMs })
  }

  #endReason(error: StatusError | undefined): SessionFailure {
    if (this.#openedMs !== undefined) return 'closed'
    return hasCode(error, 'Unavailable', 'DeadlineExceeded') ? 'connect' : 'refused'
  }

  #receive(received: ManagerMessage): void {
    if (!this.#resolve) return
    try {
      this.#handle(received)
    } catch (error) {
      const message = `a message of the manager could not be used: ${messageOf(error)}`
      this.#deps.log.error('message of the manager could not be used', { error: messageOf(error) })
      this.finish('gap', new StatusError('Internal', message, { cause: error }))
    }
  }

  #handle(received: ManagerMessage): void {
    if (received.message === undefined) return
    if (this.#openedMs === undefined && received.message !== 'welcome') {
      this.finish(
        'welcome',
        new StatusError('FailedPrecondition', 'the manager sent no welcome first'),
      )
      return
    }
    switch (received.message) {
      case 'welcome':
        return this.#welcome(received)
      case 'heartbeatAck':
        return this.#acknowledged(received.heartbeatAck.sequence, received.heartbeatAck.heartbeatMs)
      case 'reportAck':
        return this.#deps.reported(received.reportAck.sequence)
      case 'assignments':
        if (this.#deps.assignments(received.assignments)) return
        return this.finish('gap', new StatusError('Aborted', 'assignments with a gap'))
      case 'managers':
        return this.#managers(received.managers.addresses)
      case 'stream':
        return this.#deps.stream(received.stream, this.#address)
      case 'node':
        return this.#deps.node(received.node)
      case 'roots':
        return this.#deps.roots(received.roots.pem)
    }
  }

  #welcome({ welcome }: Extract<ManagerMessage, { message: 'welcome' }>): void {
    if (this.#openedMs !== undefined) return
    const { clock, metrics, log } = this.#deps
    this.#openedMs = clock.monotonic()
    this.#ackedMs = this.#openedMs
    this.#heartbeatMs = Math.max(MIN_HEARTBEAT_MS, welcome.heartbeatMs)
    this.#onWelcome(welcome.sessionId)
    metrics.connected(true)
    log.info('session opened', { manager: this.#address, session: welcome.sessionId })
    if (welcome.node) this.#deps.node(welcome.node)
    this.#deps.opened(message => this.#send(message))
    this.#scheduleHeartbeat()
  }

  #send(message: AgentMessage): void {
    if (!this.#resolve) return
    if (this.#duplex.backlog > MAX_BACKLOG) {
      this.finish('closed', new StatusError('ResourceExhausted', 'the manager does not read'))
      return
    }
    this.#duplex.send(message)
  }

  #scheduleHeartbeat(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = this.#deps.clock.after(this.#heartbeatMs, () => this.#heartbeat())
  }

  #heartbeat(): void {
    const nowMs = this.#deps.clock.monotonic()
    // Looked at once a period: half a period of slack keeps it from being noticed a period late.
    if (nowMs - this.#ackedMs >= (MISSED_PERIODS - 0.5) * this.#heartbeatMs) {
      const message = `no heartbeat was acknowledged for ${Math.round(nowMs - this.#ackedMs)} ms`
      this.finish('heartbeat', new StatusError('DeadlineExceeded', message))
      return
    }
    this.#sequence += 1
    this.#sentMs = nowMs
    this.#send({ message: 'heartbeat', heartbeat: { sequence: this.#sequence } })
    this.#scheduleHeartbeat()
  }

  #acknowledged(sequence: number, heartbeatMs: number): void {
    this.#ackedMs = this.#deps.clock.monotonic()
    if (sequence === this.#sequence)
      this.#deps.metrics.heartbeat((this.#ackedMs - this.#sentMs) / 1_000)
    if (heartbeatMs > 0 && heartbeatMs !== this.#heartbeatMs) {
      this.#heartbeatMs = Math.max(MIN_HEARTBEAT_MS, heartbeatMs)
      this.#scheduleHeartbeat()
    }
  }

  #managers(addresses: readonly string[]): void {
    const { remotes, log } = this.#deps
    remotes
      .replace(addresses)
      .catch((error: unknown) =>
        log.error('list of managers cannot be written', { error: messageOf(error) }),
      )
  }
}
