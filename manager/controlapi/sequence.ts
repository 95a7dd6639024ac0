import { StatusError } from '../../runtime/errors.ts'
import { describe } from '../state/store/kinds.ts'
import type { Kind, StoreObject } from '../state/store/types.ts'

/**
 * The user's compare-and-swap: refuses a write made from an older spec than the one there is. 0 means "whatever it is".
 * @throws StatusError Aborted naming the object and both versions
 */
export function checkSequence(kind: Kind, object: StoreObject, specVersion: number): void {
  const now = object.meta?.specVersion ?? 0
  if (specVersion === 0 || specVersion === now) return
  throw new StatusError(
    'Aborted',
    `update out of sequence: ${describe(kind, object)} was changed since you read it (you have ${specVersion}, now ${now}); read it again`,
  )
}

/** @throws StatusError InvalidArgument when a write came without its spec */
export function requireSpec<T>(spec: T | null | undefined, what: string): T {
  if (spec === null || spec === undefined) {
    throw new StatusError('InvalidArgument', `${what}: the request holds no spec`)
  }
  return spec
}

/** The object as it is after a transaction. It may be gone again already, which is as if it had never been there. */
export function committed<T>(object: T | undefined, what: string): T {
  if (object === undefined) {
    throw new StatusError('NotFound', `${what} was removed at the same moment`)
  }
  return object
}
