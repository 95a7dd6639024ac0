import { Loop } from '../runtime/loop.ts'
import type { LeaderDeps, LeaderLoop } from './loop.ts'
import { duration, FAST, outcome } from './metrics.ts'
import type { Change } from './state/store/types.ts'

export interface ReconcilerOptions {
  readonly name: string
  /** Looks at one committed change; true asks for a pass. `reset` below is called instead when history was skipped. */
  notice(change: Change): boolean
  /** Forgets what was noticed: everything has to be looked at anew. Called at start too. */
  reset(): void
  /** One pass. Answers the time (clock.now()) at which it wants to be called again, if any. */
  pass(): Promise<number | undefined>
  /** Waits this long after the first trigger. */
  readonly debounceMs: number
  /** A pass with reset() runs this often, so that a missed event costs latency only. */
  readonly resyncMs?: number
}

/** The runner every control loop of the leader shares: store.watch → notice → debounced pass, retried with back-off. */
export class Reconciler implements LeaderLoop {
  readonly name: string
  readonly #deps: LeaderDeps
  readonly #options: ReconcilerOptions
  #loop: Loop | undefined
  #unwatch: (() => void) | undefined
  #cancelResync: (() => void) | undefined

  constructor(deps: LeaderDeps, options: ReconcilerOptions) {
    this.name = options.name
    this.#deps = deps
    this.#options = options
  }

  start(): void {
    const { store, clock, random, log } = this.#deps
    const { name, debounceMs } = this.#options
    const loop = new Loop({ name, clock, random, log, debounceMs, pass: () => this.#pass() })
    this.#loop = loop
    this.#options.reset()
    this.#unwatch = store.watch(batch => {
      if (batch.reset) this.#options.reset()
      let wanted = batch.reset === true
      for (const change of batch.changes) wanted = this.#options.notice(change) || wanted
      if (wanted) loop.trigger()
    })
    this.#scheduleResync()
    loop.trigger()
  }

  async stop(): Promise<void> {
    this.#unwatch?.()
    this.#cancelResync?.()
    await this.#loop?.stop()
    this.#loop = undefined
  }

  /** Asks for a pass from outside the store's changes. */
  trigger(): void {
    this.#loop?.trigger()
  }

  async #pass(): Promise<void> {
    const { clock, registry } = this.#deps
    const labels = { controller: this.name }
    const begunMs = clock.monotonic()
    let result = 'error'
    try {
      const dueMs = await this.#options.pass()
      if (dueMs !== undefined) this.#loop?.triggerIn(Math.max(0, dueMs - clock.now()))
      result = 'ok'
    } finally {
      duration(registry, 'skein_reconcile_duration_seconds', FAST, labels).observe(
        (clock.monotonic() - begunMs) / 1_000,
      )
      outcome(registry, 'skein_reconcile_total', { ...labels, result })
    }
  }

  #scheduleResync(): void {
    this.#cancelResync = this.#deps.clock.after(this.#options.resyncMs ?? 60_000, () => {
      this.#options.reset()
      this.#loop?.trigger()
      this.#scheduleResync()
    })
  }
}
