// Goal: the Raft group follows the nodes' roles one step at a time, and rests when they agree.
// Method: hand-made clusters of three; apply the answer and ask again.
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import { NodeRole, NodeState, Reachability, v1, type Node } from '../../../proto/index.ts'
import { reconcileRoles, type MemberView } from '../../../manager/role/reconcile.ts'

const aNode = (id: string, raftId: number, role: NodeRole = NodeRole.MANAGER): Node =>
  make(v1.Node, {
    id,
    spec: { role },
    role: NodeRole.MANAGER,
    status: { state: NodeState.NODE_READY },
    manager: { raftId, address: `${id}:2377`, leader: raftId === 1, reachability: 2 },
  })
const aMember = (id: number, nodeId: string, lastContactMs = 10): MemberView => ({
  id,
  address: `${nodeId}:2377`,
  learner: false,
  leader: id === 1,
  lastContactMs,
})
const three = (
  b = NodeRole.MANAGER,
  a = NodeRole.MANAGER,
): Parameters<typeof reconcileRoles>[0] => ({
  nodes: [aNode('a', 1, a), aNode('b', 2, b), aNode('c', 3)],
  members: [aMember(1, 'a'), aMember(2, 'b'), aMember(3, 'c')],
  memberOf: new Map([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]),
  unreachableAfterMs: 3_000,
})

t.test('three healthy managers need nothing', async t => {
  t.same(reconcileRoles(three()), [])
})

t.test('a demoted follower is removed from the group, then loses its status', async t => {
  const state = three(NodeRole.WORKER)
  t.match(reconcileRoles(state), [{ kind: 'remove', memberId: 2, nodeId: 'b' }])
  const after = { ...state, members: state.members.filter(member => member.id !== 2) }
  t.same(reconcileRoles(after), [{ kind: 'status', nodeId: 'b', manager: null }])
})

t.test('a demoted leader hands over before it is removed', async t => {
  t.same(reconcileRoles(three(NodeRole.MANAGER, NodeRole.WORKER)), [{ kind: 'transfer' }])
})

t.test('a demoted leader that is alone stays: the group must not vanish', async t => {
  const state = three(NodeRole.MANAGER, NodeRole.WORKER)
  const alone = { ...state, nodes: state.nodes.slice(0, 1), members: state.members.slice(0, 1) }
  t.same(reconcileRoles(alone), [])
})

t.test('a member that was not heard of for long is unreachable', async t => {
  const state = three()
  const silent = { ...state, members: [aMember(1, 'a'), aMember(2, 'b', 5_000), aMember(3, 'c')] }
  t.match(reconcileRoles(silent), [
    { kind: 'status', nodeId: 'b', manager: { reachability: Reachability.UNREACHABLE } },
  ])
})
