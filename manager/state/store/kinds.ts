import assert from 'node:assert'
import { ActionKind, type Meta, type StoreAction } from '../../../proto/index.ts'
import type { Kind, StoreObject, Tables } from './types.ts'

/** Every kind of object, in the order snapshots and metrics list them. */
export const KINDS = [
  'cluster',
  'node',
  'service',
  'task',
  'network',
  'secret',
  'config',
  'volume',
  'container',
] as const satisfies readonly Kind[]

/** Kinds whose names are taken once in a cluster. Hostnames may repeat, tasks have no name of their own. */
const UNIQUE: ReadonlySet<Kind> = new Set<Kind>([
  'service',
  'network',
  'secret',
  'config',
  'volume',
  'container',
])

/** Whether no two objects of `kind` may have the same name. */
export function hasUniqueNames(kind: Kind): boolean {
  return UNIQUE.has(kind)
}

/** The object's spec name; for nodes the hostname. '' when it has none. */
export function nameOf(kind: Kind, object: StoreObject): string {
  if (kind === 'node') return (object as Tables['node']).description?.hostname ?? ''
  if (kind === 'task') return ''
  return (object as Tables['service']).spec?.annotations?.name ?? ''
}

/** Names are compared case-insensitively (Swarm row SV-03), without regard to locale. */
export function foldName(name: string): string {
  return name.toLowerCase()
}

/** "service web", or "task 4kx…" when it has no name: how messages speak of an object. */
export function describe(kind: Kind, object: StoreObject): string {
  return `${kind} ${nameOf(kind, object) || object.id}`
}

/** As spec_version in an action: the spec was changed, so the version this commits as becomes the spec version. */
export const SPEC_CHANGED = -1

const NO_META: Meta = { version: 0, specVersion: 0, createdAtMs: 0, updatedAtMs: 0 }

/** The bookkeeping of an object; zeros for one that has none yet. */
export function metaOf(object: StoreObject): Meta {
  return object.meta ?? NO_META
}

/** One object's change as it goes into the log. A deletion carries the id alone. */
export function actionOf(
  action: ActionKind,
  baseVersion: number,
  kind: Kind,
  object: StoreObject,
): StoreAction {
  const carried = action === ActionKind.DELETE ? { id: object.id } : object
  return { kind: action, baseVersion, object: kind, [kind]: carried } as unknown as StoreAction
}

/** What an action is about. An unknown kind means that a newer release wrote it, and this one must not guess. */
export function subjectOf(action: StoreAction): {
  readonly kind: Kind
  readonly object: StoreObject
} {
  const kind = action.object
  assert(kind, 'a store action without a known object: this manager is older than the log')
  return { kind, object: (action as unknown as Tables)[kind] }
}
