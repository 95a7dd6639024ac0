import type { GenericResource } from '../../proto/index.ts'

// Things a node has beside CPU and memory (rows PL-23, PL-24): a number of them, or a set of named ones.
// Requests are always numbers; what a task was given is a number or the names it holds alone.

/** How many there are of one entry. */
export function genericAmount(resource: GenericResource): number {
  return resource.names.length > 0 ? resource.names.length : resource.count
}

/** Whether `available` has as many of the kind as `wanted` asks for. */
export function genericFits(
  wanted: GenericResource,
  available: readonly GenericResource[],
): boolean {
  const need = genericAmount(wanted)
  if (need === 0) return true
  const there = available.find(entry => entry.kind === wanted.kind)
  return there !== undefined && genericAmount(there) >= need
}

/** The sum by kind; names unite, without doubles. */
export function addGeneric(
  a: readonly GenericResource[],
  b: readonly GenericResource[],
): readonly GenericResource[] {
  const sum = new Map(a.map(entry => [entry.kind, entry]))
  for (const entry of b) {
    const before = sum.get(entry.kind)
    sum.set(
      entry.kind,
      before === undefined
        ? entry
        : {
            kind: entry.kind,
            count: before.count + entry.count,
            names: [...new Set([...before.names, ...entry.names])],
          },
    )
  }
  return [...sum.values()]
}

/** What is left of `a` by kind: names are taken out by name, counts from the number, never below zero. */
export function subtractGeneric(
  a: readonly GenericResource[],
  b: readonly GenericResource[],
): readonly GenericResource[] {
  return a.map(entry => {
    const taken = b.filter(other => other.kind === entry.kind)
    const names = new Set(taken.flatMap(other => other.names))
    const count = taken.reduce((sum, other) => sum + other.count, 0)
    return {
      kind: entry.kind,
      count: Math.max(0, entry.count - count),
      names: entry.names.filter(name => !names.has(name)),
    }
  })
}

/**
 * What a task gets for its requests: the first free names of a named set, else the number.
 * Undefined when something is lacking.
 */
export function claimGeneric(
  wanted: readonly GenericResource[],
  available: readonly GenericResource[],
): readonly GenericResource[] | undefined {
  const claimed: GenericResource[] = []
  for (const request of wanted) {
    if (!genericFits(request, available)) return undefined
    const count = genericAmount(request)
    if (count === 0) continue
    const names = available.find(entry => entry.kind === request.kind)?.names ?? []
    claimed.push(
      names.length > 0
        ? { kind: request.kind, count: 0, names: names.slice(0, count) }
        : { kind: request.kind, count, names: [] },
    )
  }
  return claimed
}
