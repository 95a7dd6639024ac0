import { StatusError } from '../../../runtime/errors.ts'
import type { Task } from '../../../proto/index.ts'
import { describe } from './kinds.ts'
import type { Kind, ReadTx, Tables } from './types.ts'

/** More candidates than this are not named. */
const CANDIDATES = 5

/**
 * By id, exact name or unambiguous id prefix, in that order.
 *
 * @throws StatusError NotFound, or InvalidArgument naming the candidates when ambiguous
 */
export function resolve<K extends Kind>(
  view: Pick<ReadTx, 'get' | 'byName'>,
  ids: () => Iterable<string>,
  kind: K,
  reference: string,
): Tables[K] {
  if (reference === '') throw new StatusError('InvalidArgument', `${kind}: a name or id is needed`)
  const byId = view.get(kind, reference)
  if (byId !== undefined) return byId
  const named = view.byName(kind, reference)
  if (named.length === 1 && named[0] !== undefined) return named[0]
  if (named.length > 1)
    throw ambiguous(
      kind,
      reference,
      named.map(object => object.id),
    )
  const matches: string[] = []
  for (const id of ids()) {
    if (id.startsWith(reference) && matches.push(id) > CANDIDATES) break
  }
  const found = matches.length === 1 ? view.get(kind, matches[0] ?? '') : undefined
  if (found !== undefined) return found
  if (matches.length === 0) throw new StatusError('NotFound', `${kind} ${reference} not found`)
  const candidates = matches.map(id => {
    const object = view.get(kind, id)
    return object === undefined ? id : `${id} (${describe(kind, object)})`
  })
  throw ambiguous(kind, reference, candidates)
}

/** A task by its whole name, "web.1.<task id>" or "web.<node id>.<task id>": its id is the last part. */
export function taskByName(get: (id: string) => Task | undefined, name: string): readonly Task[] {
  const dot = name.lastIndexOf('.')
  const task = dot < 0 ? undefined : get(name.slice(dot + 1))
  if (task === undefined) return []
  const prefix = `${task.serviceName}.${task.slot === 0 ? task.nodeId : task.slot}`
  return name.slice(0, dot).toLowerCase() === prefix.toLowerCase() ? [task] : []
}

function ambiguous(kind: Kind, reference: string, candidates: readonly string[]): StatusError {
  const named = candidates.slice(0, CANDIDATES).join(', ')
  const more = candidates.length > CANDIDATES ? ', …' : ''
  return new StatusError(
    'InvalidArgument',
    `${kind} ${reference} is ambiguous: ${named}${more}; use more of the id`,
  )
}
