// What the kernel has, read from the JSON of iproute2. Parsing is tolerant of fields that are missing (they differ between
// versions) and strict about the frame: output that is not JSON is an error, never "nothing there".
import { StatusError } from '../../runtime/errors.ts'

export interface VxlanState {
  readonly vni: number
  readonly local: string
  readonly port: number
  readonly learning: boolean
  readonly ttl: number
}

/** Flags of a device as a port of a bridge. */
export interface PortState {
  readonly learning: boolean
  readonly neighSuppress: boolean
  readonly hairpin: boolean
}

export interface LinkCounters {
  readonly receiveBytes: number
  readonly transmitBytes: number
  /** Errors and drops. */
  readonly receiveErrors: number
  readonly transmitErrors: number
}

export interface LinkState {
  readonly name: string
  /** `bridge`, `vxlan`, `veth` …; empty for hardware. */
  readonly kind: string
  readonly mac: string
  readonly up: boolean
  readonly mtu: number
  readonly master: string | undefined
  /** Of a bridge: whether its frames go through iptables. */
  readonly nfCallIptables: boolean
  readonly vxlan: VxlanState | undefined
  readonly port: PortState | undefined
  readonly counters: LinkCounters
}

export interface DeviceAddress {
  readonly address: string
  readonly prefix: number
}

/** Forwarding entries of one device that were programmed, not learned. */
export interface FdbState {
  /** VXLAN's own: MAC → nodes. More than one node only for the all-zero MAC. */
  readonly self: ReadonlyMap<string, readonly string[]>
  /** The bridge's, pointing at the device. */
  readonly master: ReadonlySet<string>
}

export interface Route {
  /** CIDR, or `default`. */
  readonly destination: string
  readonly device: string
}

export interface KernelState {
  readonly links: ReadonlyMap<string, LinkState>
  /** IPv4, by device. */
  readonly addresses: ReadonlyMap<string, readonly DeviceAddress[]>
  /** By device. */
  readonly fdb: ReadonlyMap<string, FdbState>
  /** Permanent IPv4 neighbours: device → address → MAC. */
  readonly neighbours: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** By key in dots, such as `net.ipv4.conf.ovb1001.rp_filter`. */
  readonly sysctls: ReadonlyMap<string, string>
}

type Json = Readonly<Record<string, unknown>>

/** `ip -j -d -s link show`. @throws StatusError Internal when `text` is not a JSON array of objects */
export function parseLinks(text: string): Map<string, LinkState> {
  const links = new Map<string, LinkState>()
  for (const row of rows(text, 'ip link')) {
    const link = parseLink(row)
    links.set(link.name, link)
  }
  return links
}

function parseLink(row: Json): LinkState {
  const info = object(row['linkinfo'])
  const kind = string(info['info_kind'])
  const data = object(info['info_data'])
  const slave = info['info_slave_kind'] === 'bridge' ? object(info['info_slave_data']) : undefined
  const master = string(row['master'])
  return {
    // A veth's peer in this namespace is shown as name@peer by some versions.
    name: string(row['ifname']).split('@')[0] ?? '',
    kind,
    mac: string(row['address']),
    up: array(row['flags']).includes('UP'),
    mtu: number(row['mtu']),
    master: master === '' ? undefined : master,
    nfCallIptables: kind === 'bridge' && number(data['nf_call_iptables']) === 1,
    vxlan: kind === 'vxlan' ? parseVxlan(data) : undefined,
    port: slave && {
      learning: slave['learning'] === true,
      neighSuppress: slave['neigh_suppress'] === true,
      hairpin: slave['hairpin'] === true,
    },
    counters: parseCounters(object(row['stats64'])),
  }
}

function parseVxlan(data: Json): VxlanState {
  return {
    vni: number(data['id']),
    local: string(data['local']),
    port: number(data['port']),
    learning: data['learning'] === true,
    ttl: number(data['ttl']),
  }
}

function parseCounters(stats: Json): LinkCounters {
  const [rx, tx] = [object(stats['rx']), object(stats['tx'])]
  return {
    receiveBytes: number(rx['bytes']),
    transmitBytes: number(tx['bytes']),
    receiveErrors: number(rx['errors']) + number(rx['dropped']),
    transmitErrors: number(tx['errors']) + number(tx['dropped']),
  }
}

/** `ip -j -4 addr show`. @throws StatusError Internal */
export function parseAddresses(text: string): Map<string, readonly DeviceAddress[]> {
  const addresses = new Map<string, readonly DeviceAddress[]>()
  for (const row of rows(text, 'ip addr')) {
    const found = array(row['addr_info'])
      .map(object)
      .filter(info => info['family'] === 'inet')
      .map(info => ({ address: string(info['local']), prefix: number(info['prefixlen']) }))
    if (found.length > 0) addresses.set(string(row['ifname']).split('@')[0] ?? '', found)
  }
  return addresses
}

/** `bridge -j fdb show`. Learned entries, and the ones every device has for itself, are left out. @throws StatusError Internal */
export function parseFdb(text: string): Map<string, FdbState> {
  const fdb = new Map<string, { self: Map<string, string[]>; master: Set<string> }>()
  for (const row of rows(text, 'bridge fdb')) {
    const [device, mac, dst, state] = ['ifname', 'mac', 'dst', 'state'].map(key => string(row[key]))
    if (!device || !mac) continue
    const own = fdb.get(device) ?? { self: new Map<string, string[]>(), master: new Set<string>() }
    fdb.set(device, own)
    if (dst && (state === 'static' || state === 'permanent'))
      own.self.set(mac, [...(own.self.get(mac) ?? []), dst])
    else if (!dst && row['master'] !== undefined && state === 'static') own.master.add(mac)
  }
  return fdb
}

/** `ip -j -4 neigh show nud permanent`. @throws StatusError Internal */
export function parseNeighbours(text: string): Map<string, ReadonlyMap<string, string>> {
  const neighbours = new Map<string, Map<string, string>>()
  for (const row of rows(text, 'ip neigh')) {
    const device = string(row['dev'])
    const address = string(row['dst'])
    if (address.includes(':') || !array(row['state']).includes('PERMANENT')) continue
    const entries = neighbours.get(device) ?? new Map<string, string>()
    neighbours.set(device, entries.set(address, string(row['lladdr'])))
  }
  return neighbours
}

/** `ip -j -4 route show`. @throws StatusError Internal */
export function parseRoutes(text: string): Route[] {
  return rows(text, 'ip route').map(row => {
    const destination = string(row['dst'])
    const bare = destination === 'default' || destination.includes('/')
    return {
      destination: bare ? destination : `${destination}/32`,
      device: string(row['dev']),
    }
  })
}

/** `sysctl key …`: lines of `key = value`. */
export function parseSysctls(text: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [key, value] = line.split(' = ')
    if (key && value !== undefined) values.set(key.trim(), value.trim())
  }
  return values
}

function rows(text: string, what: string): Json[] {
  // iproute2 prints nothing at all, instead of [], for some empty answers.
  if (text.trim() === '') return []
  try {
    const parsed: unknown = JSON.parse(text)
    if (Array.isArray(parsed)) return parsed.map(object).filter(row => Object.keys(row).length > 0)
  } catch (error) {
    throw new StatusError('Internal', `${what} printed what is not JSON: ${text.slice(0, 80)}`, {
      cause: error,
    })
  }
  throw new StatusError('Internal', `${what} printed no list: ${text.slice(0, 80)}`)
}

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function string(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
