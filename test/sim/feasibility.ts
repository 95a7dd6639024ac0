// A second opinion on placement: a naive scheduler that looks at the whole state anew for one task.
import { type Node, type Resources, type Task, TaskState } from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { parseConstraint } from '../../services/constraint/parse.ts'
import { holdsResources, isTerminal, observedState } from '../../services/model/task.ts'
import { parseCidr } from '../../services/net/ip.ts'
import { addressFor } from '../../services/template/expand.ts'
import { type Invariants, takesTasks } from './invariants.ts'

export class Feasibility {
  readonly #state: Pick<Invariants, 'tasks' | 'nodes' | 'networks' | 'services'>

  constructor(state: Pick<Invariants, 'tasks' | 'nodes' | 'networks' | 'services'>) {
    this.#state = state
  }

  /** The id of a node the task could run on now, undefined when there is none. */
  nodeFor(task: Task): string | undefined {
    if (!this.#addressable(task)) return undefined
    const nodes = [...this.#state.nodes.values()]
    const candidates = task.nodeId === '' ? nodes : nodes.filter(({ id }) => id === task.nodeId)
    return candidates.find(node => this.#fits(task, node))?.id
  }

  #addressable(task: Task): boolean {
    for (const wanted of task.spec?.networks ?? []) {
      const network = this.#state.networks.get(wanted.target)
      if (!network || network.subnet === '') return false
      const has = task.networks.find(({ networkId }) => networkId === network.id)?.address
      const fixed = addressFor(wanted, Math.max(1, task.slot))
      const address = has ?? fixed
      const held = this.#held(network.id, task)
      if (address !== undefined && held.has(address)) return false
      const { first, last } = parseCidr(network.subnet)
      // One for a gateway that may be missing, and those specs name are kept free.
      const spare =
        last - first + 1 - held.size - network.gateways.length - this.#declared(network.id)
      if (address === undefined && spare < 2) return false
      if (address !== undefined && spare < 1) return false
    }
    return true
  }

  /** Addresses of others: tasks of the same slot share a fixed one. */
  #held(networkId: string, task: Task): Set<string> {
    const held = new Set<string>()
    for (const other of this.#state.tasks.values()) {
      if (isTerminal(observedState(other)) || other.id === task.id) continue
      if (other.serviceId === task.serviceId && other.slot === task.slot) continue
      for (const a of other.networks) if (a.networkId === networkId) held.add(a.address)
    }
    for (const { address } of this.#state.networks.get(networkId)?.gateways ?? []) held.add(address)
    return held
  }

  #declared(networkId: string): number {
    let count = 0
    for (const { spec } of this.#state.services.values())
      for (const wanted of spec?.task?.networks ?? [])
        if (wanted.target === networkId) count += wanted.addresses.length
    return count
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
