// Goal: a new cluster begins with what the operator said and with sound defaults for the rest.
// Method: the pure function, with nothing said, with everything said, and through validation of what it makes.
import t from 'tap'
import { foundingObjects, type Founding } from '../../daemon/founding.ts'
import { make } from '../../proto/codec.ts'
import { NodeAvailability, NodeRole, NodeState, Reachability, v1 } from '../../proto/index.ts'
import { validateNode } from '../../services/spec/validate.ts'

const DAY_MS = 24 * 3_600_000

const founding = (request: object = {}): Founding => ({
  clusterId: 'c1',
  nodeId: 'n1',
  raftId: 42,
  address: '10.0.0.1:2377',
  rootCa: make(v1.RootCa, { certificatePem: 'PEM' }),
  certificateExpiresAtMs: 9_000,
  request: make(v1.InitRequest, request),
  nowMs: 1_000,
})

t.test('without a word: 90 days, five old tasks, the allocator’s own pools', async t => {
  const { cluster, node } = foundingObjects(founding())
  t.match(cluster, {
    id: 'c1',
    rootCa: { certificatePem: 'PEM' },
    spec: {
      annotations: { name: 'default' },
      taskHistoryLimit: 5,
      certificateValidityMs: 90 * DAY_MS,
      defaultAddressPools: [],
      defaultSubnetSize: 0,
      autolock: false,
    },
  })
  t.match(node, {
    id: 'n1',
    role: NodeRole.MANAGER,
    spec: { role: NodeRole.MANAGER, availability: NodeAvailability.ACTIVE },
    status: { state: NodeState.UNKNOWN, sinceMs: 1_000, observedAtMs: 1_000 },
    certificateExpiresAtMs: 9_000,
    manager: {
      raftId: 42,
      address: '10.0.0.1:2377',
      leader: true,
      reachability: Reachability.REACHABLE,
    },
  })
  t.doesNotThrow(() => node.spec && validateNode(node.spec, node.id))
})

t.test('what the operator says is kept', async t => {
  const { cluster, node } = foundingObjects(
    founding({
      clusterName: 'prod',
      availability: NodeAvailability.DRAIN,
      taskHistoryLimit: 2,
      certificateValidityMs: 7 * DAY_MS,
      heartbeatMs: 2_000,
      defaultAddressPools: ['172.30.0.0/16', '10.77.0.0/16'],
      defaultSubnetSize: 26,
    }),
  )
  t.match(cluster.spec, {
    annotations: { name: 'prod' },
    taskHistoryLimit: 2,
    certificateValidityMs: 7 * DAY_MS,
    heartbeatMs: 2_000,
    defaultSubnetSize: 26,
  })
  t.same(cluster.spec?.defaultAddressPools, ['172.30.0.0/16', '10.77.0.0/16'])
  t.equal(node.spec?.availability, NodeAvailability.DRAIN)
})
