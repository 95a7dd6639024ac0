import type { StateMachine } from 'raft-ts'
import { type Clock, sleep } from '../../../runtime/clock.ts'
import type { MemoryStore, TransactionOutcome } from '../store/memory-store.ts'
import { encodeSnapshot } from '../store/snapshot.ts'

/** The store as Raft drives it: one entry of the log is one transaction, and its outcome goes back to the proposer. */
export class StoreStateMachine implements StateMachine {
  readonly #store: MemoryStore
  readonly #clock: Clock

  constructor(store: MemoryStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  apply(
    entries: readonly { readonly index: number; readonly data: Uint8Array }[],
  ): readonly TransactionOutcome[] {
    return entries.map(({ index, data }) => this.#store.applyTransaction(index, data))
  }

  /** Captured at the call; encoded in slices with a turn of the event loop between them. */
  snapshot(): Promise<Uint8Array> {
    return encodeSnapshot(this.#store.captureSnapshot(), () => sleep(this.#clock, 0))
  }

  restore(snapshot: Uint8Array, index: number): void {
    this.#store.restore(snapshot, index)
  }
}
