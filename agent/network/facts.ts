import { readDevices, readRoutes } from './apply.ts'
import type { Commands } from './commands.ts'
import { hostRoutes, underlayMtu } from './host.ts'

/** What the managers must know of a host's network to give its overlays subnets and an MTU. */
export interface HostFacts {
  /** Bytes. */
  readonly underlayMtu: number
  /** CIDRs that no overlay may overlap. */
  readonly hostRoutes: readonly string[]
}

/**
 * For the node's description.
 * @param address the node's data-path address
 * @throws StatusError FailedPrecondition when no device has the address; others when the tools fail
 */
export async function readHostFacts(commands: Commands, address: string): Promise<HostFacts> {
  const devices = await readDevices(commands)
  const routes = hostRoutes(await readRoutes(commands))
  return {
    underlayMtu: underlayMtu(devices, address),
    hostRoutes: [...new Set(routes.map(route => route.destination))].sort(),
  }
}
