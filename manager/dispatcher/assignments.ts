import {
  type Config,
  type EndpointEntry,
  EndpointMode,
  EndpointState,
  type Network,
  type NetworkTable,
  type Node,
  type NodePeer,
  NodeState,
  type Secret,
  type ServiceEntry,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { containerName, isTerminal, observedState, taskName } from '../../services/model/task.ts'
import { expandTask } from '../../services/template/expand.ts'
import type { ReadTx } from '../state/store/types.ts'

/** Everything one node has to know: its tasks and what they need. */
export interface NodeSet {
  readonly tasks: ReadonlyMap<string, Task>
  readonly secrets: ReadonlyMap<string, Secret>
  readonly configs: ReadonlyMap<string, Config>
  readonly networks: ReadonlyMap<string, NetworkTable>
  readonly peers: ReadonlyMap<string, NodePeer>
}

export const EMPTY_SET: NodeSet = {
  tasks: new Map(),
  secrets: new Map(),
  configs: new Map(),
  networks: new Map(),
  peers: new Map(),
}

/**
 * What the node is to be sent (rows DP-11, DP-12): the tasks given to it, ended ones too until they are forgotten, and
 * for those that live exactly the secrets, configs and networks they name.
 */
export function nodeSet(
  tx: ReadTx,
  nodeId: string,
  tableOf: (networkId: string) => NetworkTable | undefined,
): NodeSet {
  const tasks = new Map<string, Task>()
  const secrets = new Map<string, Secret>()
  const configs = new Map<string, Config>()
  const networks = new Map<string, NetworkTable>()
  const peers = new Map<string, NodePeer>()
  for (const task of tx.tasksOnNode(nodeId)) {
    if (observedState(task) < TaskState.ASSIGNED) continue
    tasks.set(task.id, task)
    if (!isLive(task)) continue
    for (const { secretId } of task.spec?.container?.secrets ?? []) {
      const secret = tx.get('secret', secretId)
      if (secret) secrets.set(secretId, secret)
    }
    for (const { configId } of task.spec?.container?.configs ?? []) {
      const config = tx.get('config', configId)
      if (config) configs.set(configId, config)
    }
    for (const { networkId } of task.networks) {
      if (networks.has(networkId)) continue
      const table = tableOf(networkId)
      if (table) networks.set(networkId, table)
    }
  }
  for (const table of networks.values())
    for (const id of nodesOf(table)) {
      const node = tx.get('node', id)
      const peer = node && peerOf(node)
      if (peer) peers.set(id, peer)
    }
  return { tasks, secrets, configs, networks, peers }
}

/** Whether a container of the task may run, so that it needs what it names. */
export function isLive(task: Task): boolean {
  return !isTerminal(observedState(task))
}

/**
 * The table of one network. Entries that say the same as in `before` are the same objects, so that differences are found
 * by looking at references. `tasks` are those of the network, in any order.
 */
export function networkTable(
  tx: ReadTx,
  network: Network,
  tasks: Iterable<Task>,
  before?: NetworkTable,
): NetworkTable {
  const known = new Map(before?.endpoints.map(entry => [entry.taskId, entry]))
  const nodes = new Map<string, Node | undefined>()
  const nodeOf = (id: string): Node | undefined => {
    if (!nodes.has(id)) nodes.set(id, tx.get('node', id))
    return nodes.get(id)
  }
  const byAddress = new Map<string, Task>()
  const services = new Set<string>()
  for (const task of tasks) {
    const attachment = task.networks.find(a => a.networkId === network.id)
    const node = nodeOf(task.nodeId)
    if (!attachment || attachment.address === '' || !isReachable(task, node)) continue
    const rival = byAddress.get(attachment.address)
    if (!rival || precedes(task, rival)) byAddress.set(attachment.address, task)
    if (task.serviceId !== '') services.add(task.serviceId)
  }
  const endpoints = [...byAddress.values()]
    .map(task => {
      const entry = endpointOf(task, network.id, nodeOf(task.nodeId))
      const old = known.get(task.id)
      return old && sameEntry(old, entry) ? old : entry
    })
    .sort((a, b) => (a.taskId < b.taskId ? -1 : 1))
  return {
    networkId: network.id,
    name: network.spec?.annotations?.name ?? network.id,
    vni: network.vni,
    subnet: network.subnet,
    mtu: network.spec?.mtu ?? 0,
    encrypted: network.spec?.encrypted ?? false,
    internal: network.spec?.internal ?? false,
    gateways: network.gateways,
    endpoints,
    services: [...services].sort().flatMap(id => serviceEntry(tx, id) ?? []),
  }
}

/** Tasks on a DOWN or removed node are absent: agents then cut what still flows to them. */
function isReachable(task: Task, node: Node | undefined): boolean {
  return (
    isLive(task) &&
    observedState(task) >= TaskState.ASSIGNED &&
    node !== undefined &&
    node.status?.state !== NodeState.DOWN
  )
}

/** Of two tasks of a slot with one address only the one to be reached is shown. */
function precedes(a: Task, b: Task): boolean {
  const more = claim(a) - claim(b)
  return more > 0 || (more === 0 && a.createdOrder > b.createdOrder)
}

function claim(task: Task): number {
  const state = observedState(task)
  if (task.desiredState > TaskState.RUNNING) return state === TaskState.RUNNING ? 1 : 0
  if (state === TaskState.RUNNING) return 3
  return state === TaskState.STARTING ? 2 : 0
}

function endpointOf(task: Task, networkId: string, node: Node | undefined): EndpointEntry {
  const attachment = task.networks.find(a => a.networkId === networkId)
  return {
    taskId: task.id,
    address: attachment?.address ?? '',
    mac: attachment?.mac ?? '',
    nodeId: task.nodeId,
    serviceId: task.serviceId,
    names: namesOf(task, node),
    aliases: attachment?.aliases ?? [],
    weight: 1,
    state: endpointState(task),
  }
}

function endpointState(task: Task): EndpointState {
  if (task.desiredState > TaskState.RUNNING) return EndpointState.ENDPOINT_DRAINING
  return observedState(task) === TaskState.RUNNING
    ? EndpointState.ENDPOINT_READY
    : EndpointState.ENDPOINT_STARTING
}

function namesOf(task: Task, node: Node | undefined): readonly string[] {
  const names = [taskName(task), containerName(task)]
  const hostname = task.spec?.container?.hostname ?? ''
  if (hostname === '') return names
  try {
    const expanded = node ? expandTask(task, node).container?.hostname : hostname
    return [...names, expanded ?? hostname]
  } catch {
    // The agent rejects the task with the template's error.
    return names
  }
}

function sameEntry(a: EndpointEntry, b: EndpointEntry): boolean {
  return (
    a.address === b.address &&
    a.mac === b.mac &&
    a.nodeId === b.nodeId &&
    a.state === b.state &&
    a.weight === b.weight &&
    a.names.join() === b.names.join() &&
    a.aliases.join() === b.aliases.join()
  )
}

/** Names of services are answered with their tasks' addresses; there are no virtual addresses in this version. */
function serviceEntry(tx: ReadTx, id: string): ServiceEntry | undefined {
  const service = tx.get('service', id)
  if (!service) return undefined
  return {
    serviceId: id,
    name: service.spec?.annotations?.name ?? '',
    virtualIp: '',
    mode: service.spec?.endpoint?.mode ?? EndpointMode.VIP,
    ports: service.endpoint?.ports ?? [],
  }
}

function nodesOf(table: NetworkTable): ReadonlySet<string> {
  return new Set([
    ...table.gateways.map(gateway => gateway.nodeId),
    ...table.endpoints.map(entry => entry.nodeId),
  ])
}

function peerOf(node: Node): NodePeer | undefined {
  const address = node.description?.dataPathAddress || hostOf(node.status?.address ?? '')
  if (address === '') return undefined
  return {
    nodeId: node.id,
    address,
    wireguardPublicKey: node.description?.wireguardPublicKey ?? '',
    wireguardAddress: '',
  }
}

/** `10.0.0.1:4711`, `ipv4:10.0.0.1:4711` → `10.0.0.1`. */
function hostOf(address: string): string {
  return /(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/.exec(address)?.[1] ?? ''
}
