import type { Registry } from 'prom-client'
import {
  type Network,
  type Node,
  NodeAvailability,
  NodeRole,
  NodeState,
  PublishMode,
  PortProtocol,
  type Service,
  type Task,
  TaskState,
  UpdateState,
} from '../proto/index.ts'
import { modeName, wantedReplicas } from '../services/model/service.ts'
import {
  holdsResources,
  isTerminal,
  observedState,
  stateName,
  taskName,
} from '../services/model/task.ts'
import { addResources, NO_RESOURCES } from '../services/resource/resource.ts'
import { AddressPool } from './allocator/ipam.ts'
import { gauge } from './metrics.ts'
import type { ReadTx, Store } from './state/store/types.ts'

// The state of the cluster as gauges, read from the store when it is scraped: any manager can answer, and nothing that
// changes is held in one process' memory. Tasks on nodes that are not READY are not counted as running: nobody knows.

const STACK_LABEL = 'com.docker.stack.namespace'
const NODE_STATES: Readonly<Record<NodeState, string>> = {
  [NodeState.UNKNOWN]: 'unknown',
  [NodeState.NODE_READY]: 'ready',
  [NodeState.SUSPECT]: 'suspect',
  [NodeState.DISCONNECTED]: 'disconnected',
  [NodeState.DOWN]: 'down',
}
const AVAILABILITIES = {
  [NodeAvailability.ACTIVE]: 'active',
  [NodeAvailability.PAUSE]: 'pause',
  [NodeAvailability.DRAIN]: 'drain',
}
const UPDATE_STATES: Readonly<Record<UpdateState, string>> = {
  [UpdateState.UPDATE_NONE]: 'none',
  [UpdateState.UPDATING]: 'updating',
  [UpdateState.UPDATE_PAUSED]: 'paused',
  [UpdateState.UPDATE_COMPLETED]: 'completed',
  [UpdateState.ROLLBACK_STARTED]: 'rollback_started',
  [UpdateState.ROLLBACK_PAUSED]: 'rollback_paused',
  [UpdateState.ROLLBACK_COMPLETED]: 'rollback_completed',
}
const PORT_MODES = {
  [PublishMode.INGRESS]: 'ingress',
  [PublishMode.HOST]: 'host',
  [PublishMode.LOCAL]: 'local',
}
const PROTOCOLS = {
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
}

/** Sets one series; the first use of a metric fixes its labels. */
type Put = (
  name: string,
  help: string,
  labels: Readonly<Record<string, string>>,
  value: number,
) => void

/**
 * Reads the store into `registry`, which is best one of its own (`/metrics/cluster`). Call it before each scrape; series
 * of what is gone disappear.
 */
export function collectClusterMetrics(registry: Registry, store: Store): void {
  registry.resetMetrics()
  const set: Put = (name, help, labels, value) =>
    gauge(registry, name, help, Object.keys(labels)).set(labels, value)
  store.view(tx => {
    const cluster = tx.list('cluster')[0]
    if (cluster)
      set(
        'skein_cluster_info',
        'Cluster facts, always 1',
        {
          cluster_id: cluster.id,
          autolock: String(cluster.spec?.autolock ?? false),
        },
        1,
      )
    set('skein_cluster_state_index', 'Raft index these series were read at', {}, tx.version)
    const ready = new Set(
      tx
        .list('node')
        .filter(n => n.status?.state === NodeState.NODE_READY)
        .map(n => n.id),
    )
    for (const node of tx.list('node')) nodeSeries(set, node, tx.tasksOnNode(node.id))
    for (const service of tx.list('service'))
      serviceSeries(set, service, tx.tasksOfService(service.id), ready)
    const used = usedAddresses(tx)
    for (const network of tx.list('network')) networkSeries(set, network, used)
    taskSeries(set, tx)
  })
}

function nodeSeries(set: Put, node: Node, tasks: readonly Task[]): void {
  const name = node.description?.hostname || node.id
  const state = node.status?.state ?? NodeState.UNKNOWN
  set(
    'skein_node_info',
    'Node facts, always 1',
    {
      node: name,
      node_id: node.id,
      role: node.role === NodeRole.MANAGER ? 'manager' : 'worker',
      address: node.status?.address ?? '',
      engine_version: node.description?.engine?.version ?? '',
      version: node.description?.skeinVersion ?? '',
      os: node.description?.platform?.os ?? '',
      arch: node.description?.platform?.architecture ?? '',
    },
    1,
  )
  for (const [value, status] of Object.entries(NODE_STATES))
    set(
      'skein_node_status',
      '1 for the current status',
      { node: name, status },
      Number(Number(value) === state),
    )
  const availability = node.spec?.availability ?? NodeAvailability.ACTIVE
  for (const [value, word] of Object.entries(AVAILABILITIES))
    set(
      'skein_node_availability',
      '1 for the current availability',
      { node: name, availability: word },
      Number(Number(value) === availability),
    )
  set(
    'skein_node_status_since_timestamp_seconds',
    'When the status last changed',
    { node: name },
    (node.status?.sinceMs ?? 0) / 1_000,
  )
  const has = node.description?.resources ?? NO_RESOURCES
  const reserved = tasks
    .filter(holdsResources)
    .reduce(
      (sum, task) => addResources(sum, task.spec?.resources?.reservations ?? null),
      NO_RESOURCES,
    )
  set('skein_node_capacity_cpu_cores', 'Schedulable cores', { node: name }, has.nanoCpus / 1e9)
  set(
    'skein_node_reserved_cpu_cores',
    'Cores reserved by tasks',
    { node: name },
    reserved.nanoCpus / 1e9,
  )
  set('skein_node_capacity_memory_bytes', 'Schedulable memory', { node: name }, has.memoryBytes)
  set(
    'skein_node_reserved_memory_bytes',
    'Memory reserved by tasks',
    { node: name },
    reserved.memoryBytes,
  )
  for (const [word, count] of countByState(tasks))
    set('skein_node_tasks', 'Tasks on the node', { node: name, state: word }, count)
}

function serviceSeries(
  set: Put,
  service: Service,
  tasks: readonly Task[],
  ready: ReadonlySet<string>,
): void {
  const spec = service.spec
  if (!spec) return
  const name = spec.annotations?.name ?? service.id
  const live = tasks.filter(
    task => observedState(task) === TaskState.RUNNING && task.desiredState <= TaskState.RUNNING,
  )
  const running = live.filter(task => ready.has(task.nodeId))
  const version = service.meta?.specVersion ?? 0
  const wanted =
    wantedReplicas(spec) ?? tasks.filter(t => t.desiredState <= TaskState.RUNNING).length
  set(
    'skein_service_info',
    'Service facts, always 1',
    {
      service: name,
      service_id: service.id,
      stack: spec.annotations?.labels[STACK_LABEL] ?? '',
      mode: modeName(spec),
      image: spec.task?.container?.image ?? '',
    },
    1,
  )
  set('skein_service_replicas_desired', 'Tasks wanted', { service: name }, wanted)
  set(
    'skein_service_replicas_running',
    'Tasks running and healthy',
    { service: name },
    running.length,
  )
  set('skein_service_tasks_running', 'Tasks running and healthy', { service: name }, running.length)
  set(
    'skein_service_replicas_updated',
    'Running tasks on the newest spec',
    { service: name },
    running.filter(task => task.specVersion === version).length,
  )
  for (const [word, count] of countByState(tasks))
    set('skein_service_tasks', 'Tasks by state', { service: name, state: word }, count)
  const state = service.updateStatus?.state ?? UpdateState.UPDATE_NONE
  for (const [value, word] of Object.entries(UPDATE_STATES))
    set(
      'skein_service_update_state',
      '1 for the current state',
      { service: name, state: word },
      Number(Number(value) === state),
    )
  set(
    'skein_service_update_started_timestamp_seconds',
    'Start of the newest update',
    { service: name },
    (service.updateStatus?.startedAtMs ?? 0) / 1_000,
  )
  const limits = spec.task?.resources?.limits
  set(
    'skein_service_limit_memory_bytes',
    'Memory limit per task',
    { service: name },
    limits?.memoryBytes ?? 0,
  )
  set(
    'skein_service_limit_cpu_cores',
    'CPU limit per task',
    { service: name },
    (limits?.nanoCpus ?? 0) / 1e9,
  )
  for (const port of service.endpoint?.ports ?? [])
    set(
      'skein_service_published_port_info',
      'Published ports, always 1',
      {
        service: name,
        protocol: PROTOCOLS[port.protocol],
        published_port: String(port.published),
        target_port: String(port.target),
        mode: PORT_MODES[port.mode],
      },
      1,
    )
}

/** All states, so that none goes stale when its last task leaves it. */
function countByState(tasks: readonly Task[]): ReadonlyMap<string, number> {
  const counts = new Map(
    Object.values(TaskState)
      .filter(state => typeof state === 'number' && state !== TaskState.REMOVE)
      .map(state => [stateName(state as TaskState), 0]),
  )
  for (const task of tasks) {
    const word = stateName(observedState(task))
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}

function usedAddresses(tx: ReadTx): ReadonlyMap<string, ReadonlySet<string>> {
  const used = new Map<string, Set<string>>()
  for (const task of tx.list('task')) {
    if (isTerminal(observedState(task))) continue
    for (const { networkId, address } of task.networks) {
      const there = used.get(networkId) ?? new Set<string>()
      used.set(networkId, there.add(address))
    }
  }
  return used
}

function networkSeries(
  set: Put,
  network: Network,
  used: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  const name = network.spec?.annotations?.name ?? network.id
  set(
    'skein_network_info',
    'Overlay facts, always 1',
    {
      network: name,
      driver: network.spec?.driver || 'overlay',
      ingress: String(network.spec?.ingress ?? false),
      attachable: String(network.spec?.attachable ?? false),
      encrypted: String(network.spec?.encrypted ?? false),
    },
    1,
  )
  if (network.subnet === '') return
  const count = (used.get(network.id)?.size ?? 0) + network.gateways.length
  set(
    'skein_network_addresses_capacity',
    'Usable addresses',
    { network: name },
    new AddressPool(network).capacity,
  )
  set('skein_network_addresses_used', 'Addresses in use', { network: name }, count)
}

function taskSeries(set: Put, tx: ReadTx): void {
  const hostname = (id: string): string => tx.get('node', id)?.description?.hostname ?? id
  for (const task of tx.list('task'))
    if (!isTerminal(observedState(task)) && task.nodeId !== '')
      set(
        'skein_task_info',
        'Live tasks, always 1',
        {
          service: task.serviceName,
          task: taskName(task),
          task_id: task.id,
          slot: String(task.slot),
          node: hostname(task.nodeId),
        },
        1,
      )
}
