import type { FdbState, KernelState, LinkState } from './kernel.ts'
import { isOwnDevice, type NetworkPlan } from './plan.ts'

// The difference between what the kernel has and what it should have, as lines for `ip -batch` and `bridge -batch`. Every
// property is compared on every pass: a VXLAN device that exists but lost one flag looks fine and carries nothing.

const VXLAN_TTL = 64
const NO_FDB: FdbState = { self: new Map(), master: new Set() }

/** A line of a batch, and the network it serves (empty: clean-up), so that a failure can be laid at its door. */
export interface Line {
  readonly networkId: string
  readonly text: string
}

export interface Sysctl {
  readonly networkId: string
  readonly key: string
  readonly value: string
}

/** To be run in this order. */
export interface KernelChanges {
  readonly ip: readonly Line[]
  readonly bridge: readonly Line[]
  readonly sysctls: readonly Sysctl[]
}

export function changeCount(changes: KernelChanges): number {
  return changes.ip.length + changes.bridge.length + changes.sysctls.length
}

/** The kernel settings that networks need, whether or not they are right already. */
export function wantedSysctls(networks: readonly NetworkPlan[]): Sysctl[] {
  const own = networks.flatMap(({ id, bridge }) =>
    [
      // Published ports answer on 127.0.0.1 too; the guard chain keeps others from using that.
      ['route_localnet', '1'],
      // Strict filtering breaks tasks on two networks.
      ['rp_filter', '2'],
      ['send_redirects', '0'],
    ].map(([name = '', value = '']) => ({
      networkId: id,
      key: `net.ipv4.conf.${bridge}.${name}`,
      value,
    })),
  )
  if (networks.length === 0) return own
  return [{ networkId: '', key: 'net.ipv4.ip_forward', value: '1' }, ...own]
}

/**
 * What must change so that the kernel has `networks` and no other overlay.
 * @param held devices of networks that left but whose containers still run: left as they are
 */
export function diffKernel(
  have: KernelState,
  networks: readonly NetworkPlan[],
  held: ReadonlySet<string> = new Set(),
): KernelChanges {
  const ip: Line[] = []
  const bridge: Line[] = []
  const wanted = new Set(networks.flatMap(network => [network.bridge, network.vxlan]))
  for (const name of have.links.keys())
    if (isOwnDevice(name) && !wanted.has(name) && !held.has(name))
      ip.push({ networkId: '', text: `link del ${name}` })
  for (const network of networks) {
    const diff = diffNetwork(have, network)
    ip.push(...diff.ip.map(text => ({ networkId: network.id, text })))
    bridge.push(...diff.bridge.map(text => ({ networkId: network.id, text })))
  }
  const sysctls = wantedSysctls(networks).filter(
    ({ key, value }) => have.sysctls.get(key) !== value,
  )
  return { ip, bridge, sysctls }
}

interface Batches {
  readonly ip: string[]
  readonly bridge: string[]
}

function diffNetwork(have: KernelState, want: NetworkPlan): Batches {
  const out: Batches = { ip: [], bridge: [] }
  const bridge = diffBridge(have, want, out)
  const vxlan = diffVxlan(have, want, out)
  diffStations(have, want, bridge !== undefined, vxlan !== undefined, out)
  if (want.balanced)
    for (const link of have.links.values())
      if (link.master === want.bridge && link.name !== want.vxlan && link.port?.hairpin !== true)
        out.bridge.push(`link set dev ${link.name} hairpin on`)
  return out
}

/** @returns the bridge that stays, undefined when it is made anew */
function diffBridge(have: KernelState, want: NetworkPlan, { ip }: Batches): LinkState | undefined {
  const name = want.bridge
  let link = have.links.get(name)
  if (link !== undefined && link.kind !== 'bridge') {
    ip.push(`link del ${name}`)
    link = undefined
  }
  if (link === undefined) ip.push(`link add ${name} type bridge`)
  if (link?.mac !== want.mac) ip.push(`link set ${name} address ${want.mac}`)
  if (link === undefined || link.nfCallIptables !== want.balanced)
    ip.push(`link set ${name} type bridge nf_call_iptables ${want.balanced ? 1 : 0}`)
  if (link?.mtu !== want.mtu) ip.push(`link set ${name} mtu ${want.mtu}`)
  if (link?.up !== true) ip.push(`link set ${name} up`)
  const addresses = link === undefined ? [] : (have.addresses.get(name) ?? [])
  for (const { address, prefix } of addresses)
    if (address !== want.gateway || prefix !== want.prefix)
      ip.push(`addr del ${address}/${prefix} dev ${name}`)
  if (!addresses.some(a => a.address === want.gateway && a.prefix === want.prefix))
    ip.push(`addr replace ${want.gateway}/${want.prefix} brd + dev ${name}`)
  return link
}

/** @returns the VXLAN device that stays, undefined when it is made anew */
function diffVxlan(have: KernelState, want: NetworkPlan, out: Batches): LinkState | undefined {
  const name = want.vxlan
  let link = have.links.get(name)
  if (link !== undefined && !isSameTunnel(link, want)) {
    // id, local address and port are fixed when the device is made.
    out.ip.push(`link del ${name}`)
    link = undefined
  }
  if (link === undefined)
    out.ip.push(
      `link add ${name} type vxlan id ${want.vni} local ${want.local} dstport ${want.port} nolearning ttl ${VXLAN_TTL}`,
    )
  if (link?.mtu !== want.mtu) out.ip.push(`link set ${name} mtu ${want.mtu}`)
  if (link?.master !== want.bridge) out.ip.push(`link set ${name} master ${want.bridge}`)
  if (link?.up !== true) out.ip.push(`link set ${name} up`)
  const port = link?.master === want.bridge ? link.port : undefined
  if (port === undefined || port.learning || !port.neighSuppress)
    out.bridge.push(`link set dev ${name} learning off neigh_suppress on`)
  return link
}

function isSameTunnel({ vxlan }: LinkState, want: NetworkPlan): boolean {
  return (
    vxlan !== undefined &&
    vxlan.vni === want.vni &&
    vxlan.local === want.local &&
    vxlan.port === want.port &&
    vxlan.ttl === VXLAN_TTL &&
    !vxlan.learning
  )
}

/**
 * Static forwarding and neighbour entries. Nothing is learned and nothing flooded, so one that is missing is silence, and
 * one too many sends frames to a node that no longer has the task.
 */
function diffStations(
  have: KernelState,
  want: NetworkPlan,
  bridgeStays: boolean,
  vxlanStays: boolean,
  out: Batches,
): void {
  const { bridge, vxlan, stations } = want
  const fdb = vxlanStays ? (have.fdb.get(vxlan) ?? NO_FDB) : NO_FDB
  const inBridge = bridgeStays && have.links.get(vxlan)?.master === bridge
  const master = inBridge ? fdb.master : NO_FDB.master
  const viaByMac = new Map(stations.map(({ mac, via }) => [mac, via]))
  for (const [mac, nodes] of fdb.self)
    for (const node of nodes)
      if (!viaByMac.has(mac)) out.bridge.push(`fdb del ${mac} dev ${vxlan} dst ${node} self`)
  for (const mac of master)
    if (!viaByMac.has(mac)) out.bridge.push(`fdb del ${mac} dev ${vxlan} master`)
  for (const [mac, via] of viaByMac) {
    const nodes = fdb.self.get(mac) ?? []
    if (nodes.length !== 1 || nodes[0] !== via)
      out.bridge.push(`fdb replace ${mac} dev ${vxlan} dst ${via} self static`)
    if (!master.has(mac)) out.bridge.push(`fdb replace ${mac} dev ${vxlan} master static`)
  }
  const neighbours = bridgeStays
    ? (have.neighbours.get(bridge) ?? new Map<string, string>())
    : new Map<string, string>()
  const macByAddress = new Map(stations.map(({ address, mac }) => [address, mac]))
  for (const address of neighbours.keys())
    if (!macByAddress.has(address)) out.ip.push(`neigh del ${address} dev ${bridge}`)
  for (const [address, mac] of macByAddress)
    if (neighbours.get(address) !== mac)
      out.ip.push(`neigh replace ${address} lladdr ${mac} dev ${bridge} nud permanent`)
}
