import { EndpointState, type EndpointEntry, type NetworkTable } from '../../proto/index.ts'
import { StatusError, toStatusError } from '../../runtime/errors.ts'
import {
  contains,
  formatCidr,
  ipToNumber,
  macOf,
  numberToIp,
  parseCidr,
} from '../../services/net/ip.ts'
import type { NetworkState } from './types.ts'

// What the kernel should have on this node, as data. Everything that reaches a command line later is made from numbers
// here (addresses, MACs, VNIs), so no text of a user ever does.

/** UDP port of plain VXLAN; Swarm's 4789 stays free, so that both run on one host. */
export const VXLAN_PORT = 4790
/** Bytes that VXLAN over IPv4 adds to a frame: 14 Ethernet + 20 IP + 8 UDP + 8 VXLAN. */
export const VXLAN_OVERHEAD_BYTES = 50
export const BRIDGE_PREFIX = 'ovb'
export const VXLAN_PREFIX = 'ovx'

/** An address of the network that lives on another node. */
export interface Station {
  readonly address: string
  readonly mac: string
  /** Data-path address of the node that has it. */
  readonly via: string
}

/** One overlay on this node. */
export interface NetworkPlan {
  readonly id: string
  readonly name: string
  readonly vni: number
  readonly bridge: string
  readonly vxlan: string
  /** Canonical CIDR. */
  readonly subnet: string
  readonly prefix: number
  /** This node's address on the network. */
  readonly gateway: string
  readonly mac: string
  readonly mtu: number
  /** Underlay address that frames are sent from. */
  readonly local: string
  readonly port: number
  readonly internal: boolean
  /**
   * Whether services of the network have virtual addresses. Only then do bridged frames go through the host's packet
   * filter and may a container's frame come back to it; both cost something.
   */
  readonly balanced: boolean
  /** In order of address. */
  readonly stations: readonly Station[]
}

export interface Plan {
  /** In order of VNI. */
  readonly networks: readonly NetworkPlan[]
  /** Underlay addresses of the other nodes: the only ones that may send VXLAN here. */
  readonly peers: readonly string[]
  /** Networks this node must not program, and why. */
  readonly refused: ReadonlyMap<string, StatusError>
  /** What is missing but does not stop a network. */
  readonly warnings: readonly string[]
}

export function bridgeName(vni: number): string {
  return BRIDGE_PREFIX + vni.toString(16)
}

export function vxlanName(vni: number): string {
  return VXLAN_PREFIX + vni.toString(16)
}

/** Whether a network device is one that Skein makes. */
export function isOwnDevice(name: string): boolean {
  return /^ov[bx][0-9a-f]{1,6}$/.test(name)
}

/** This node's address on a network, or undefined while the managers have given none. */
export function gatewayOf(table: NetworkTable, nodeId: string): string | undefined {
  return table.gateways.find(gateway => gateway.nodeId === nodeId)?.address
}

/**
 * Plans every network that has a gateway for this node.
 * @param underlayMtu of the device that has the node's data-path address, in bytes
 */
export function planNetworks(state: NetworkState, underlayMtu: number): Plan {
  const networks: NetworkPlan[] = []
  const refused = new Map<string, StatusError>()
  const unknownPeers = new Set<string>()
  for (const table of state.networks.values()) {
    if (gatewayOf(table, state.nodeId) === undefined) continue
    try {
      networks.push(planNetwork(table, state, underlayMtu, unknownPeers))
    } catch (error) {
      const { code, message } = toStatusError(error)
      refused.set(
        table.networkId,
        new StatusError(code, `network ${table.name}: ${message}`, { cause: error }),
      )
    }
  }
  const peers = [...state.peers.values()].filter(peer => peer.nodeId !== state.nodeId)
  return {
    networks: networks.sort((a, b) => a.vni - b.vni),
    peers: [...new Set(peers.map(peer => canonical(peer.address)))].sort(),
    refused,
    warnings: [...unknownPeers].map(
      id => `node ${id} has no data-path address yet: its tasks cannot be reached`,
    ),
  }
}

function planNetwork(
  table: NetworkTable,
  state: NetworkState,
  underlayMtu: number,
  unknownPeers: Set<string>,
): NetworkPlan {
  const { vni } = table
  if (!Number.isInteger(vni) || vni < 1 || vni > 0xffffff)
    throw new StatusError('InvalidArgument', `VXLAN id ${vni} is outside 1 … 16777215`)
  if (table.encrypted)
    throw new StatusError(
      'FailedPrecondition',
      `encryption between nodes is not available here; traffic is not sent in the clear instead`,
    )
  const cidr = parseCidr(table.subnet)
  const gateway = canonical(gatewayOf(table, state.nodeId) ?? '')
  if (!contains(cidr, gateway))
    throw new StatusError('InvalidArgument', `gateway ${gateway} is outside subnet ${table.subnet}`)
  return {
    id: table.networkId,
    name: table.name,
    vni,
    bridge: bridgeName(vni),
    vxlan: vxlanName(vni),
    subnet: formatCidr(cidr),
    prefix: cidr.prefix,
    gateway,
    mac: macOf(gateway),
    mtu: table.mtu > 0 ? table.mtu : underlayMtu - VXLAN_OVERHEAD_BYTES,
    local: canonical(state.address),
    port: VXLAN_PORT,
    internal: table.internal,
    balanced: table.services.some(service => service.virtualIp !== ''),
    stations: stationsOf(table, state, unknownPeers),
  }
}

/** The other nodes' gateways and the tasks on them. */
function stationsOf(
  table: NetworkTable,
  state: NetworkState,
  unknownPeers: Set<string>,
): Station[] {
  const stations = new Map<number, Station>()
  const add = (address: string, mac: string, nodeId: string): void => {
    if (nodeId === state.nodeId) return
    const peer = state.peers.get(nodeId)
    if (peer === undefined || peer.address === '') {
      unknownPeers.add(nodeId)
      return
    }
    const value = ipToNumber(address)
    const own = MAC.test(mac) ? mac.toLowerCase() : macOf(value)
    stations.set(value, { address: numberToIp(value), mac: own, via: canonical(peer.address) })
  }
  for (const { nodeId, address } of table.gateways) add(address, '', nodeId)
  for (const entry of holders(table.endpoints)) add(entry.address, entry.mac, entry.nodeId)
  return [...stations].sort(([a], [b]) => a - b).map(([, station]) => station)
}

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i

/** One entry an address: while a fixed address moves, the task that goes and the one that comes both have it. */
function holders(entries: readonly EndpointEntry[]): Iterable<EndpointEntry> {
  const byAddress = new Map<string, EndpointEntry>()
  for (const entry of entries) {
    const other = byAddress.get(entry.address)
    if (other === undefined || claim(entry) >= claim(other)) byAddress.set(entry.address, entry)
  }
  return byAddress.values()
}

function claim(entry: EndpointEntry): number {
  if (entry.state === EndpointState.ENDPOINT_READY) return 2
  return entry.state === EndpointState.ENDPOINT_STARTING ? 1 : 0
}

function canonical(address: string): string {
  return numberToIp(ipToNumber(address))
}
