// Many independent changes, cut into transactions that neither burst the limit nor hold up the log.
import assert from 'node:assert'
import { hasCode } from '../../../runtime/errors.ts'
import { objectBytes } from './snapshot.ts'
import { Transaction } from './tx.ts'
import type { Store, Tx, UpdateOptions } from './types.ts'
import { MAX_TRANSACTION_BYTES } from './wire.ts'

/** A transaction is cut when it has so many changes, or so many bytes. */
export const BATCH_CHANGES = 200
export const BATCH_BYTES = (MAX_TRANSACTION_BYTES * 3) / 4

/** As Store.batch(). */
export async function batch<T>(
  store: Pick<Store, 'update'>,
  items: readonly T[],
  change: (tx: Tx, item: T) => void,
  options?: UpdateOptions,
): Promise<number> {
  let transactions = 0
  let room = items.length
  for (let at = 0; at < items.length; ) {
    // The callback may run again on a newer state, and then take another number of items.
    let taken = 0
    try {
      await store.update(tx => {
        taken = fill(tx, items.slice(at, at + room), change)
      }, options)
    } catch (error) {
      // The last item was larger than what the cut leaves free: without it the others fit.
      if (!hasCode(error, 'ResourceExhausted') || taken <= 1) throw error
      room = taken - 1
      continue
    }
    transactions += 1
    at += taken
    room = items.length
  }
  return transactions
}

/** Writes items until the transaction is full. @returns how many, at least one */
function fill<T>(tx: Tx, items: readonly T[], change: (tx: Tx, item: T) => void): number {
  assert(tx instanceof Transaction, 'a batch needs a store that weighs what is written')
  let changes = 0
  let bytes = 0
  tx.onWrite = (kind, object) => {
    changes += 1
    if (object !== undefined) bytes += objectBytes(kind, object)
  }
  for (const [at, item] of items.entries()) {
    change(tx, item)
    if (changes >= BATCH_CHANGES || bytes >= BATCH_BYTES) return at + 1
  }
  return items.length
}
