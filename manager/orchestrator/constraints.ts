import type { Node, Service } from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { type Constraint, parseConstraint } from '../../services/constraint/parse.ts'

/** Whether the node satisfies the service's present constraints. One that cannot be read is satisfied by no node. */
export function nodeMatches(service: Service, node: Node): boolean {
  return satisfies(service.spec?.task?.placement?.constraints ?? [], node)
}

/** Whether the node satisfies every constraint text. */
export function satisfies(texts: readonly string[], node: Node): boolean {
  if (texts.length === 0) return true
  const constraints = parseAll(texts)
  return constraints !== undefined && matchesAll(constraints, node)
}

function parseAll(texts: readonly string[]): readonly Constraint[] | undefined {
  try {
    return texts.map(parseConstraint)
  } catch {
    return undefined
  }
}
