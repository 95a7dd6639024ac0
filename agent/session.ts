import type {
  AgentMessage,
  Assignments,
  ManagerMessage,
  Node,
  NodeDescription,
  StreamRequest,
} from '../proto/index.ts'
import { Backoff } from '../runtime/backoff.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { Duplex } from '../runtime/duplex.ts'
import { StatusError, hasCode, messageOf, toStatusError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { type Random, below } from '../runtime/random.ts'
import type { AgentMetrics, SessionFailure } from './metrics.ts'
import type { Remotes } from './remotes.ts'

/** Time a manager has to answer the first message (Swarm row DP-15). */
const WELCOME_MS = 5_000
/** Periods without an acknowledgement after which a session is over (row DP-03). */
const MISSED_PERIODS = 3
/** A session that lived so long starts the back-off anew. */
const SETTLED_MS = 1_000
/** Refusals that name a leader and are followed at once, in a row. */
const MAX_HOPS = 3
const HOP_MS = 50
/** Messages the transport has not taken; more and the manager is not reading. */
const MAX_BACKLOG = 5_000
const PROTOCOL = 1
const MIN_HEARTBEAT_MS = 50

export interface SessionDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: AgentMetrics
  readonly remotes: Remotes
  /** Opens a session with the manager at `address`. What goes wrong is learnt from the duplex's end. */
  connect(address: string): Duplex<ManagerMessage, AgentMessage>
  /** What the node says of itself first. */
  description(): NodeDescription
  /** A session is open; `send` works until closed() is called. */
  opened(send: (message: AgentMessage) => void): void
  closed(): void
  /** False when something was missed: the session ends and the next one brings a complete set. */
  assignments(assignments: Assignments): boolean
  reported(sequence: number): void
  stream(request: StreamRequest, address: string): void
  node(node: Node): void
  roots(pem: readonly string[]): void
}

interface Outcome {
  readonly reason: SessionFailure
  readonly error: StatusError | undefined
  /** How long the session was open, milliseconds. */
  readonly openMs: number
}

export interface SessionStatus {
  readonly connected: boolean
  readonly address: string
  readonly sessionId: string
  /** Why there is no session; empty while there is one. */
  readonly error: string
}

const NO_SESSION: SessionStatus = { connected: false, address: '', sessionId: '', error: '' }

/** Keeps one session with the leading manager, for as long as the agent runs. */
export class Session {
  readonly #deps: SessionDeps
  readonly #stop = new AbortController()
  readonly #backoff: Backoff
  #duplex: Duplex<ManagerMessage, AgentMessage> | undefined
  #finish: ((reason: SessionFailure, error?: StatusError) => void) | undefined
  #status: SessionStatus = NO_SESSION
  #running: Promise<void> | undefined

  constructor(deps: SessionDeps) {
    this.#deps = deps
    this.#backoff = new Backoff(deps.random, { firstMs: 100, maxMs: 1_000 })
  }

  status(): SessionStatus {
    return this.#status
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Says good-bye and ends. Resolves when nothing runs. */
  async stop(reason: string): Promise<void> {
    if (this.#status.connected) {
      this.#duplex?.send({ message: 'goodBye', goodBye: { reason } })
    }
    this.#stop.abort(new StatusError('Cancelled', reason))
    this.#finish?.('closed')
    await this.#running
  }

  /** Ends the session, so that a new one brings a complete set. */
  restart(reason: SessionFailure): void {
    this.#finish?.(reason, new StatusError('Aborted', 'the agent starts its session anew'))
  }

  async #run(): Promise<void> {
    const { clock, log, random, remotes } = this.#deps
    const { signal } = this.#stop
    let avoid: string | undefined
    let hops = 0
    while (!signal.aborted) {
      const address = remotes.pick(avoid)
      if (address === undefined) {
        log.error('no manager is known')
        await sleep(clock, SETTLED_MS, signal).catch(() => undefined)
        continue
      }
      const outcome = await this.#converse(address)
      if (signal.aborted) return
      const leader = leaderOf(outcome.error)
      remotes.observe(address, outcome.openMs > 0)
      if (outcome.openMs >= SETTLED_MS) {
        this.#backoff.reset()
        hops = 0
      }
      this.#deps.metrics.sessionFailed(outcome.reason)
      log.warn('session ended', {
        manager: address,
        reason: outcome.reason,
        error: outcome.error?.message ?? '',
        leader: leader ?? '',
      })
      avoid = address
      if (leader !== undefined) remotes.follow(leader)
      hops = leader === undefined ? 0 : hops + 1
      const delayMs = hops > 0 && hops <= MAX_HOPS ? below(random, HOP_MS) : this.#backoff.nextMs()
      await sleep(clock, delayMs, signal).catch(() => undefined)
    }
  }

  /** One session from its first message to its end. */
  async #converse(address: string): Promise<Outcome> {
    const { clock, metrics } = this.#deps
    let duplex: Duplex<ManagerMessage, AgentMessage>
    try {
      duplex = this.#deps.connect(address)
    } catch (error) {
      return { reason: 'connect', error: toStatusError(error), openMs: 0 }
    }
    this.#duplex = duplex
    const conversation = new Conversation(duplex, address, this.#deps, status => {
      this.#status = status
    })
    this.#finish = (reason, error) => conversation.finish(reason, error)
    const outcome = await conversation.run()
    this.#finish = undefined
    this.#duplex = undefined
    const why = outcome.error === undefined ? '' : `${address}: ${outcome.error.message}`
    this.#status = { ...NO_SESSION, error: why || this.#status.error }
    metrics.connected(false)
    const openMs = outcome.openedMs === undefined ? 0 : clock.monotonic() - outcome.openedMs
    if (outcome.openedMs !== undefined) this.#deps.closed()
    return { reason: outcome.reason, error: outcome.error, openMs }
  }
}

interface Ended {
  readonly reason: SessionFailure
  readonly error: StatusError | undefined
  readonly openedMs: number | undefined
}

class Conversation {
  readonly #duplex: Duplex<ManagerMessage, AgentMessage>
  readonly #address: string
  readonly #deps: SessionDeps
  readonly #onStatus: (status: SessionStatus) => void
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
    deps: SessionDeps,
    onStatus: (status: SessionStatus) => void,
  ) {
    this.#duplex = duplex
    this.#address = address
    this.#deps = deps
    this.#onStatus = onStatus
  }

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
    this.#onStatus({
      connected: true,
      address: this.#address,
      sessionId: welcome.sessionId,
      error: '',
    })
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

/** The address at the end of a refusal: `this manager does not lead; leader at 10.0.0.2:2377`. */
export function leaderOf(error: StatusError | undefined): string | undefined {
  if (!hasCode(error, 'FailedPrecondition')) return undefined
  return /leader at (\S+:\d+)$/.exec(error.message)?.[1]
}
