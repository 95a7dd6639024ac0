import { cidrOf, type Cidr, formatCidr, overlaps, parseCidr } from '../../services/net/ip.ts'

/** What a new cluster cuts networks from when its spec says nothing (row AL-03; larger cuts, since every node takes an address). */
export const DEFAULT_POOLS: readonly string[] = ['10.0.0.0/8']
export const DEFAULT_SUBNET_SIZE = 20

/** Something that has a subnet already: `what` is for messages. */
export interface Taken {
  readonly cidr: Cidr
  readonly what: string
}

/** The first subnet of the pools that overlaps nothing taken, or undefined. */
export function cutSubnet(
  pools: readonly string[],
  size: number,
  taken: readonly Taken[],
): string | undefined {
  for (const text of pools) {
    const pool = parseCidr(text)
    const prefix = Math.max(size, pool.prefix)
    let at = pool.base
    while (at < pool.base + pool.size) {
      const cut = cidrOf(at, prefix)
      const blocking = taken.find(other => overlaps(other.cidr, cut))
      if (!blocking) return formatCidr(cut)
      // Jump over what is in the way instead of trying every cut inside it.
      const end = Math.max(cut.base + cut.size, blocking.cidr.base + blocking.cidr.size)
      at = Math.ceil(end / cut.size) * cut.size
    }
  }
  return undefined
}

/** What a subnet the user asked for runs into, as text: `network db (10.0.0.0/24)`. */
export function collision(subnet: string, taken: readonly Taken[]): string | undefined {
  const cidr = parseCidr(subnet)
  return taken.find(other => overlaps(other.cidr, cidr))?.what
}

/** A host route as something taken; default routes and what cannot be read (IPv6) are in nobody's way. */
export function takenByRoute(route: string, hostname: string): Taken | undefined {
  try {
    const cidr = parseCidr(route)
    return cidr.prefix === 0 ? undefined : { cidr, what: `route ${route} of node ${hostname}` }
  } catch {
    return undefined
  }
}
