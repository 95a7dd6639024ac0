import {
  NodeRole,
  NodeState,
  Reachability,
  type ManagerStatus,
  type Node,
} from '../../proto/index.ts'

/** One Raft member as the leader sees it. */
export interface MemberView {
  readonly id: number
  readonly address: string
  readonly learner: boolean
  readonly leader: boolean
  /** Milliseconds since it was heard; undefined: never. The leader itself is 0. */
  readonly lastContactMs: number | undefined
}

export type RoleChange =
  /** Write `manager` (null: none) to the node. */
  | { readonly kind: 'status'; readonly nodeId: string; readonly manager: ManagerStatus | null }
  /** Take the member out of the group: its node shall not be a manager any more, or is gone. */
  | { readonly kind: 'remove'; readonly memberId: number; readonly nodeId: string | undefined }
  /** The leader itself is to go: another member must lead first. */
  | { readonly kind: 'transfer' }

export interface RoleState {
  readonly nodes: readonly Node[]
  readonly members: readonly MemberView[]
  /** node id → Raft member id, from the join requests and the nodes' own objects. */
  readonly memberOf: ReadonlyMap<string, number>
  /** A member not heard for this long is unreachable. */
  readonly unreachableAfterMs: number
}

/**
 * Decides how the Raft group should follow the nodes' roles: demoted and removed managers leave it (the leader hands over
 * first), and every manager's node shows its reachability. One member leaves at a time.
 */
export function reconcileRoles(state: RoleState): readonly RoleChange[] {
  const changes: RoleChange[] = []
  const nodeOf = new Map([...state.memberOf].map(([nodeId, memberId]) => [memberId, nodeId]))
  const nodes = new Map(state.nodes.map(node => [node.id, node]))

  const leaving = state.members.filter(member => {
    const node = nodes.get(nodeOf.get(member.id) ?? '')
    // A member whose node is not known yet has just joined: its object arrives with its first session.
    return node !== undefined && node.spec?.role === NodeRole.WORKER
  })
  const [first] = leaving.filter(member => !member.leader)
  if (first) changes.push({ kind: 'remove', memberId: first.id, nodeId: nodeOf.get(first.id) })
  else if (leaving.length > 0 && state.members.some(member => !member.leader && !member.learner)) {
    changes.push({ kind: 'transfer' })
  }

  const members = new Map(state.members.map(member => [member.id, member]))
  for (const node of state.nodes) {
    const member = members.get(state.memberOf.get(node.id) ?? -1)
    const wanted = member ? statusOf(member, node, state.unreachableAfterMs) : null
    if (!sameStatus(node.manager, wanted)) {
      changes.push({ kind: 'status', nodeId: node.id, manager: wanted })
    }
  }
  return changes
}

function statusOf(member: MemberView, node: Node, unreachableAfterMs: number): ManagerStatus {
  const heard = member.leader || (member.lastContactMs ?? Infinity) < unreachableAfterMs
  const gone = node.status?.state === NodeState.DOWN && !member.leader
  return {
    raftId: member.id,
    address: member.address,
    leader: member.leader,
    learner: member.learner,
    reachability: heard && !gone ? Reachability.REACHABLE : Reachability.UNREACHABLE,
  }
}

function sameStatus(a: ManagerStatus | null, b: ManagerStatus | null): boolean {
  if (a === null || b === null) return a === b
  return (
    a.raftId === b.raftId &&
    a.address === b.address &&
    a.leader === b.leader &&
    a.learner === b.learner &&
    a.reachability === b.reachability
  )
}
