// A second opinion on placement: a naive scheduler that looks at the whole state anew for one task.
import { type Node, type Resources, type Task, TaskState } from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { parseConstraint } from '../../services/constraint/parse.ts'
import { holdsResources, isTerminal, observedState } from '../../services/model/task.ts'
import { ipToNumber, parseCidr } from '../../services/net/ip.ts'
import { addressFor } from '../../services/template/expand.ts'
import { type Invariants, takesTasks } from './invariants.ts'

export class Feasibility {
  readonly #state: Pick<Invariants, 'tasks' | 'nodes' | 'networks' | 'services'>

  constructor(state: Pick<Invariants, 'tasks' | 'nodes' | 'networks' | 'services'>) {
    this.#state = state
  }

  /** The id of a node the task could run on now, undefined when there is none. */
  nodeFor(task: Task): string | undefined {
    const nodes = [...this.#state.nodes.values()]
    const candidates = task.nodeId === '' ? nodes : nodes.filter(({ id }) => id === task.nodeId)
    return candidates.find(node => this.#fits(task, node))?.id
  }

  /** Its address is to be had, and one for the node's gateway where it has none. */
  #addressable(task: Task, node: Node): boolean {
    for (const wanted of task.spec?.networks ?? []) {
      const network = this.#state.networks.get(wanted.target)
      if (!network || network.subnet === '') return false
      const own =
        task.networks.find(({ networkId }) => networkId === network.id)?.address ??
        addressFor(wanted, Math.max(1, task.slot))
      const { first, last } = parseCidr(network.subnet)
      if (own !== undefined && !this.#mayTake(own, network.id, task, first, last)) return false
      const used = this.#kept(network.id)
      if (own !== undefined) used.add(own)
      const isThere = network.gateways.some(({ nodeId }) => nodeId === node.id)
      const needs = (own === undefined ? 1 : 0) + (isThere ? 0 : 1)
      if (last - first + 1 - used.size < needs) return false
    }
    return true
  }

  /** Nobody has it but tasks of the same slot. */
  #mayTake(address: string, networkId: string, task: Task, first: number, last: number): boolean {
    const number = ipToNumber(address)
    if (number < first || number > last) return false
    const gateways = this.#state.networks.get(networkId)?.gateways ?? []
    if (gateways.some(gateway => gateway.address === address)) return false
    return !this.#live().some(
      other =>
        other.id !== task.id &&
        !(task.slot > 0 && other.serviceId === task.serviceId && other.slot === task.slot) &&
        other.networks.some(n => n.networkId === networkId && n.address === address),
    )
  }

  /** Addresses nobody else is given: tasks', gateways', and those that specs name. */
  #kept(networkId: string): Set<string> {
    const kept = new Set<string>()
    for (const task of this.#live())
      for (const n of task.networks) if (n.networkId === networkId) kept.add(n.address)
    for (const { address } of this.#state.networks.get(networkId)?.gateways ?? []) kept.add(address)
    for (const { spec } of this.#state.services.values())
      for (const wanted of spec?.task?.networks ?? [])
        if (wanted.target === networkId) for (const address of wanted.addresses) kept.add(address)
    return kept
  }

  #live(): readonly Task[] {
    return [...this.#state.tasks.values()].filter(task => !isTerminal(observedState(task)))
  }

  #fits(task: Task, node: Node): boolean {
    if (!takesTasks(node)) return false
    const constraints = (task.spec?.placement?.constraints ?? []).map(parseConstraint)
    if (!matchesAll(constraints, node)) return false
    const others = [...this.#state.tasks.values()].filter(
      t => t.nodeId === node.id && t.id !== task.id,
    )
    const holding = others.filter(holdsResources)
    return (
      this.#addressable(task, node) &&
      this.#hasRoom(task, node, holding) &&
      !portsOf(task).some(port => holding.some(other => portsOf(other).includes(port))) &&
      this.#mayHaveMore(task, others)
    )
  }

  #hasRoom(task: Task, node: Node, holding: readonly Task[]): boolean {
    const has = node.description?.resources
    const reserved = [...holding, task].map(t => t.spec?.resources?.reservations)
    const sum = (of: (resources: Resources) => number): number =>
      reserved.reduce((total, resources) => total + (resources ? of(resources) : 0), 0)
    return (
      sum(r => r.nanoCpus) <= (has?.nanoCpus ?? 0) &&
      sum(r => r.memoryBytes) <= (has?.memoryBytes ?? 0)
    )
  }

  #mayHaveMore(task: Task, others: readonly Task[]): boolean {
    const limit = task.spec?.placement?.maxReplicasPerNode ?? 0
    if (limit === 0) return true
    const own = others.filter(
      other => other.serviceId === task.serviceId && other.desiredState <= TaskState.COMPLETE,
    )
    return own.length < limit
  }
}

function portsOf(task: Task): readonly string[] {
  const ports = task.endpoint?.ports.length
    ? task.endpoint.ports
    : (task.endpoint?.spec?.ports ?? [])
  return ports.filter(p => p.published !== 0).map(p => `${p.published}/${p.protocol}`)
}
