import { type Node, NodeState } from '../../proto/index.ts'
import type { ReadTx } from '../state/store/types.ts'

export interface HealthConfig {
  /** Between a node's heartbeats. */
  readonly heartbeatMs: number
  /** From a connection that its host closed, or a good-bye, to DOWN: what a daemon needs to start anew. */
  readonly graceMs: number
  /** What a new leader gives nodes to find it. */
  readonly registrationMs: number
}

const DEFAULT_HEARTBEAT_MS = 1_000
const DEFAULT_GRACE_MS = 10_000
/** What nodes have to find a new leader, a period more. */
const REGISTRATION_MS = 5_000
/** Missed heartbeats after which a silent node is DOWN (row DP-03). */
export const HEARTBEATS_MISSED = 3

/** Every thousand nodes above the first two hundred add a second to the period. */
const NODES_PER_PERIOD = 1_000
const NODES_FREE = 200
/** Mass loss: this many nodes at least … */
const MASS_MIN = 2
/** … gone within this time of each other … */
export const MASS_WINDOW_MS = 15_000
/** … hold back eviction for this long. */
export const MASS_PAUSE_MS = 30_000

/** The heartbeat period of a cluster of `nodes` nodes. */
export function heartbeatPeriod(baseMs: number, nodes: number): number {
  return Math.round(baseMs * (1 + Math.max(0, nodes - NODES_FREE) / NODES_PER_PERIOD))
}

/** What the cluster's spec says of heartbeats, or the defaults. */
export function healthConfig(tx: ReadTx): HealthConfig {
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
}

/** What the dispatcher saw of one node since this manager leads. Times are monotonic ms. */
export interface Contact {
  /** A session is open. */
  readonly connected: boolean
  /** Last message of the session. */
  readonly heardMs: number
  /** When the session ended; undefined while it is open or when there was none. */
  readonly lostMs: number | undefined
  /** It ended with a good-bye. */
  readonly goodBye: boolean
}

export interface Verdict {
  readonly state: NodeState
  readonly message: string
  /** For counting, when it is DOWN. */
  readonly reason?: 'heartbeat' | 'disconnected' | 'not_registered' | 'good_bye'
}

/**
 * What a node's state is to be by what was heard of it, and when that may change without any event (monotonic ms).
 *
 * @param leadingSinceMs when this manager began to lead, monotonic
 */
export function judge(
  node: Node,
  contact: Contact | undefined,
  nowMs: number,
  leadingSinceMs: number,
  config: HealthConfig,
): { readonly verdict: Verdict | undefined; readonly dueMs: number | undefined } {
  const state = node.status?.state ?? NodeState.UNKNOWN
  if (contact?.connected) {
    const deadMs = contact.heardMs + HEARTBEATS_MISSED * config.heartbeatMs
    // Eviction was paused and it turned out to be there all the time.
    const back =
      state === NodeState.SUSPECT ? { state: NodeState.NODE_READY, message: '' } : undefined
    if (nowMs < deadMs) return { verdict: back, dueMs: deadMs }
    return down(state, 'heartbeat failure', 'heartbeat')
  }
  if (state === NodeState.DOWN) return { verdict: undefined, dueMs: undefined }
  if (contact?.lostMs !== undefined) {
    const [waiting, message, reason] = contact.goodBye
      ? [NodeState.DISCONNECTED, 'the agent said good-bye', 'good_bye' as const]
      : [NodeState.SUSPECT, 'the connection to the agent broke', 'disconnected' as const]
    const dueMs = graceEndMs(contact, contact.lostMs, config)
    if (nowMs >= dueMs) return down(state, `${message} and it did not come back`, reason)
    return { verdict: state === waiting ? undefined : { state: waiting, message }, dueMs }
  }
  // A new leader has heard nothing of it yet.
  const dueMs = leadingSinceMs + config.registrationMs
  if (nowMs >= dueMs)
    return down(state, 'did not register with the new leader in time', 'not_registered')
  const message = 'Node moved to "unknown" state due to leadership change in cluster'
  const wasUp = state === NodeState.NODE_READY || state === NodeState.SUSPECT
  return { verdict: wasUp ? { state: NodeState.UNKNOWN, message } : undefined, dueMs }
}

/**
 * A kernel closes the connections of a process that dies, at once: the host is there, its containers run, and the daemon is
 * likely to come back. A connection that was silent before it broke tells of no host at all, and gets no more time than
 * missed heartbeats would.
 */
function graceEndMs(contact: Contact, lostMs: number, config: HealthConfig): number {
  const wasSilent = lostMs - contact.heardMs >= 2 * config.heartbeatMs
  return wasSilent
    ? contact.heardMs + HEARTBEATS_MISSED * config.heartbeatMs
    : lostMs + config.graceMs
}

function down(
  state: NodeState,
  message: string,
  reason: NonNullable<Verdict['reason']>,
): { verdict: Verdict | undefined; dueMs: undefined } {
  const verdict = { state: NodeState.DOWN, message, reason }
  return { verdict: state === NodeState.DOWN ? undefined : verdict, dueMs: undefined }
}

/** Nodes that vanished, by when (monotonic ms), and whether they are gone still. */
export interface Vanished {
  readonly nodeId: string
  readonly atMs: number
}

/**
 * Until when eviction is held back, or undefined. When more than a third of the nodes, and at least two, vanish together
 * the trouble is likelier here than there; but nobody is held back for longer than a bounded time. One node of three is
 * evicted at once.
 *
 * @param total nodes that are up, and those that vanished
 */
export function evictionPausedUntil(
  vanished: readonly Vanished[],
  total: number,
  nowMs: number,
): number | undefined {
  const together = vanished
    .filter(v => nowMs - v.atMs < MASS_PAUSE_MS)
    .sort((a, b) => a.atMs - b.atMs)
  let best: readonly Vanished[] = []
  for (const [at, first] of together.entries()) {
    const group = together.slice(at).filter(v => v.atMs - first.atMs <= MASS_WINDOW_MS)
    if (group.length > best.length) best = group
  }
  if (best.length < MASS_MIN || best.length * 3 <= total) return undefined
  const until = (best[0]?.atMs ?? 0) + MASS_PAUSE_MS
  return until > nowMs ? until : undefined
}
