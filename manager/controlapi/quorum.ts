import { NodeRole, Reachability, type Node } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { describe } from '../state/store/kinds.ts'

/** The other nodes that are, and are to stay, managers. */
export function otherManagers(node: Node, nodes: readonly Node[]): readonly Node[] {
  return nodes.filter(other => other.id !== node.id && other.spec?.role === NodeRole.MANAGER)
}

/**
 * Refuses to take `node` out of the managers when none, or no quorum, would be left (Swarm row CL-31).
 * Managers that are already on their way out are not counted.
 *
 * @throws StatusError FailedPrecondition
 */
export function checkQuorumWithout(node: Node, nodes: readonly Node[]): void {
  const others = otherManagers(node, nodes)
  const name = describe('node', node)
  if (others.length === 0) {
    throw new StatusError(
      'FailedPrecondition',
      `${name} is the last manager and cannot be demoted; first promote another: skein node promote NODE`,
    )
  }
  if (!node.manager) return
  const voters = others.filter(other => other.manager && !other.manager.learner)
  const reachable = voters.filter(
    other => other.manager?.reachability === Reachability.REACHABLE,
  ).length
  const quorum = Math.floor(voters.length / 2) + 1
  if (reachable >= quorum) return
  throw new StatusError(
    'FailedPrecondition',
    `without ${name} ${reachable} of ${voters.length} managers would be reachable and ${quorum} are needed: the cluster ` +
      'would lose its quorum; bring the unreachable managers back or demote them first: skein node ls',
  )
}
