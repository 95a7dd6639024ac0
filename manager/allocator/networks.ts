import type { Cluster, Network } from '../../proto/index.ts'
import { parseCidr } from '../../services/net/ip.ts'
import { messageOf, StatusError } from '../../runtime/errors.ts'
import type { ReadTx, Tx } from '../state/store/types.ts'
import {
  collision,
  cutSubnet,
  DEFAULT_POOLS,
  DEFAULT_SUBNET_SIZE,
  type Taken,
  takenByRoute,
} from './subnet.ts'
import { takeVni } from './vni.ts'

/** Whether the network is one this allocator gives a subnet and an id to. */
export function isOverlay(network: Network): boolean {
  const driver = network.spec?.driver ?? ''
  return driver === '' || driver === 'overlay'
}

export function isAllocated(network: Network): boolean {
  return network.vni !== 0 && network.subnet !== ''
}

/**
 * Gives every overlay network that lacks them its VXLAN id and subnet (rows AL-02 … AL-04); what stands in the way goes
 * into the network's `blocked_by`. Answers how many still wait.
 */
export function allocateNetworks(tx: Tx): number {
  let waiting = 0
  for (const network of tx.list('network')) {
    if (!isOverlay(network) || isAllocated(network)) continue
    try {
      allocate(tx, network)
    } catch (error) {
      waiting += 1
      const blockedBy = messageOf(error)
      if (network.blockedBy !== blockedBy) tx.update('network', { ...network, blockedBy })
    }
  }
  return waiting
}

function allocate(tx: Tx, network: Network): void {
  const cluster = tx.cluster()
  const used = new Set(tx.list('network').map(other => other.vni))
  const taken = takeVni(cluster.nextVni, used)
  if (!taken) throw new StatusError('ResourceExhausted', 'no VXLAN id is free')
  const subnet = chooseSubnet(tx, cluster, network)
  const gateway = network.gateway || (network.spec?.ipam[0]?.gateway ?? '')
  tx.update('network', { ...network, vni: taken.vni, subnet, gateway, blockedBy: '' })
  tx.update('cluster', { ...cluster, nextVni: taken.next })
}

/** @throws StatusError naming what the wished subnet overlaps, or that the pools are used up */
function chooseSubnet(tx: ReadTx, cluster: Cluster, network: Network): string {
  const name = network.spec?.annotations?.name ?? network.id
  const taken = takenSubnets(tx, network.id)
  const wished = network.subnet || (network.spec?.ipam[0]?.subnet ?? '')
  if (wished !== '') {
    const inTheWay = collision(wished, taken)
    if (inTheWay === undefined) return wished
    throw new StatusError(
      'FailedPrecondition',
      `network ${name}: subnet ${wished} overlaps ${inTheWay}; choose another with --subnet`,
    )
  }
  const spec = cluster.spec
  const pools = spec?.defaultAddressPools.length ? spec.defaultAddressPools : DEFAULT_POOLS
  const subnet = cutSubnet(pools, spec?.defaultSubnetSize || DEFAULT_SUBNET_SIZE, taken)
  if (subnet !== undefined) return subnet
  throw new StatusError(
    'ResourceExhausted',
    `network ${name}: no free subnet in ${pools.join(', ')}; remove networks or give one with --subnet`,
  )
}

/** Subnets of other networks, and what nodes have in their routing tables (an overlay there would cut the node off). */
function takenSubnets(tx: ReadTx, exceptId: string): readonly Taken[] {
  const networks = tx.list('network').filter(other => other.id !== exceptId && other.subnet !== '')
  const own = new Set(networks.map(other => other.subnet))
  const routes = tx.list('node').flatMap(node =>
    (node.description?.hostRoutes ?? [])
      // A route to one of our own overlays is there because of it.
      .filter(route => !own.has(route))
      .flatMap(route => takenByRoute(route, node.description?.hostname ?? node.id) ?? []),
  )
  return [
    ...networks.map(other => ({
      cidr: parseCidr(other.subnet),
      what: `network ${other.spec?.annotations?.name ?? other.id} (${other.subnet})`,
    })),
    ...routes,
  ]
}
