import type { NetworkSpecInit, ServiceSpecInit } from '../../proto/index.ts'
import { isTemplate } from '../template/parser.ts'
import type { Reader } from './reader.ts'
import { type Context, type Declared, STACK_LABEL } from './stack.ts'

type Attachment = NonNullable<NonNullable<ServiceSpecInit['task']>['networks']>[number]

/** The network of services that name none (row ST-06). */
export const DEFAULT_NETWORK = 'default'

/** `name:` and `external:` of anything at the top level: the name in the cluster (row ST-04). */
export function readIdentity(
  key: string,
  reader: Reader,
  stack: string,
): { readonly name: string; readonly external: boolean } {
  const external = reader.get('external')
  const ownName = reader.get('name')?.text()
  if (external?.isMap === true) {
    const inner = external.only(['name']).get('name')?.text()
    return { name: inner ?? ownName ?? key, external: true }
  }
  const isExternal = external?.boolean() ?? false
  return { name: ownName ?? (isExternal ? key : `${stack}_${key}`), external: isExternal }
}

/** Refuses what an external object cannot be told. */
export function onlyIdentity(reader: Reader): void {
  for (const [key] of reader.entries())
    if (key !== 'name' && key !== 'external' && !key.startsWith('x-'))
      reader.fail(`"${key}" has no effect on what is external; remove it`)
}

/** Top-level `networks:` (row ST-34); `default` is added when the file does not speak of it. */
export function readNetworks(
  reader: Reader | undefined,
  stack: string,
): ReadonlyMap<string, Declared<NetworkSpecInit>> {
  const networks = new Map<string, Declared<NetworkSpecInit>>()
  for (const [key, value] of reader?.entries() ?? [])
    networks.set(key, readNetwork(key, value, stack))
  if (!networks.has(DEFAULT_NETWORK))
    networks.set(DEFAULT_NETWORK, plainNetwork(`${stack}_${DEFAULT_NETWORK}`, stack))
  return networks
}

function plainNetwork(name: string, stack: string): Declared<NetworkSpecInit> {
  const annotations = { name, labels: { [STACK_LABEL]: stack } }
  return { name, external: false, spec: { annotations, driver: 'overlay' } }
}

function readNetwork(key: string, reader: Reader, stack: string): Declared<NetworkSpecInit> {
  reader.only(
    'driver driver_opts ipam internal attachable external name labels enable_ipv6 enable_ipv4'.split(
      ' ',
    ),
  )
  const { name, external } = readIdentity(key, reader, stack)
  if (external) {
    onlyIdentity(reader)
    return { name, external }
  }
  const options = { ...reader.get('driver_opts')?.texts() }
  const encrypted = Object.hasOwn(options, 'encrypted') && options['encrypted'] !== 'false'
  delete options['encrypted']
  const spec: NetworkSpecInit = {
    annotations: { name, labels: { ...reader.get('labels')?.texts(), [STACK_LABEL]: stack } },
    driver: reader.get('driver')?.choice({ overlay: 'overlay', bridge: 'overlay' }) ?? 'overlay',
    internal: reader.get('internal')?.boolean() ?? false,
    attachable: reader.get('attachable')?.boolean() ?? false,
    encrypted,
    ipv6: reader.get('enable_ipv6')?.boolean() ?? false,
    ipam: readIpam(reader.get('ipam')),
    driverOptions: options,
  }
  if (reader.get('enable_ipv4')?.boolean() === false)
    reader.fail('IPv4 cannot be disabled in a network of the cluster')
  return { name, external, spec }
}

function readIpam(reader: Reader | undefined): NonNullable<NetworkSpecInit['ipam']> {
  if (reader === undefined) return []
  reader.only(['driver', 'config'])
  reader.get('driver')?.choice({ default: true })
  return (reader.get('config')?.items() ?? []).map(item => {
    item.only(['subnet', 'gateway', 'ip_range', 'aux_addresses'])
    return {
      subnet: item.get('subnet')?.text() ?? '',
      gateway: item.get('gateway')?.text() ?? '',
      range: item.get('ip_range')?.text() ?? '',
      reserved: item.get('aux_addresses')?.texts() ?? {},
    }
  })
}

/** `x-skein: addresses:`: a list by slot, or one template for every slot. */
export function readAddresses(reader: Reader | undefined): ReadonlyMap<string, Reader> {
  return new Map(reader?.entries() ?? [])
}

/** `networks:` of a service, sorted by name; every network knows the service by its short name (row ST-06). */
export function readAttachments(
  name: string,
  service: Reader,
  addresses: ReadonlyMap<string, Reader>,
  replicas: number | undefined,
  context: Context,
): readonly Attachment[] {
  const reader = service.get('networks')
  if (service.get('network_mode') !== undefined) {
    if (reader !== undefined) reader.fail('give networks or network_mode, not both')
    return []
  }
  const named: readonly (readonly [string, Reader, Reader | undefined])[] =
    reader === undefined
      ? [[DEFAULT_NETWORK, service, undefined]]
      : reader.isList
        ? reader.items().map(item => [item.text(), item, undefined] as const)
        : reader.entries().map(([key, value]) => [key, value, value] as const)
  for (const [key, value] of addresses)
    if (!named.some(([network]) => network === key))
      value.fail(`the service is not on network "${key}"`)
  return named
    .map(([key, at, settings]) => {
      const network = context.networks.get(key)
      if (network === undefined)
        return at.fail(`network "${key}" is not declared under the top-level networks:`)
      settings?.only(['aliases', 'ipv4_address', 'driver_opts'], {
        ipv6_address: 'overlay networks carry IPv4 only',
        priority: 'has no effect here; remove it',
        link_local_ips: 'has no effect here; remove it',
      })
      const aliases =
        settings
          ?.get('aliases')
          ?.items()
          .map(item => item.text()) ?? []
      return {
        target: network.name,
        aliases: [...new Set([name, ...aliases])],
        driverOptions: settings?.get('driver_opts')?.texts() ?? {},
        addresses: addressesOf(settings?.get('ipv4_address'), addresses.get(key), replicas),
      }
    })
    .toSorted((a, b) => (a.target < b.target ? -1 : 1))
}

function addressesOf(
  single: Reader | undefined,
  bySlot: Reader | undefined,
  replicas: number | undefined,
): readonly string[] {
  if (single !== undefined && bySlot !== undefined)
    return bySlot.fail('give ipv4_address or x-skein.addresses, not both')
  if (bySlot !== undefined)
    return bySlot.isList
      ? bySlot.items().map(item => (item.isNull ? '' : item.text()))
      : [bySlot.text()]
  if (single === undefined) return []
  const text = single.text()
  if (replicas !== 1 && !isTemplate(text))
    return single.fail(
      `one address cannot serve ${replicas ?? 'any number of'} replicas; use x-skein.addresses, one a slot`,
    )
  return [text]
}
