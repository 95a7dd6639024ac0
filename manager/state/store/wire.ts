// The log's unit: one StoreTransaction, encoded by the proposer and decoded alike on every member.
import { StatusError } from '../../../runtime/errors.ts'
import { codec } from '../../../proto/codec.ts'
import { type StoreAction, type StoreTransaction, v1 } from '../../../proto/index.ts'

/** Swarm row RF-05: one proposal holds at most 1.5 MiB, so that no member chokes on a single message. */
export const MAX_TRANSACTION_BYTES = 1.5 * 1024 * 1024

const transactions = codec(v1.StoreTransaction)

/** @throws StatusError ResourceExhausted over `maxBytes` */
export function encodeTransaction(
  actions: readonly StoreAction[],
  author: string,
  maxBytes: number = MAX_TRANSACTION_BYTES,
): Uint8Array {
  const bytes = transactions.encode({ requestId: '', actions, author })
  if (bytes.length <= maxBytes) return bytes
  throw new StatusError(
    'ResourceExhausted',
    `a transaction of ${bytes.length} bytes (${actions.length} changes) is over the limit of ${maxBytes}; write fewer objects at once`,
  )
}

/** @throws Error on malformed bytes */
export function decodeTransaction(bytes: Uint8Array): StoreTransaction {
  return transactions.decode(bytes)
}
