import type { NetworkTable } from '../../../proto/index.ts'
import { ipToNumber, tryIpToNumber } from '../../../services/net/ip.ts'

/**
 * resolv.conf of a task: this node's agent, then another node's for the time the first is dead (the next in order of address, so
 * that the second places spread over the nodes).
 */
export function taskResolvConf(table: NetworkTable, gateway: string): string {
  const others = table.gateways
    .map(({ address }) => address)
    .filter(address => address !== gateway)
    .sort((a, b) => ipToNumber(a) - ipToNumber(b))
  const own = ipToNumber(gateway)
  const second = others.find(address => ipToNumber(address) > own) ?? others[0]
  return [
    `nameserver ${gateway}`,
    ...(second === undefined ? [] : [`nameserver ${second}`]),
    'options timeout:1 attempts:2 ndots:0',
    '',
  ].join('\n')
}

/** IPv4 name servers of a host's resolv.conf, at most three (as the C library takes), without those in `except`. */
export function nameservers(text: string, except: ReadonlySet<string>): string[] {
  return text
    .split('\n')
    .map(line => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter(address => tryIpToNumber(address) !== undefined && !except.has(address))
    .slice(0, 3)
}
