import type { AgentMessage, ManagerMessage } from '../proto/index.ts'
import { Backoff } from '../runtime/backoff.ts'
import { sleep } from '../runtime/clock.ts'
import type { Duplex } from '../runtime/duplex.ts'
import { StatusError, hasCode, toStatusError } from '../runtime/errors.ts'
import { type Random, below } from '../runtime/random.ts'
import { Conversation, type ConversationDeps } from './conversation.ts'
import type { SessionFailure } from './metrics.ts'

/** A session that lived so long starts the back-off anew. */
const SETTLED_MS = 1_000
/** Refusals that name a leader and are followed at once, in a row. */
const MAX_HOPS = 3
const HOP_MS = 50

export interface SessionDeps extends ConversationDeps {
  readonly random: Random
  /** Opens a session with the manager at `address`. What goes wrong is learnt from the duplex's end. */
  connect(address: string): Duplex<ManagerMessage, AgentMessage>
  /** The session that was opened is over. */
  closed(): void
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
    const conversation = new Conversation(duplex, address, this.#deps, sessionId => {
      this.#status = { connected: true, address, sessionId, error: '' }
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

/** The address at the end of a refusal: `this manager does not lead; leader at 10.0.0.2:2377`. */
export function leaderOf(error: StatusError | undefined): string | undefined {
  if (!hasCode(error, 'FailedPrecondition')) return undefined
  return /leader at (\S+:\d+)$/.exec(error.message)?.[1]
}
