import { Loop } from '../../runtime/loop.ts'
import { TaskState } from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import type { LeaderDeps } from '../loop.ts'
import { duration, IO, outcome } from '../metrics.ts'
import type { Change } from '../state/store/types.ts'
import { isLive, nodeSet } from './assignments.ts'
import { countItems } from './diff.ts'
import type { Roster } from './roster.ts'
import { NetworkTables } from './tables.ts'

/** A burst of commits makes one message. */
const DEBOUNCE_MS = 5

/** Keeps every connected agent's assignments in step with the store (rows DP-11, DP-12), for one term of leadership. */
export class Assigner {
  readonly #deps: LeaderDeps
  readonly #roster: Roster
  readonly #tables = new NetworkTables()
  /** Nodes to look at, and since when. */
  readonly #dirty = new Map<string, number>()
  readonly #flush: Loop

  constructor(deps: LeaderDeps, roster: Roster) {
    this.#deps = deps
    this.#roster = roster
    const { store, clock, random, log } = deps
    store.view(tx => this.#tables.reset(tx))
    this.#flush = new Loop({
      name: 'assignments',
      clock,
      random,
      log,
      debounceMs: DEBOUNCE_MS,
      pass: async () => this.#pass(),
    })
  }

  async stop(): Promise<void> {
    await this.#flush.stop()
  }

  /** Everything may be different: a snapshot took the store's place. */
  reset(): void {
    this.#deps.store.view(tx => this.#tables.reset(tx))
    for (const id of this.#roster.nodeIds()) this.mark(id)
  }

  /** Marks the nodes that a change of the store concerns. */
  notice(change: Change): void {
    for (const networkId of this.#tables.notice(change))
      for (const session of this.#roster.sessions())
        if (session.knowsNetwork(networkId)) this.mark(session.nodeId)
    if (change.kind !== 'task') return
    for (const task of [change.before, change.after])
      if (task && task.nodeId !== '' && concernsAgent(change)) this.mark(task.nodeId)
  }

  /** The node's set may have changed: it is looked at with the next flush. */
  mark(nodeId: string): void {
    if (!this.#roster.get(nodeId)) return
    if (!this.#dirty.has(nodeId)) this.#dirty.set(nodeId, this.#deps.clock.monotonic())
    this.#flush.trigger()
  }

  #pass(): void {
    const { store, clock, registry } = this.#deps
    store.view(tx => {
      for (const [nodeId, sinceMs] of this.#dirty) {
        this.#dirty.delete(nodeId)
        const session = this.#roster.get(nodeId)
        if (!session?.open) continue
        const message = session.assign(nodeSet(tx, nodeId, id => this.#tables.get(tx, id)))
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
