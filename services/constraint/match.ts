import { type Node, NodeRole } from '../../proto/index.ts'
import { contains, tryIpToNumber } from '../net/ip.ts'
import type { Constraint } from './parse.ts'

/**
 * Whether the node satisfies the constraint (rows PL-02, PL-03). What a node does not have is the empty text, so `==`
 * fails and `!=` holds. The role is the current one; the architecture is compared as the engine reports it (PL-04).
 */
export function matches(constraint: Constraint, node: Node): boolean {
  const equal =
    constraint.key === 'node.ip'
      ? addressIn(constraint, node)
      : valueOf(constraint, node).toLowerCase() === constraint.value.toLowerCase()
  return constraint.operator === '==' ? equal : !equal
}

/** Whether the node satisfies all of them. */
export function matchesAll(constraints: readonly Constraint[], node: Node): boolean {
  return constraints.every(constraint => matches(constraint, node))
}

/** The value of a label on the node, empty when it has none: what a spread preference divides by. */
export function labelValue(
  key: 'node.labels' | 'engine.labels',
  label: string,
  node: Node,
): string {
  const labels =
    key === 'node.labels' ? node.spec?.annotations?.labels : node.description?.engine?.labels
  return (labels !== undefined && Object.hasOwn(labels, label) ? labels[label] : undefined) ?? ''
}

function valueOf(constraint: Constraint, node: Node): string {
  switch (constraint.key) {
    case 'node.id':
      return node.id
    case 'node.hostname':
      return node.description?.hostname ?? ''
    case 'node.ip':
      return hostOf(node)
    case 'node.role':
      return node.role === NodeRole.MANAGER ? 'manager' : 'worker'
    case 'node.platform.os':
      return node.description?.platform?.os ?? ''
    case 'node.platform.arch':
      return node.description?.platform?.architecture ?? ''
    case 'node.labels':
    case 'engine.labels':
      return labelValue(constraint.key, constraint.label, node)
  }
}

/** The status address without a port: connections are reported as `host:port` by some transports. */
function hostOf(node: Node): string {
  const address = node.status?.address ?? ''
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(address) ? (address.split(':')[0] ?? '') : address
}

function addressIn(constraint: Constraint, node: Node): boolean {
  const address = tryIpToNumber(hostOf(node))
  return constraint.subnet !== undefined && address !== undefined
    ? contains(constraint.subnet, address)
    : false
}
