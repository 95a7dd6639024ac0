import { Loop } from '../../runtime/loop.ts'
import { type Node, NodeState } from '../../proto/index.ts'
import type { LeaderDeps } from '../loop.ts'
import { outcome } from '../metrics.ts'
import type { Tx } from '../state/store/types.ts'
import {
  type Contact,
  evictionPausedUntil,
  type HealthConfig,
  judge,
  type Vanished,
  type Verdict,
} from './node-health.ts'

export interface HealthOptions {
  readonly config: () => HealthConfig
  /** What was heard of the node. */
  readonly contact: (nodeId: string) => Contact | undefined
  /** A node that is connected but silent was found dead: its session must end. */
  readonly onSilent: (nodeId: string) => void
}

const NODES_MAX = 200
/** A pass this much later than asked for means that this process did not run … */
const STALL_MS = 100
/** … and has messages waiting that it must read before it judges anybody. */
const CATCH_UP_MS = 250

/** Keeps every node's stored state in step with what was heard of it. */
export class HealthLoop {
  readonly #deps: LeaderDeps
  readonly #options: HealthOptions
  readonly #loop: Loop
  readonly #sinceMs: number
  #pausedUntilMs = -Infinity
  #expectedMs = Infinity
  #listenUntilMs = -Infinity

  constructor(deps: LeaderDeps, options: HealthOptions) {
    this.#deps = deps
    this.#options = options
    this.#sinceMs = deps.clock.monotonic()
    const { clock, random, log } = deps
    this.#loop = new Loop({ name: 'node-health', clock, random, log, pass: () => this.#pass() })
  }

  /** Asks for a look at all nodes: a session began or ended. */
  trigger(): void {
    this.#expectedMs = Math.min(this.#expectedMs, this.#deps.clock.monotonic())
    this.#loop.trigger()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #triggerIn(delayMs: number): void {
    this.#expectedMs = this.#deps.clock.monotonic() + delayMs
    this.#loop.triggerIn(delayMs)
  }

  /** Whether this process was stopped or starved: its nodes must not pay for that. */
  #mustListen(): boolean {
    const nowMs = this.#deps.clock.monotonic()
    if (nowMs - this.#expectedMs > STALL_MS) this.#listenUntilMs = nowMs + CATCH_UP_MS
    this.#expectedMs = Infinity
    if (nowMs >= this.#listenUntilMs) return false
    this.#triggerIn(this.#listenUntilMs - nowMs)
    return true
  }

  async #pass(): Promise<void> {
    const { store, clock, registry, log } = this.#deps
    if (this.#mustListen()) return
    for (;;) {
      const { changed, dueMs } = await store.update(tx => this.#apply(tx), {
        author: 'loop:dispatcher',
        ownUse: true,
      })
      for (const { node, verdict } of changed) {
        const name = node.description?.hostname ?? node.id
        log.info('node state changed', { node: name, message: verdict.message })
        if (verdict.state !== NodeState.DOWN) continue
        outcome(registry, 'skein_dispatcher_nodes_down_total', {
          reason: verdict.reason ?? 'disconnected',
        })
        if (this.#options.contact(node.id)?.connected) this.#options.onSilent(node.id)
      }
      if (changed.length >= NODES_MAX) continue
      if (dueMs < Infinity) this.#triggerIn(Math.max(1, dueMs - clock.monotonic()))
      return
    }
  }

  #apply(tx: Tx): { changed: { node: Node; verdict: Verdict }[]; dueMs: number } {
    const { clock } = this.#deps
    const nowMs = clock.monotonic()
    const config = this.#options.config()
    const nodes = tx.list('node')
    const paused = this.#pause(nodes, nowMs, config)
    const changed: { node: Node; verdict: Verdict }[] = []
    let dueMs = paused?.untilMs ?? Infinity
    for (const node of nodes) {
      const contact = this.#options.contact(node.id)
      const judged = judge(node, contact, nowMs, this.#sinceMs, config)
      dueMs = Math.min(dueMs, judged.dueMs ?? Infinity)
      const verdict =
        judged.verdict?.state === NodeState.DOWN && paused ? paused.verdict : judged.verdict
      const same =
        verdict?.state === node.status?.state &&
        (verdict !== paused?.verdict || verdict?.message === node.status?.message)
      if (!verdict || same || changed.length >= NODES_MAX) continue
      changed.push({ node, verdict })
      tx.update('node', {
        ...node,
        status: {
          state: verdict.state,
          message: verdict.message,
          address: node.status?.address ?? '',
          sinceMs: clock.now(),
          observedAtMs: clock.now(),
        },
      })
    }
    return { changed, dueMs }
  }

  /** Whether too many nodes vanished together, and what is then said of each. */
  #pause(
    nodes: readonly Node[],
    nowMs: number,
    config: HealthConfig,
  ): { untilMs: number; verdict: Verdict } | undefined {
    const up = nodes.filter(node => node.status?.state !== NodeState.DOWN)
    const vanished = up.flatMap(node => this.#vanished(node, nowMs, config) ?? [])
    const untilMs = evictionPausedUntil(vanished, up.length, nowMs)
    if (untilMs === undefined) return undefined
    const seconds = Math.ceil((untilMs - nowMs) / 1_000)
    if (nowMs >= this.#pausedUntilMs)
      this.#deps.log.warn('eviction paused: many nodes vanished together', {
        vanished: vanished.length,
        nodes: up.length,
        seconds,
      })
    this.#pausedUntilMs = untilMs
    const message = `eviction paused: ${vanished.length} of ${up.length} nodes vanished together`
    return { untilMs, verdict: { state: NodeState.SUSPECT, message } }
  }

  #vanished(node: Node, nowMs: number, config: HealthConfig): Vanished | undefined {
    const contact = this.#options.contact(node.id)
    if (contact?.goodBye) return undefined
    if (contact?.connected) {
      const silent = nowMs - contact.heardMs >= 2 * config.heartbeatMs
      return silent ? { nodeId: node.id, atMs: contact.heardMs } : undefined
    }
    if (contact?.lostMs !== undefined) return { nodeId: node.id, atMs: contact.lostMs }
    const windowEndMs = this.#sinceMs + config.registrationMs
    return nowMs >= windowEndMs ? { nodeId: node.id, atMs: windowEndMs } : undefined
  }
}
