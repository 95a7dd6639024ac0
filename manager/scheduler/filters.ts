import { MountType, NodeAvailability, NodeState, type Task } from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { type Constraint, parseConstraint } from '../../services/constraint/parse.ts'
import { overlaps, parseCidr } from '../../services/net/ip.ts'
import { lacking } from '../../services/resource/resource.ts'
import { addressFor } from '../../services/template/expand.ts'
import type { Addresses } from '../allocator/addresses.ts'
import { holderOf } from '../allocator/addresses.ts'
import { stateWord } from './words.ts'
import type { ClusterView } from './cluster-view.ts'
import { boundPorts, type NodeInfo } from './node-info.ts'
import { slotVolumes } from './volumes.ts'

/** One reason why a node may not take a task, tested for that task. */
export interface Filter {
  readonly name: string
  /** Undefined when the node passes, else the reason for this very node. */
  check(info: NodeInfo): string | undefined
  /** The reason in general, for so many nodes (row PL-15). */
  explain(count: number): string
  /** Set when the reason is the same everywhere: naming nodes would say nothing. */
  readonly everywhere?: boolean
}

/** The filters in the order they are asked (row PL-05); those that cannot refuse this task are left out. */
export function filtersFor(
  task: Task,
  view: ClusterView,
  addresses?: Addresses,
): readonly Filter[] {
  return [
    ready(),
    resources(task),
    plugins(task),
    constraints(task),
    platform(task),
    hostPorts(task),
    maxReplicas(task),
    fixedAddress(task, view),
    volumes(task, view),
    networks(task, view, addresses),
  ].filter(filter => filter !== undefined)
}

function nodes(count: number): string {
  return count === 1 ? '1 node' : `${count} nodes`
}

function ready(): Filter {
  return {
    name: 'ready',
    check(info) {
      if (info.isReady) return undefined
      const state = info.node.status?.state ?? NodeState.UNKNOWN
      if (state !== NodeState.NODE_READY) return `node is ${stateWord(state)}`
      return info.node.spec?.availability === NodeAvailability.DRAIN
        ? 'node is drained'
        : 'node is paused'
    },
    explain: count => `${nodes(count)} not available for new tasks`,
  }
}

/** Reservations against what assigned tasks leave over; limits do not matter (row PL-07). */
function resources(task: Task): Filter | undefined {
  const need = task.spec?.resources?.reservations
  if (!need || (need.nanoCpus === 0 && need.memoryBytes === 0 && need.generic.length === 0))
    return undefined
  return {
    name: 'resources',
    check(info) {
      const missing = lacking(need, info.available)
      if (missing.length === 0) return undefined
      const parts = missing.map(kind => {
        if (kind === 'cpu')
          return `cpu: needs ${need.nanoCpus / 1e9}, ${Math.max(0, info.available.nanoCpus) / 1e9} free`
        if (kind === 'memory')
          return `memory: needs ${mebibytes(need.memoryBytes)}, ${mebibytes(Math.max(0, info.available.memoryBytes))} free`
        return kind
      })
      return `insufficient ${parts.join('; ')}`
    },
    explain: count => `insufficient resources on ${nodes(count)}`,
  }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`
}

/** Volume and log drivers the engine must have (row PL-08). Networks are ours and need none. */
function plugins(task: Task): Filter | undefined {
  const wanted: { type: string; name: string }[] = []
  for (const mount of task.spec?.container?.mounts ?? [])
    if (
      mount.type === MountType.VOLUME &&
      mount.volumeDriver !== '' &&
      mount.volumeDriver !== 'local'
    )
      wanted.push({ type: 'Volume', name: mount.volumeDriver })
  const logDriver = task.spec?.logDriver?.name ?? ''
  if (logDriver !== '' && logDriver !== 'none') wanted.push({ type: 'Log', name: logDriver })
  if (wanted.length === 0) return undefined
  return {
    name: 'plugins',
    check(info) {
      const there = info.node.description?.engine?.plugins ?? []
      const missing = wanted.find(want =>
        // Engines before 1.30 do not list their log drivers: then the engine itself will say.
        there.some(plugin => plugin.type === want.type) || want.type === 'Volume'
          ? !there.some(p => p.type === want.type && bare(p.name) === bare(want.name))
          : false,
      )
      return missing && `${missing.type.toLowerCase()} driver ${missing.name} is not installed`
    },
    explain: count => `missing plugin on ${nodes(count)}`,
  }
}

function bare(plugin: string): string {
  return plugin.replace(/:latest$/, '')
}

function constraints(task: Task): Filter | undefined {
  const texts = task.spec?.placement?.constraints ?? []
  if (texts.length === 0) return undefined
  let parsed: readonly Constraint[] | undefined
  try {
    parsed = texts.map(parseConstraint)
  } catch {
    parsed = undefined
  }
  return {
    name: 'constraints',
    check(info) {
      if (!parsed) return 'a constraint cannot be read'
      const failed = parsed.filter(constraint => !matchesAll([constraint], info.node))
      return failed.length === 0 ? undefined : `${failed.map(c => c.text).join(', ')} does not hold`
    },
    explain: count => `scheduling constraints not satisfied on ${nodes(count)}`,
  }
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64' }

/** The image's platforms; an empty field stands for any (row PL-09). */
function platform(task: Task): Filter | undefined {
  const platforms = task.spec?.placement?.platforms ?? []
  if (platforms.length === 0) return undefined
  const normal = (architecture: string): string => ARCHITECTURES[architecture] ?? architecture
  return {
    name: 'platform',
    check(info) {
      const has = info.node.description?.platform
      const fits = platforms.some(
        want =>
          (want.os === '' || want.os === has?.os) &&
          (want.architecture === '' ||
            normal(want.architecture) === normal(has?.architecture ?? '')),
      )
      return fits
        ? undefined
        : `image is not made for ${has?.os ?? '?'}/${has?.architecture ?? '?'}`
    },
    explain: count => `unsupported platform on ${nodes(count)}`,
  }
}

/** Published ports the engine will bind, held until their task is seen stopped (row PL-10). */
function hostPorts(task: Task): Filter | undefined {
  const wanted = boundPorts(task)
  if (wanted.length === 0) return undefined
  return {
    name: 'host-port',
    check(info) {
      for (const key of wanted)
        for (const service of info.holdersOfPort(key)?.values() ?? [])
          return `port ${key} is in use by a task of ${service}`
      return undefined
    },
    explain: count => `host-mode port already in use on ${nodes(count)}`,
  }
}

/** Row PL-11: tasks meant to run count, so that a stop-first update frees the place at once. */
function maxReplicas(task: Task): Filter | undefined {
  const limit = task.spec?.placement?.maxReplicasPerNode ?? 0
  if (limit === 0) return undefined
  return {
    name: 'max-replicas',
    check(info) {
      const own = task.nodeId === info.node.id ? 1 : 0
      const count = info.activeOf(task.serviceId) - own
      return count < limit ? undefined : `runs ${count} of at most ${limit} tasks of the service`
    },
    explain: () => 'max replicas per node limit exceed',
  }
}

/** A fixed address belongs to its slot: nobody else may be alive on it, wherever they are. */
function fixedAddress(task: Task, view: ClusterView): Filter | undefined {
  const fixed = (task.spec?.networks ?? []).filter(wanted => {
    try {
      return addressFor(wanted, task.slot === 0 ? 1 : task.slot) !== undefined
    } catch {
      return false
    }
  })
  if (fixed.length === 0) return undefined
  const { group } = holderOf(task)
  const held = task.networks.flatMap(({ networkId, address }) => {
    const holder = view.addressHolder(networkId, address, group)
    return holder === undefined ? [] : [`address ${address} is held by ${holder}`]
  })[0]
  if (held === undefined) return undefined
  return { name: 'static-address', check: () => held, explain: () => held, everywhere: true }
}

/** A slot goes where its data is, or waits: it never starts on an empty volume unasked. */
function volumes(task: Task, view: ClusterView): Filter | undefined {
  const placed = slotVolumes(task).flatMap(volume => {
    const nodeId = volume.required ? view.volumeNode(volume.name, volume.owner) : undefined
    return nodeId === undefined ? [] : [{ ...volume, nodeId }]
  })
  const [first] = placed
  if (!first) return undefined
  const where = (volume: (typeof placed)[number]): string => {
    const home = view.nodes.get(volume.nodeId)
    const node = home ? `node ${home.hostname}` : `node ${volume.nodeId}`
    const state = home ? stateWord(home.node.status?.state ?? NodeState.UNKNOWN) : 'removed'
    const tail = home?.isReady
      ? ''
      : `, which is ${home?.node.status?.state === NodeState.NODE_READY ? 'not available' : state}`
    return `volume ${volume.name} of ${volume.owner} is on ${node}${tail}`
  }
  return {
    name: 'volume',
    check(info) {
      const elsewhere = placed.find(volume => volume.nodeId !== info.node.id)
      return elsewhere && where(elsewhere)
    },
    explain: () => where(first),
    everywhere: true,
  }
}

/** The task's networks can exist on the node: a free address for its gateway, no route of its own in the same place. */
function networks(task: Task, view: ClusterView, addresses?: Addresses): Filter | undefined {
  const wanted = task.networks.flatMap(({ networkId }) => view.networks.get(networkId) ?? [])
  if (wanted.length === 0) return undefined
  const refused = (info: NodeInfo): string | undefined => {
    for (const network of wanted) {
      const name = network.spec?.annotations?.name ?? network.id
      if (network.subnet === '') return `network ${name} has no subnet yet`
      const has = network.gateways.some(gateway => gateway.nodeId === info.node.id)
      if (!has && addresses?.pool(network.id)?.hasFree === false)
        return `network ${name} has no free address left for the node`
      const route = has ? undefined : clashingRoute(info, network.subnet)
      if (route !== undefined)
        return `network ${name} (${network.subnet}) overlaps the node's route ${route}`
    }
    return undefined
  }
  let shown = ''
  return {
    name: 'network',
    check(info) {
      const reason = refused(info)
      shown ||= reason ?? ''
      return reason
    },
    explain: count => `${shown} (${nodes(count)})`,
  }
}

function clashingRoute(info: NodeInfo, subnet: string): string | undefined {
  const own = parseCidr(subnet)
  return (info.node.description?.hostRoutes ?? []).find(route => {
    // The very subnet is the overlay itself, left over from before.
    if (route === subnet) return false
    try {
      const cidr = parseCidr(route)
      return cidr.prefix !== 0 && overlaps(cidr, own)
    } catch {
      return false
    }
  })
}
