import type { Resources } from '../../proto/index.ts'
import { addGeneric, genericFits, subtractGeneric } from './generic.ts'

// Arithmetic on what nodes have and tasks reserve. Absent resources are none.

export const NO_RESOURCES: Resources = { nanoCpus: 0, memoryBytes: 0, generic: [] }

/** The sum. Generic counts add up, named ones unite. */
export function addResources(a: Resources | null, b: Resources | null): Resources {
  const [x, y] = [a ?? NO_RESOURCES, b ?? NO_RESOURCES]
  return {
    nanoCpus: x.nanoCpus + y.nanoCpus,
    memoryBytes: x.memoryBytes + y.memoryBytes,
    generic: addGeneric(x.generic, y.generic),
  }
}

/**
 * What is left of `a`. CPU and memory may go below zero (a node that shrank is overcommitted, and says so);
 * generic counts stop at zero.
 */
export function subtractResources(a: Resources | null, b: Resources | null): Resources {
  const [x, y] = [a ?? NO_RESOURCES, b ?? NO_RESOURCES]
  return {
    nanoCpus: x.nanoCpus - y.nanoCpus,
    memoryBytes: x.memoryBytes - y.memoryBytes,
    generic: subtractGeneric(x.generic, y.generic),
  }
}

/** Whether `need` can be taken from `available`. A need of zero fits even where less than nothing is left (row PL-07). */
export function fits(need: Resources | null, available: Resources | null): boolean {
  return lacking(need, available).length === 0
}

/** What of `need` is not there: `cpu`, `memory`, or a generic kind. Empty when it fits. */
export function lacking(need: Resources | null, available: Resources | null): readonly string[] {
  const [n, a] = [need ?? NO_RESOURCES, available ?? NO_RESOURCES]
  const missing: string[] = []
  if (n.nanoCpus > 0 && n.nanoCpus > a.nanoCpus) missing.push('cpu')
  if (n.memoryBytes > 0 && n.memoryBytes > a.memoryBytes) missing.push('memory')
  for (const wanted of n.generic) if (!genericFits(wanted, a.generic)) missing.push(wanted.kind)
  return missing
}
