import assert from 'node:assert'
import type { Clock } from '../../../runtime/clock.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Random } from '../../../runtime/random.ts'
import type { StoreAction } from '../../../proto/index.ts'
import { MemoryStore, type StoreLimits, type TransactionOutcome } from './memory-store.ts'
import type { Proposer } from './types.ts'
import { encodeTransaction } from './wire.ts'

/** Applies transactions to one store of the same process, each in a microtask of its own: no log, nothing durable. */
export class MemoryProposer implements Proposer {
  #store: MemoryStore | undefined

  /** The store to apply to. Once, before the first proposal. */
  attach(store: MemoryStore): void {
    assert(this.#store === undefined, 'a memory proposer serves one store')
    this.#store = store
  }

  async propose(
    actions: readonly StoreAction[],
    options: { readonly author: string },
  ): Promise<TransactionOutcome> {
    const bytes = encodeTransaction(actions, options.author)
    await Promise.resolve()
    assert(this.#store, 'the memory proposer has no store yet')
    return this.#store.applyTransaction(this.#store.version + 1, bytes)
  }
}

/** A store that is its own cluster, for tests and single-process use. */
export function createMemoryStore(deps: {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits?: StoreLimits
}): MemoryStore {
  const proposer = new MemoryProposer()
  const store = new MemoryStore({ ...deps, proposer })
  proposer.attach(store)
  return store
}
