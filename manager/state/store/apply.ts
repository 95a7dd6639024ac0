// The deterministic half of the store: every member applies the same transactions in the same order to the same
// tables and must come to the same result, so nothing here may look at a clock, at chance or at the machine.
import { ActionKind, type StoreAction } from '../../../proto/index.ts'
import {
  SPEC_CHANGED,
  describe,
  foldName,
  hasUniqueNames,
  metaOf,
  nameOf,
  subjectOf,
} from './kinds.ts'
import { shareParts } from './share.ts'
import type { TableSet } from './tables.ts'
import type { Change, Kind, StoreObject } from './types.ts'

/** One object as the transaction leaves it, while it is being checked. */
interface Pending {
  readonly kind: Kind
  readonly object: StoreObject | undefined
}

/** Either the changes that were made, or the object because of which none was. */
export type Applied =
  | { readonly conflict: false; readonly changes: readonly Change[] }
  | { readonly conflict: string }

/**
 * Applies a transaction's actions to `tables` as version `index`, all or none. Refused when an object is no longer at
 * the version its writer read, or when a unique name is taken.
 */
export function applyActions(
  tables: TableSet,
  index: number,
  actions: readonly StoreAction[],
): Applied {
  const conflict = findConflict(tables, actions)
  if (conflict !== undefined) return { conflict }
  return { conflict: false, changes: actions.map(action => applyAction(tables, index, action)) }
}

function findConflict(tables: TableSet, actions: readonly StoreAction[]): string | undefined {
  const pending = new Map<string, Pending>()
  for (const action of actions) {
    const { kind, object } = subjectOf(action)
    const key = `${kind}/${object.id}`
    const earlier = pending.get(key)
    const current = earlier ? earlier.object : tables.of(kind).get(object.id)
    // Within its own transaction an object may only be made anew, after its deletion.
    const version = current === undefined ? 0 : earlier ? NaN : metaOf(current).version
    const creates = action.kind === ActionKind.CREATE
    if (version !== action.baseVersion || creates !== (current === undefined)) {
      return describe(kind, current ?? object)
    }
    pending.set(key, { kind, object: action.kind === ActionKind.DELETE ? undefined : object })
  }
  return findTakenName(tables, pending)
}

function findTakenName(
  tables: TableSet,
  pending: ReadonlyMap<string, Pending>,
): string | undefined {
  const claimed = new Map<string, string>()
  for (const { kind, object } of pending.values()) {
    const name = object === undefined || !hasUniqueNames(kind) ? '' : foldName(nameOf(kind, object))
    if (object === undefined || name === '') continue
    const claim = `${kind}/${name}`
    // A holder that this transaction renames or removes gives its name up.
    const holder = tables
      .of(kind)
      .byName(name)
      .find(other => other.id !== object.id && !pending.has(`${kind}/${other.id}`))
    if (holder !== undefined || claimed.has(claim)) return describe(kind, holder ?? object)
    claimed.set(claim, object.id)
  }
  return undefined
}

function applyAction(tables: TableSet, index: number, action: StoreAction): Change {
  const { kind, object } = subjectOf(action)
  const before = tables.of(kind).get(object.id)
  if (action.kind === ActionKind.DELETE) {
    tables.of(kind).remove(object.id)
    return { kind, before, after: undefined } as Change
  }
  const meta = metaOf(object)
  const specVersion = meta.specVersion === SPEC_CHANGED ? index : meta.specVersion
  const stamped = { ...object, meta: { ...meta, version: index, specVersion } } as StoreObject
  const after = shareParts(tables.resembling(kind, object), stamped)
  tables.put(kind, after)
  return { kind, before, after } as Change
}
