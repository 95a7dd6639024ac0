import type { Node, NodeState, Service } from '../../proto/index.ts'
import { NodeState as State } from '../../proto/index.ts'
import { nearest } from '../../services/compose/suggest.ts'
import { Failure } from '../failure.ts'

/** How many characters of an id listings show. */
const SHORT_ID = 12

/** An id as listings show it. */
export function shortId(id: string, noTrunc = false): string {
  return noTrunc ? id : id.slice(0, SHORT_ID)
}

/** The name people know a node by: its hostname, or its id while the agent has said nothing yet. */
export function nodeName(node: Node): string {
  return node.description?.hostname || node.spec?.annotations?.name || node.id
}

export function serviceName(service: Service): string {
  return service.spec?.annotations?.name ?? service.id
}

/** Names of nodes by id; an id of a node that is gone stands for itself, shortened. */
export class NodeNames {
  readonly #names: ReadonlyMap<string, string>
  readonly #states: ReadonlyMap<string, NodeState>

  constructor(nodes: readonly Node[]) {
    this.#names = new Map(nodes.map(node => [node.id, nodeName(node)]))
    this.#states = new Map(nodes.map(node => [node.id, node.status?.state ?? State.UNKNOWN]))
  }

  of(id: string): string {
    return id === '' ? '' : (this.#names.get(id) ?? shortId(id))
  }

  /** Whether what the node last said of itself can no longer be believed. */
  isLost(id: string): boolean {
    if (id === '') return false
    const state = this.#states.get(id)
    return state === undefined || state === State.DOWN || state === State.DISCONNECTED
  }
}

export interface Named {
  readonly id: string
  readonly name: string
}

/**
 * Finds one of `candidates` by id, name, or unambiguous prefix of an id, in this order (Swarm row CL-40).
 * @throws Failure that lists the candidates, or suggests the nearest name
 */
export function find<T extends Named>(
  candidates: readonly T[],
  reference: string,
  kind: string,
): T {
  const exact =
    candidates.find(candidate => candidate.id === reference) ??
    candidates.find(candidate => candidate.name === reference)
  if (exact !== undefined) return exact
  const byPrefix = candidates.filter(
    candidate => reference !== '' && candidate.id.startsWith(reference),
  )
  const [only, second] = byPrefix
  if (only !== undefined && second === undefined) return only
  if (only !== undefined) {
    throw new Failure(`${kind} ${reference} is ambiguous (${byPrefix.length} matches found)`, {
      why: byPrefix.slice(0, 10).map(match => `${shortId(match.id)}  ${match.name}`),
      next: ['give more of the id, or the name'],
    })
  }
  const near = nearest(
    reference,
    candidates.map(candidate => candidate.name),
  )
  throw new Failure(`no such ${kind}: ${reference}`, {
    next: near === undefined ? [] : [`did you mean ${near}?`],
  })
}
