// What must hold at every moment of every cluster, whatever happens to it.
import type { Change } from '../../manager/state/store/types.ts'
import {
  type Network,
  type Node,
  NodeAvailability,
  NodeState,
  PublishMode,
  type Resources,
  type Service,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { parseConstraint } from '../../services/constraint/parse.ts'
import { holdsResources, isTerminal, observedState, taskName } from '../../services/model/task.ts'
import { addressFor } from '../../services/template/expand.ts'
import { same } from './history.ts'
import type { Host } from './host.ts'

/** A decision may rest on a node as it was this long ago: the store checks only what is written. */
const STALE_MS = 12_000

interface NodeMoment {
  readonly atMs: number
  /** Infinity while it is the present one. */
  untilMs: number
  readonly node: Node
}

interface AddressHolder {
  readonly taskId: string
  /** Tasks of one slot may share its fixed address, and nothing else. */
  readonly slot: string
  readonly fixed: boolean
}

export interface InvariantDeps {
  nowMs(): number
  fail(what: string): void
}

export class Invariants {
  readonly #deps: InvariantDeps
  readonly tasks = new Map<string, Task>()
  readonly services = new Map<string, Service>()
  readonly networks = new Map<string, Network>()
  readonly nodes = new Map<string, Node>()
  readonly #past = new Map<string, NodeMoment[]>()
  readonly #addresses = new Map<string, Map<string, AddressHolder>>()
  readonly #leaders = new Map<number, number>()
  readonly #touchedNodes = new Set<string>()
  #portsTouched = false
  #networksTouched = false
  readonly stats = { tasks: 0, running: 0, ended: 0 }

  constructor(deps: InvariantDeps) {
    this.#deps = deps
  }

  /** A member says that it leads. */
  led(term: number, raftId: number): void {
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== raftId)
      this.#deps.fail(`term ${term} has two leaders: ${other} and ${raftId}`)
    this.#leaders.set(term, raftId)
  }

  get terms(): number {
    return this.#leaders.size
  }

  /** One committed change; the whole of a version is judged by committed(). */
  changed(change: Change): void {
    if (change.kind === 'task') this.#task(change.before, change.after)
    else if (change.kind === 'node') this.#node(change.before, change.after)
    else if (change.kind === 'service') {
      put(this.services, change.before, change.after)
      this.#portsTouched ||= !same(change.before?.endpoint, change.after?.endpoint)
    } else if (change.kind === 'network') {
      put(this.networks, change.before, change.after)
      this.#networksTouched = true
    }
  }

  committed(): void {
    for (const id of this.#touchedNodes) this.#capacity(id)
    this.#touchedNodes.clear()
    if (this.#portsTouched) this.#ports()
    this.#portsTouched = false
    if (this.#networksTouched) this.#vnis()
    this.#networksTouched = false
  }

  /** Engines: a task's container runs at most once, on its node alone, and is started once in its life. */
  engine(host: Host, hosts: readonly Host[], taskId: string): void {
    const container = host.engine.containers.get(taskId)
    if (container?.phase !== 'running') return
    if (container.starts > 1)
      this.#deps.fail(`container ${container.name} was started ${container.starts} times`)
    const other = hosts.find(
      h => h !== host && h.engine.containers.get(taskId)?.phase === 'running',
    )
    if (other) this.#deps.fail(`container ${container.name} runs on ${host.id} and on ${other.id}`)
    const task = this.tasks.get(taskId)
    if (task && task.nodeId !== host.id)
      this.#deps.fail(
        `container ${container.name} runs on ${host.id}, its task is on ${task.nodeId}`,
      )
  }

  #task(before: Task | undefined, after: Task | undefined): void {
    put(this.tasks, before, after)
    if (!before) this.stats.tasks += 1
    if (before && after) this.#moves(before, after)
    for (const task of [before, after]) if (task?.nodeId) this.#touchedNodes.add(task.nodeId)
    if (before) this.#leaveAddresses(before)
    if (after && !isTerminal(observedState(after))) this.#takeAddresses(after)
    const [was, is] = [before && observedState(before), after && observedState(after)]
    if (after && is !== was && is === TaskState.RUNNING) this.stats.running += 1
    if (is !== undefined && is !== was && isTerminal(is)) this.stats.ended += 1
    if (after && is === TaskState.ASSIGNED && was !== is) this.#placed(after)
  }

  #moves(before: Task, after: Task): void {
    const name = `task ${taskName(after)} (${after.id})`
    const [was, is] = [observedState(before), observedState(after)]
    if (is < was) this.#deps.fail(`${name}: its observed state fell from ${was} to ${is}`)
    if (isTerminal(was) && is !== was)
      this.#deps.fail(`${name}: it had ended as ${was} and is now ${is}`)
    if (after.desiredState < before.desiredState)
      this.#deps.fail(
        `${name}: its desired state fell from ${before.desiredState} to ${after.desiredState}`,
      )
    if (!same(before.spec, after.spec)) this.#deps.fail(`${name}: its spec changed`)
    if (before.nodeId !== '' && before.nodeId !== after.nodeId)
      this.#deps.fail(`${name}: it moved from ${before.nodeId} to ${after.nodeId}`)
    if (was >= TaskState.ASSIGNED && !same(before.networks, after.networks))
      this.#deps.fail(`${name}: its addresses changed`)
  }

  #takeAddresses(task: Task): void {
    for (const { networkId, address } of task.networks) {
      const key = `${networkId}/${address}`
      const wanted = task.spec?.networks.find(({ target }) => target === networkId)
      const fixed = wanted !== undefined && addressFor(wanted, Math.max(1, task.slot)) === address
      const slot = task.slot > 0 ? `${task.serviceId}/${task.slot}` : task.id
      const holders = this.#addresses.get(key) ?? new Map<string, AddressHolder>()
      const rival = [...holders.values()].find(
        holder => holder.slot !== slot || !(fixed || holder.fixed),
      )
      if (rival)
        this.#deps.fail(
          `address ${key} is held by task ${taskName(task)} (${task.id}) and by ${rival.taskId}`,
        )
      const gateway = this.networks.get(networkId)?.gateways.find(g => g.address === address)
      if (gateway)
        this.#deps.fail(
          `address ${key} is held by task ${taskName(task)} and as gateway of ${gateway.nodeId}`,
        )
      this.#addresses.set(key, holders.set(task.id, { taskId: task.id, slot, fixed }))
    }
  }

  #leaveAddresses(task: Task): void {
    for (const { networkId, address } of task.networks)
      this.#addresses.get(`${networkId}/${address}`)?.delete(task.id)
  }

  #node(before: Node | undefined, after: Node | undefined): void {
    put(this.nodes, before, after)
    if (!after) return
    const nowMs = this.#deps.nowMs()
    const past = this.#past.get(after.id) ?? []
    const last = past.at(-1)
    if (last) last.untilMs = nowMs
    past.push({ atMs: nowMs, untilMs: Infinity, node: after })
    this.#past.set(
      after.id,
      past.filter(moment => moment.untilMs >= nowMs - STALE_MS),
    )
  }

  /** Somewhere in the near past the node was one the task may run on. */
  #placed(task: Task): void {
    const constraints = (task.spec?.placement?.constraints ?? []).map(parseConstraint)
    const oldestMs = this.#deps.nowMs() - STALE_MS
    const past = (this.#past.get(task.nodeId) ?? []).filter(m => m.untilMs >= oldestMs)
    const name = `task ${taskName(task)} (${task.id})`
    if (!past.some(({ node }) => matchesAll(constraints, node)))
      this.#deps.fail(
        `${name}: placed on ${task.nodeId}, which does not satisfy ${constraints.map(c => c.text).join(', ')}`,
      )
    if (!past.some(({ node }) => takesTasks(node)))
      this.#deps.fail(`${name}: placed on ${task.nodeId}, which takes no tasks`)
  }

  #capacity(nodeId: string): void {
    const node = this.nodes.get(nodeId)
    if (!node?.description?.resources) return
    let cpus = 0
    let memory = 0
    for (const task of this.tasks.values()) {
      if (task.nodeId !== nodeId || !holdsResources(task)) continue
      const reserved: Resources | null = task.spec?.resources?.reservations ?? null
      cpus += reserved?.nanoCpus ?? 0
      memory += reserved?.memoryBytes ?? 0
    }
    const has = node.description.resources
    if (cpus > has.nanoCpus || memory > has.memoryBytes)
      this.#deps.fail(
        `node ${nodeId}: its tasks reserve ${cpus / 1e9} CPUs and ${memory} bytes, it has ${has.nanoCpus / 1e9} and ${has.memoryBytes}`,
      )
  }

  #ports(): void {
    const holders = new Map<string, string>()
    for (const service of this.services.values()) {
      for (const port of service.endpoint?.ports ?? []) {
        if (port.published === 0 || port.mode === PublishMode.HOST) continue
        const key = `${port.published}/${port.protocol}`
        const other = holders.get(key)
        if (other !== undefined && other !== service.id)
          this.#deps.fail(`port ${key} is published by ${other} and by ${service.id}`)
        holders.set(key, service.id)
      }
    }
  }

  #vnis(): void {
    const vnis = new Map<number, string>()
    for (const { id, vni, gateways } of this.networks.values()) {
      const other = vni === 0 ? undefined : vnis.get(vni)
      if (other !== undefined) this.#deps.fail(`VNI ${vni} is held by networks ${other} and ${id}`)
      vnis.set(vni, id)
      for (const { nodeId, address } of gateways) {
        const [holder] = this.#addresses.get(`${id}/${address}`)?.values() ?? []
        if (holder)
          this.#deps.fail(
            `address ${id}/${address} is the gateway of ${nodeId} and held by ${holder.taskId}`,
          )
        if (gateways.some(g => g.address === address && g.nodeId !== nodeId))
          this.#deps.fail(`address ${id}/${address} is the gateway of two nodes`)
      }
    }
  }
}

export function takesTasks(node: Node): boolean {
  const availability = node.spec?.availability ?? NodeAvailability.ACTIVE
  return node.status?.state === NodeState.NODE_READY && availability === NodeAvailability.ACTIVE
}

function put<T extends { readonly id: string }>(
  map: Map<string, T>,
  before: T | undefined,
  after: T | undefined,
): void {
  if (after) map.set(after.id, after)
  else if (before) map.delete(before.id)
}
