import { StatusError } from '../../runtime/errors.ts'
import { overlaps, parseCidr } from '../../services/net/ip.ts'
import type { DeviceAddress, LinkState, Route } from './kernel.ts'
import { isOwnDevice, type NetworkPlan } from './plan.ts'

// What the host was before Skein came: its routes and the device that carries the overlays.

interface HostLinks {
  readonly links: ReadonlyMap<string, LinkState>
  readonly addresses: ReadonlyMap<string, readonly DeviceAddress[]>
}

/**
 * MTU in bytes of the device that has the node's data-path address.
 * @throws StatusError FailedPrecondition when no device of the host has it
 */
export function underlayMtu({ links, addresses }: HostLinks, address: string): number {
  for (const [device, found] of addresses) {
    const link = links.get(device)
    if (link !== undefined && found.some(a => a.address === address)) return link.mtu
  }
  throw new StatusError(
    'FailedPrecondition',
    `data-path address ${address} is on no device of this host; set the node's data-path address to one that is`,
  )
}

/** The host's routes that are not Skein's, without defaults. */
export function hostRoutes(routes: readonly Route[]): Route[] {
  return routes.filter(
    ({ destination, device }) => destination !== 'default' && !isOwnDevice(device),
  )
}

/**
 * Docker does not check a subnet against the host's routes and would cut the host off; so this does.
 * @returns FailedPrecondition when the network must not be made here
 */
export function overlapError(
  network: NetworkPlan,
  routes: readonly Route[],
  nodeName: string,
): StatusError | undefined {
  const subnet = parseCidr(network.subnet)
  const clash = hostRoutes(routes).find(({ destination }) =>
    overlaps(subnet, parseCidr(destination)),
  )
  if (clash === undefined) return undefined
  return new StatusError(
    'FailedPrecondition',
    `network ${network.name}: subnet ${network.subnet} overlaps host route ${clash.destination} dev ${clash.device} on node ${nodeName}`,
  )
}
