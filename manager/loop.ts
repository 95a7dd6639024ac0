import type { Registry } from 'prom-client'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import type { Store } from './state/store/types.ts'

/** What every part of the leading manager is given. */
export interface LeaderDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Metrics outlive a term of leadership: declare them with getOrCreate helpers of manager/metrics.ts. */
  readonly registry: Registry
}

/** Something that runs while this manager leads. start() must not throw; stop() resolves when nothing of it runs. */
export interface LeaderLoop {
  readonly name: string
  start(): void
  stop(): Promise<void>
}
