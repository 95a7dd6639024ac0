import { StatusError } from '../../runtime/errors.ts'
import type { LeaderDeps } from '../loop.ts'
import { duration, IO, level, outcome } from '../metrics.ts'
import type { Contact } from './node-health.ts'
import type { Session } from './session.ts'

/** What an agent says of the kernel's networks. */
export interface AppliedState {
  readonly revision: number
  readonly problems: readonly string[]
}

/**
 * Who is there: one session a node, and what was heard of each since this manager leads. A session that is not on the
 * roster any more counts for nothing, whatever still arrives on its stream.
 */
export class Roster {
  readonly #deps: Pick<LeaderDeps, 'clock' | 'registry'>
  readonly #sessions = new Map<string, Session>()
  readonly #contacts = new Map<string, Contact>()
  readonly #applied = new Map<string, AppliedState>()

  constructor(deps: Pick<LeaderDeps, 'clock' | 'registry'>) {
    this.#deps = deps
  }

  get(nodeId: string): Session | undefined {
    return this.#sessions.get(nodeId)
  }

  has(session: Session): boolean {
    return this.#sessions.get(session.nodeId) === session
  }

  sessions(): Iterable<Session> {
    return this.#sessions.values()
  }

  nodeIds(): readonly string[] {
    return [...this.#sessions.keys()]
  }

  contact(nodeId: string): Contact | undefined {
    return this.#contacts.get(nodeId)
  }

  applied(nodeId: string): AppliedState | undefined {
    return this.#applied.get(nodeId)
  }

  setApplied(nodeId: string, applied: AppliedState): void {
    this.#applied.set(nodeId, applied)
  }

  /** The session becomes its node's; an older one ends. */
  enter(session: Session): void {
    const { clock, registry } = this.#deps
    const before = this.#sessions.get(session.nodeId)
    this.#sessions.set(session.nodeId, session)
    if (before)
      this.#end(before, new StatusError('Aborted', 'a newer session replaced this one'), 'replaced')
    this.#contacts.set(session.nodeId, {
      connected: true,
      heardMs: clock.monotonic(),
      lostMs: undefined,
      goodBye: false,
    })
    level(registry, 'skein_dispatcher_sessions', this.#sessions.size)
  }

  /** A message came, of whatever kind. `periodMs` when it is a heartbeat: how often those are promised. */
  heard(nodeId: string, periodMs: number | undefined): void {
    const { clock, registry } = this.#deps
    const contact = this.#contacts.get(nodeId)
    const nowMs = clock.monotonic()
    if (periodMs !== undefined && contact) {
      const lateMs = nowMs - contact.heardMs - periodMs
      const result = lateMs > periodMs / 2 ? 'late' : 'ok'
      outcome(registry, 'skein_dispatcher_heartbeats_total', { result })
      duration(registry, 'skein_dispatcher_heartbeat_lateness_seconds', IO).observe(
        Math.max(0, lateMs) / 1_000,
      )
    }
    this.#contacts.set(nodeId, {
      connected: true,
      heardMs: nowMs,
      lostMs: undefined,
      goodBye: contact?.goodBye ?? false,
    })
  }

  /** The agent ends on purpose: its node is disconnected, not suspect. */
  saidGoodBye(nodeId: string): void {
    const contact = this.#contacts.get(nodeId)
    if (contact) this.#contacts.set(nodeId, { ...contact, goodBye: true })
  }

  /** The stream is over, whoever ended it. False when the session was not on the roster any more. */
  leave(session: Session, error: StatusError | undefined): boolean {
    session.open = false
    if (!this.has(session)) return false
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
    return true
  }

  /** Heartbeats stopped on an open stream: nobody is there any more. */
  silent(nodeId: string): void {
    const session = this.#sessions.get(nodeId)
    const contact = this.#contacts.get(nodeId)
    if (!session || !contact) return
    this.#sessions.delete(nodeId)
    this.#contacts.set(nodeId, { ...contact, connected: false, lostMs: contact.heardMs })
    this.#end(session, new StatusError('DeadlineExceeded', 'no heartbeat'), 'timeout')
  }

  /** The node is not in the cluster any more. */
  remove(nodeId: string): void {
    this.#contacts.delete(nodeId)
    this.#applied.delete(nodeId)
    const session = this.#sessions.get(nodeId)
    if (!session) return
    const error = new StatusError('NotFound', 'this node was removed from the cluster')
    this.#end(session, error, 'removed')
  }

  /** Ends all sessions and forgets everything: this manager does not lead any more. */
  clear(error: StatusError): void {
    for (const session of this.#sessions.values()) this.#end(session, error, 'leader_change')
    this.#sessions.clear()
    this.#contacts.clear()
    this.#applied.clear()
  }

  #end(session: Session, error: StatusError, reason: string): void {
    outcome(this.#deps.registry, 'skein_dispatcher_session_ends_total', { reason })
    session.end(error)
  }
}
