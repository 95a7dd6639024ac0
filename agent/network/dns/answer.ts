import { EndpointState, type EndpointEntry, type NetworkTable } from '../../../proto/index.ts'
import type { Random } from '../../../runtime/random.ts'
import {
  contains,
  ipToNumber,
  parseCidr,
  tryIpToNumber,
  type Cidr,
} from '../../../services/net/ip.ts'
import { shuffled } from './shuffle.ts'

// Which answer a question gets. It depends on who asks: a task sees the names of its own networks and no others.

/** What is known of names on this node. Built once a state (`nameTables`), read at every question. */
export interface NameTables {
  readonly nodeId: string
  readonly networks: readonly NetworkNames[]
  /** Endpoint address → its task; addresses are unique in the cluster. */
  readonly askers: ReadonlyMap<string, Asker>
  /** This node's gateways: the host itself asks from these. */
  readonly gateways: ReadonlySet<string>
}

interface Asker {
  readonly networkIds: ReadonlySet<string>
  /** Its node knows all its networks; this one may know only some. */
  readonly local: boolean
}

interface NetworkNames {
  readonly id: string
  readonly name: string
  readonly cidr: Cidr
  /** Lower-case service names and aliases → addresses. */
  readonly services: ReadonlyMap<string, ServiceNames>
  /** Lower-case names of single tasks → addresses. */
  readonly tasks: ReadonlyMap<string, readonly string[]>
  /** Address → name, for PTR. */
  readonly reverse: ReadonlyMap<string, string>
}

interface ServiceNames {
  /** What the bare name gives: the virtual address, or the ready tasks. */
  readonly addresses: readonly string[]
  /** What `tasks.<name>` gives. */
  readonly ready: readonly string[]
}

export interface Question {
  readonly name: string
  /** `A`, `AAAA`, `PTR` … */
  readonly type: string
}

export type Answer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  | { readonly kind: 'pointer'; readonly name: string }
  /** The name exists, this kind of record does not. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'nxdomain' }
  /** Not ours: ask the host's resolvers. */
  | { readonly kind: 'forward' }
  /** This node cannot tell; another can. */
  | { readonly kind: 'servfail' }
  /** The asker is none of ours. */
  | { readonly kind: 'refused' }

export function nameTables(nodeId: string, tables: Iterable<NetworkTable>): NameTables {
  const networks: NetworkNames[] = []
  const askers = new Map<string, Asker>()
  const gateways = new Set<string>()
  const networksByTask = new Map<string, Set<string>>()
  for (const table of tables) {
    const cidr = tryCidr(table.subnet)
    if (cidr === undefined) continue
    networks.push(networkNames(table, cidr))
    for (const gateway of table.gateways)
      if (gateway.nodeId === nodeId) gateways.add(gateway.address)
    for (const entry of table.endpoints) {
      const networkIds = networksByTask.get(entry.taskId) ?? new Set()
      networksByTask.set(entry.taskId, networkIds.add(table.networkId))
      askers.set(entry.address, { networkIds, local: entry.nodeId === nodeId })
    }
  }
  return { nodeId, networks, askers, gateways }
}

/** A table with a broken subnet is refused by the plan; here it must not take the other networks' names along. */
function tryCidr(subnet: string): Cidr | undefined {
  try {
    return parseCidr(subnet)
  } catch {
    return undefined
  }
}

function networkNames(table: NetworkTable, cidr: Cidr): NetworkNames {
  const services = new Map<string, ServiceNames>()
  const tasks = new Map<string, string[]>()
  const reverse = new Map<string, string>()
  const readyByService = new Map<string, string[]>()
  const readyByAlias = new Map<string, string[]>()
  const virtualIps = new Map(table.services.map(s => [s.serviceId, s.virtualIp]))
  for (const entry of table.endpoints) {
    for (const name of entry.names) push(tasks, name.toLowerCase(), entry.address)
    const first = entry.names[0]
    if (first !== undefined) reverse.set(entry.address, `${first}.${table.name}`)
    if (isReady(entry)) push(readyByService, entry.serviceId, entry.address)
    for (const alias of entry.aliases) {
      const key = alias.toLowerCase()
      const ready = readyByAlias.get(key) ?? []
      readyByAlias.set(key, ready)
      if (isReady(entry)) ready.push(entry.address)
    }
  }
  for (const entry of table.endpoints) {
    for (const alias of entry.aliases) {
      const key = alias.toLowerCase()
      const ready = readyByAlias.get(key) ?? []
      const virtualIp = virtualIps.get(entry.serviceId) ?? ''
      const before = services.get(key)?.addresses ?? []
      const own = virtualIp === '' ? ready : [virtualIp]
      services.set(key, { addresses: [...new Set([...before, ...own])], ready })
    }
  }
  for (const { serviceId, name, virtualIp } of table.services) {
    const ready = readyByService.get(serviceId) ?? []
    services.set(name.toLowerCase(), { addresses: virtualIp === '' ? ready : [virtualIp], ready })
    if (virtualIp !== '') reverse.set(virtualIp, `${name}.${table.name}`)
  }
  return { id: table.networkId, name: table.name.toLowerCase(), cidr, services, tasks, reverse }
}

function isReady(entry: EndpointEntry): boolean {
  return entry.state === EndpointState.ENDPOINT_READY
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else if (!values.includes(value)) values.push(value)
}

/**
 * The answer to `question` from `source`, an address in dots. Swarm's names: `service`, `tasks.service`, aliases, container
 * names, host names; `service.slot`; each also as `name.network`.
 */
export function answer(
  question: Question,
  source: string,
  tables: NameTables,
  random: Random,
): Answer {
  const scope = scopeOf(source, tables)
  if (scope === undefined) return { kind: 'refused' }
  const name = question.name.toLowerCase().replace(/\.$/, '')
  if (question.type === 'PTR') return pointer(name, scope)
  const found = lookup(name, scope.networks)
  if (found !== undefined) {
    if (question.type !== 'A' && question.type !== 'ANY') return { kind: 'empty' }
    return found.length === 0
      ? { kind: 'empty' }
      : { kind: 'addresses', addresses: shuffled(found, random) }
  }
  if (name.includes('.')) return { kind: 'forward' }
  return { kind: scope.complete ? 'nxdomain' : 'servfail' }
}

interface Scope {
  readonly networks: readonly NetworkNames[]
  /** Whether this node knows every network of the asker, so that "no such name" is the truth. */
  readonly complete: boolean
}

function scopeOf(source: string, tables: NameTables): Scope | undefined {
  const asker = tables.askers.get(source)
  if (asker !== undefined) {
    const networks = tables.networks.filter(network => asker.networkIds.has(network.id))
    return { networks, complete: asker.local }
  }
  if (tables.gateways.has(source)) return { networks: tables.networks, complete: true }
  if (tryIpToNumber(source) === undefined) return undefined
  // A container that is on the network but not in the table (yet) sees that network.
  const networks = tables.networks.filter(network => contains(network.cidr, source))
  return networks.length === 0 ? undefined : { networks, complete: false }
}

/** @returns addresses; empty when the name is known and has none now; undefined when it is not known */
function lookup(name: string, networks: readonly NetworkNames[]): readonly string[] | undefined {
  const whole = lookupIn(name, networks)
  if (whole !== undefined) return whole
  for (const network of networks) {
    if (!name.endsWith(`.${network.name}`)) continue
    const found = lookupIn(name.slice(0, -network.name.length - 1), [network])
    if (found !== undefined) return found
  }
  return undefined
}

function lookupIn(name: string, networks: readonly NetworkNames[]): readonly string[] | undefined {
  const services = networks.flatMap(network => {
    const service = network.services.get(name)
    return service === undefined ? [] : [service.addresses]
  })
  if (services.length > 0) return [...new Set(services.flat())]
  if (name.startsWith('tasks.')) {
    const ready = networks.flatMap(network => {
      const service = network.services.get(name.slice('tasks.'.length))
      return service === undefined ? [] : [service.ready]
    })
    if (ready.length > 0) return [...new Set(ready.flat())]
  }
  const tasks = networks.flatMap(network => network.tasks.get(name) ?? [])
  return tasks.length > 0 ? [...new Set(tasks)] : undefined
}

function pointer(name: string, scope: Scope): Answer {
  const digits = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(name)
  if (digits === null) return { kind: 'forward' }
  const address = digits.slice(1).reverse().join('.')
  if (tryIpToNumber(address) === undefined) return { kind: 'nxdomain' }
  for (const network of scope.networks) {
    const found = network.reverse.get(address)
    if (found !== undefined) return { kind: 'pointer', name: found }
    if (contains(network.cidr, ipToNumber(address)))
      return { kind: scope.complete ? 'nxdomain' : 'servfail' }
  }
  return { kind: 'forward' }
}
