import { StatusError } from '../../runtime/errors.ts'
import {
  type Endpoint,
  type Port,
  PortProtocol,
  PublishMode,
  type ServiceSpec,
} from '../../proto/index.ts'
import type { ReadTx } from '../state/store/types.ts'

/** Where ports come from that the user left to the cluster (row AL-09). */
export const DYNAMIC_PORT_MIN = 30_000
export const DYNAMIC_PORT_MAX = 32_767

const PROTOCOLS = {
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
}

/** `8080/tcp`. Two published ports clash when these are equal. */
export function portKey(port: Port): string {
  return `${port.published}/${PROTOCOLS[port.protocol]}`
}

/**
 * Why `spec` cannot be published beside the other services, or undefined (row SV-16). A port of the whole cluster
 * clashes with any other service's; two host-mode ones are kept apart by the scheduler instead.
 *
 * @param serviceId the service itself when it is updated; '' for a new one
 */
export function findPortConflict(
  tx: ReadTx,
  spec: ServiceSpec,
  serviceId: string,
): string | undefined {
  const own = new Map<string, Port>()
  for (const port of spec.endpoint?.ports ?? []) {
    if (port.published === 0) continue
    if (own.has(portKey(port))) return `port '${port.published}' is published twice`
    own.set(portKey(port), port)
  }
  if (own.size === 0) return undefined
  for (const other of tx.list('service')) {
    if (other.id === serviceId) continue
    for (const port of portsOf(other.endpoint, other.spec)) {
      const mine = own.get(portKey(port))
      if (!mine || port.published === 0) continue
      if (mine.mode === PublishMode.HOST && port.mode === PublishMode.HOST) continue
      const name = other.spec?.annotations?.name ?? ''
      const mode = port.mode === PublishMode.HOST ? 'a host-published' : 'an ingress'
      return `port '${port.published}' is already in use by service '${name}' (${other.id}) as ${mode} port`
    }
  }
  return undefined
}

/** The ports a service has: what it was given, and what its spec asks for beyond that. */
function portsOf(endpoint: Endpoint | null, spec: ServiceSpec | null): readonly Port[] {
  return [...(endpoint?.ports ?? []), ...(spec?.endpoint?.ports ?? [])]
}

/**
 * A service's ports with those chosen that were left to the cluster. What it was given before stays (row AL-09); host
 * ports left open are the engine's to choose (row AL-10).
 *
 * @param taken keys of the ports other services have
 * @throws StatusError ResourceExhausted when the range is used up
 */
export function resolvePorts(
  wanted: readonly Port[],
  before: readonly Port[],
  taken: ReadonlySet<string>,
): readonly Port[] {
  const own = new Set(wanted.filter(port => port.published !== 0).map(portKey))
  const isFree = (port: Port): boolean => !taken.has(portKey(port)) && !own.has(portKey(port))
  return wanted.map(port => {
    if (port.published !== 0 || port.mode === PublishMode.HOST) return port
    const sticky = before.find(
      old =>
        old.target === port.target &&
        old.protocol === port.protocol &&
        old.published >= DYNAMIC_PORT_MIN &&
        old.published <= DYNAMIC_PORT_MAX &&
        isFree(old),
    )
    const chosen = { ...port, published: sticky?.published ?? lowestFree(port, isFree) }
    own.add(portKey(chosen))
    return chosen
  })
}

function lowestFree(port: Port, isFree: (port: Port) => boolean): number {
  for (let published = DYNAMIC_PORT_MIN; published <= DYNAMIC_PORT_MAX; published++)
    if (isFree({ ...port, published })) return published
  throw new StatusError(
    'ResourceExhausted',
    `no free port between ${DYNAMIC_PORT_MIN} and ${DYNAMIC_PORT_MAX}`,
  )
}
