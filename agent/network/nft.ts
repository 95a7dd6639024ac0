import { VXLAN_PORT, type Plan } from './plan.ts'

// Skein's own nftables table, replaced in one transaction; connections that stand or begin do not notice (measured). It holds
// what every overlay needs. Virtual addresses and the routing mesh add their maps and chains to the same shape:
// `sets` and `chains` below are lists for that reason.

export const TABLE = 'skein'
/** Upper half of the conntrack mark: "this connection was translated by Skein". */
export const MARK = 0x4f560000
export const MARK_MASK = 0xffff0000

/**
 * The table's text for `nft -f -`; undefined when this node is on no overlay and needs none.
 * @param hasOthers devices of networks that left are still there and need their guard
 */
export function nftTable(plan: Plan, hasOthers = false): string | undefined {
  const { networks, peers } = plan
  if (networks.length === 0 && !hasOthers) return undefined
  const subnets = networks.map(network => network.subnet)
  const gatewayBySubnet = networks.map(({ subnet, gateway }) => `${subnet} : ${gateway}`)
  const sets = [
    set('peers', 'ipv4_addr', peers),
    set('overlays', 'ipv4_addr', subnets, 'flags interval;'),
    map('gwof', 'ipv4_addr : ipv4_addr', gatewayBySubnet, 'flags interval;'),
  ]
  const chains = [
    chain('guard', 'type filter hook prerouting priority raw; policy accept;', [
      `udp dport ${VXLAN_PORT} ip saddr != @peers drop comment "VXLAN only from nodes of the cluster"`,
      'iifname != "lo" ip daddr 127.0.0.0/8 drop comment "route_localnet is for this host alone"',
      `udp dport ${VXLAN_PORT} notrack comment "outer packets need no connection tracking"`,
    ]),
    chain('rawout', 'type filter hook output priority raw; policy accept;', [
      `udp dport ${VXLAN_PORT} notrack`,
    ]),
    chain('forward', 'type filter hook forward priority filter; policy accept;', [
      // Newer engines leave an overlay's containers open to whoever routes to them (gateway mode nat-unprotected).
      'iifname != "ovb*" oifname "ovb*" ct state new ct status and dnat == 0 drop comment "into an overlay only through a published port"',
    ]),
    chain('postrouting', 'type nat hook postrouting priority srcnat - 10; policy accept;', [
      // For sources that are right already too: a connection that has its translation escapes the engine's masquerading.
      'fib saddr type local ip daddr @overlays snat to ip daddr map @gwof comment "this host to an overlay: answers must find the way back"',
    ]),
  ]
  // add + delete, so that deleting works whether or not the table is there.
  return [
    `add table ip ${TABLE}`,
    `delete table ip ${TABLE}`,
    `table ip ${TABLE} {`,
    ...sets,
    ...chains,
    '}',
    '',
  ].join('\n')
}

function set(name: string, type: string, elements: readonly string[], flags = ''): string {
  return `  set ${name} { type ${type}; ${flags} ${listed(elements)} }`
}

function map(name: string, type: string, elements: readonly string[], flags = ''): string {
  return `  map ${name} { type ${type}; ${flags} ${listed(elements)} }`
}

function listed(elements: readonly string[]): string {
  return elements.length === 0 ? '' : `elements = { ${elements.join(', ')} }`
}

function chain(name: string, head: string, rules: readonly string[]): string {
  return [`  chain ${name} {`, ...[head, ...rules].map(line => `    ${line}`), '  }'].join('\n')
}
