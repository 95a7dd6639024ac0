// Goal: networks, secrets, configs, volumes, nodes and the cluster keep their rules; nothing secret leaves.
// Method: the Control handlers on a store in memory.
import t from 'tap'
import { ANSWERED_HERE } from '../../../manager/controlapi/control.ts'
import { make } from '../../../proto/codec.ts'
import { serviceDefinition } from '../../../proto/grpc.ts'
import type { Caller } from '../../../proto/service.ts'
import { StatusError } from '../../../runtime/errors.ts'
import {
  NodeAvailability,
  NodeRole,
  NodeState,
  TaskState,
  v1,
  type ClusterSpec,
  type NetworkSpecInit,
  type NodeSpec,
} from '../../../proto/index.ts'
import { parseToken } from '../../../proto/join-token.ts'
import { roleOfSecret } from '../../../manager/ca/token.ts'
import { aNode, aSpec, aTask, bench, caller } from './fixture.ts'

const networkSpec = (name: string, init: NetworkSpecInit = {}) => ({
  spec: make(v1.NetworkSpec, { annotations: { name }, ...init }),
})

t.test('networks: overlaps are refused naming both sides', async t => {
  const { control, store } = await bench()
  await store.update(tx =>
    tx.create('node', aNode('w1', { routes: ['192.168.7.0/24', '0.0.0.0/0'] })),
  )
  await control.createNetwork(networkSpec('a', { ipam: [{ subnet: '10.9.0.0/24' }] }), caller)
  const refused = (init: NetworkSpecInit, message: RegExp, name = 'b') =>
    t.rejects(control.createNetwork(networkSpec(name, init), caller), {
      code: 'InvalidArgument',
      message,
    })
  await refused(
    { ipam: [{ subnet: '10.9.0.0/16' }] },
    /network b: subnet 10.9.0.0\/16 overlaps with network a \(10.9.0.0\/24\)/,
  )
  await refused(
    { ipam: [{ subnet: '192.168.0.0/16' }] },
    /overlaps with route 192.168.7.0\/24 of node host-w1/,
  )
  await refused({ ipam: [{ subnet: '10.8.0.5/24' }] }, /it should be 10.8.0.0\/24/)
  await refused({ driver: 'macvlan' }, /does not span hosts/)
  await refused({ driverOptions: { colour: 'red' } }, /unknown option "colour"/)
  await refused({}, /the engine's own/, 'host')
  const { network } = await control.createNetwork(
    networkSpec('c', {
      driverOptions: { encrypted: 'false', 'com.docker.network.driver.mtu': '1400' },
    }),
    caller,
  )
  t.match(network, { spec: { encrypted: false, mtu: 1400, driver: 'overlay' } })
  await control.createNetwork(networkSpec('in', { ingress: true }), caller)
  await t.rejects(control.createNetwork(networkSpec('in2', { ingress: true }), caller), {
    code: 'AlreadyExists',
  })
})

t.test('networks, secrets, configs and volumes stay while they are used', async t => {
  const { control, store } = await bench()
  await control.createNetwork(networkSpec('web'), caller)
  await control.createSecret(
    { spec: make(v1.SecretSpec, { annotations: { name: 'key' }, data: Buffer.from('x') }) },
    caller,
  )
  await control.createConfig(
    { spec: make(v1.ConfigSpec, { annotations: { name: 'conf' }, data: Buffer.from('x') }) },
    caller,
  )
  await store.update(tx =>
    tx.create('volume', make(v1.Volume, { id: 'v1', spec: { annotations: { name: 'data' } } })),
  )
  const container = {
    image: 'api:1',
    secrets: [{ secretName: 'key' }],
    configs: [{ configName: 'conf' }],
    mounts: [{ type: 1, source: 'data', target: '/data' }],
  }
  const spec = aSpec('api', { task: { container, networks: [{ target: 'web' }] } })
  const { service } = await control.createService({ spec }, caller)
  await store.update(tx => {
    const task = aTask('t1', { serviceId: String(service?.id), serviceName: 'api', slot: 1 })
    tx.create('task', { ...task, spec: service?.spec?.task as typeof task.spec })
  })
  const removals = [
    ['network web', () => control.removeNetwork({ id: 'web' }, caller)],
    ['secret key', () => control.removeSecret({ id: 'key' }, caller)],
    ['config conf', () => control.removeConfig({ id: 'conf' }, caller)],
    ['volume data', () => control.removeVolume({ id: 'data', force: false }, caller)],
  ] as const
  for (const [what, remove] of removals) {
    await t.rejects(remove(), {
      code: 'FailedPrecondition',
      message: `${what} is in use by service api`,
    })
  }
  await control.removeService({ id: 'api' }, caller)
  for (const [what, remove] of removals) {
    await t.rejects(remove(), { message: `${what} is in use by task api.1` })
  }
  await store.update(tx => {
    const task = tx.resolve('task', 't1')
    const status = make(v1.TaskStatus, { state: TaskState.SHUTDOWN })
    tx.update('task', { ...task, status })
  })
  for (const [, remove] of removals) await remove()
  t.match((await control.listNetworks({}, caller)).networks, { length: 0 })
})

t.test('secrets: bounded, never shown, only labels change', async t => {
  const { control } = await bench()
  const spec = make(v1.SecretSpec, {
    annotations: { name: 'key' },
    data: Buffer.from('hunter2'),
  })
  const { secret } = await control.createSecret({ spec }, caller)
  t.equal(secret?.spec?.data?.length, 0)
  const shown = [
    await control.getSecret({ id: 'key' }, caller),
    await control.listSecrets({}, caller),
  ]
  t.notMatch(JSON.stringify(shown), 'hunter2')
  t.notMatch(JSON.stringify(shown), JSON.stringify(Buffer.from('hunter2').toJSON().data))
  const big = { ...spec, data: new Uint8Array(500 * 1024 + 1) }
  await t.rejects(control.createSecret({ spec: big }, caller), { code: 'InvalidArgument' })
  const labelled = {
    ...spec,
    data: new Uint8Array(),
    annotations: { name: 'key', labels: { a: '1' } },
  }
  const request = { id: 'key', specVersion: 0 }
  t.match(await control.updateSecret({ ...request, spec: labelled }, caller), {
    secret: { spec: { annotations: { labels: { a: '1' } } } },
  })
  const rename = { ...labelled, annotations: { name: 'key2', labels: {} } }
  for (const changed of [{ ...spec, data: Buffer.from('other') }, rename]) {
    await t.rejects(control.updateSecret({ ...request, spec: changed }, caller), {
      code: 'InvalidArgument',
      message: /only updates to labels are allowed/,
    })
  }
})

t.test('configs: shown, only labels change', async t => {
  const { control } = await bench()
  const spec = make(v1.ConfigSpec, { annotations: { name: 'conf' }, data: Buffer.from('a=1') })
  await control.createConfig({ spec }, caller)
  const { config } = await control.getConfig({ id: 'conf' }, caller)
  t.equal(Buffer.from(config?.spec?.data ?? []).toString(), 'a=1')
  const request = { id: 'conf', specVersion: 0 }
  await control.updateConfig({ ...request, spec: { ...spec, data: new Uint8Array() } }, caller)
  await t.rejects(
    control.updateConfig({ ...request, spec: { ...spec, data: Buffer.from('a=2') } }, caller),
    { code: 'InvalidArgument' },
  )
})

t.test('nodes: the last manager and the quorum are guarded', async t => {
  const { control, store } = await bench()
  const spec = (init: Partial<NodeSpec>): NodeSpec => ({
    annotations: { name: '', labels: {} },
    role: NodeRole.WORKER,
    availability: NodeAvailability.ACTIVE,
    ...init,
  })
  const demote = (id: string) => control.updateNode({ id, specVersion: 0, spec: spec({}) }, caller)
  await t.rejects(demote('self'), {
    code: 'FailedPrecondition',
    message: /node host-m1 is the last manager/,
  })
  await store.update(tx => {
    tx.create('node', aNode('m2', { manager: true, reachable: false }))
    tx.create('node', aNode('m3', { manager: true }))
    tx.create('node', aNode('w1'))
  })
  await t.rejects(demote('m3'), { code: 'FailedPrecondition', message: /lose its quorum/ })
  t.match(await demote('m2'), { node: { spec: { role: NodeRole.WORKER } } })
  t.match(await demote('host-m3'), { node: { spec: { role: NodeRole.WORKER } } })
  const labels = { zone: 'a' }
  const changed = spec({ annotations: { name: '', labels }, availability: NodeAvailability.DRAIN })
  t.match(await control.updateNode({ id: 'w1', specVersion: 0, spec: changed }, caller), {
    node: { spec: { availability: NodeAvailability.DRAIN, annotations: { labels } } },
  })
  await t.rejects(control.updateNode({ id: 'w1', specVersion: 1, spec: changed }, caller), {
    code: 'Aborted',
  })
  t.match(await control.listNodes({}, { ...caller, nodeId: 'w1' }), { self: 'w1' })
})

t.test(
  'nodes are removed when they are down, and their certificates and tasks with them',
  async t => {
    const { control, store } = await bench()
    await store.update(tx => {
      tx.create('node', aNode('w1'))
      tx.create('node', aNode('w2', { state: NodeState.DOWN }))
      tx.create('task', aTask('t1', { nodeId: 'w1' }))
    })
    await t.rejects(control.removeNode({ id: 'm1', force: true }, caller), {
      code: 'FailedPrecondition',
      message: /host-m1 is a manager; demote it/,
    })
    await t.rejects(control.removeNode({ id: 'w1', force: false }, caller), {
      code: 'FailedPrecondition',
      message: /is not down/,
    })
    await control.removeNode({ id: 'w2', force: false }, caller)
    await control.removeNode({ id: 'w1', force: true }, caller)
    const { revoked, task } = store.view(tx => ({
      revoked: tx.cluster().revoked.map(({ nodeId }) => nodeId),
      task: tx.get('task', 't1'),
    }))
    t.same(revoked, ['w2', 'w1'])
    t.match(task, { status: { state: TaskState.ORPHANED, message: /host-w1 was removed/ } })
  },
)

t.test('leaving: a worker is down at once; a manager waits to be out of the group', async t => {
  const { control, store } = await bench()
  await t.rejects(control.leaveCluster({ force: false }, caller), { code: 'FailedPrecondition' })
  await control.leaveCluster({ force: true }, caller)
  await store.update(tx => {
    tx.create('node', aNode('m2', { manager: true }))
    tx.create('node', aNode('w1'))
  })
  await control.leaveCluster({ force: false }, { ...caller, nodeId: 'w1', role: 'worker' })
  t.match(
    store.view(tx => tx.get('node', 'w1')),
    { status: { state: NodeState.DOWN } },
  )

  let left = false
  const leaving = control
    .leaveCluster({ force: false }, { ...caller, nodeId: 'm2' })
    .then(() => (left = true))
  await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(left, false)
  t.match(
    store.view(tx => tx.get('node', 'm2')),
    { spec: { role: NodeRole.WORKER } },
  )
  await store.update(tx => {
    const node = tx.resolve('node', 'm2')
    tx.update('node', { ...node, manager: null })
  })
  await leaving
  t.equal(left, true)
})

t.test('the cluster shows neither keys nor secrets; tokens rotate at once', async t => {
  const { control, store } = await bench()
  const { cluster } = await control.getCluster({}, caller)
  t.match(cluster?.rootCa, { keyPem: '', workerSecret: '', managerSecret: '', digest: /^.{50}$/ })
  const before = await control.getJoinTokens({}, caller)
  t.same(before.managerAddresses, ['m1:2377'])
  const rotate = { specVersion: 0, spec: null, rotateWorkerToken: true, rotateManagerToken: false }
  const updated = await control.updateCluster(rotate, caller)
  t.match(updated.cluster, { tokenGeneration: 1, rootCa: { workerSecret: '' } })
  t.equal(updated.cluster?.meta?.specVersion, cluster?.meta?.specVersion)
  const after = await control.getJoinTokens({}, caller)
  t.equal(after.manager, before.manager)
  t.not(after.worker, before.worker)
  const rootCa = store.view(tx => tx.cluster().rootCa)
  t.ok(rootCa)
  if (rootCa) {
    t.equal(roleOfSecret(rootCa, parseToken(String(before.worker)).secret), undefined)
    t.equal(roleOfSecret(rootCa, parseToken(String(after.worker)).secret), NodeRole.WORKER)
  }
  const spec = cluster?.spec as ClusterSpec
  const set = (init: Partial<ClusterSpec>) =>
    control.updateCluster(
      {
        specVersion: 0,
        spec: { ...spec, ...init },
        rotateWorkerToken: false,
        rotateManagerToken: false,
      },
      caller,
    )
  t.match(await set({ heartbeatMs: 2000 }), { cluster: { spec: { heartbeatMs: 2000 } } })
  await t.rejects(set({ heartbeatMs: 1 }), { code: 'InvalidArgument' })
  await t.rejects(set({ certificateValidityMs: 1000 }), { message: /at least 1 h/ })
  await t.rejects(set({ defaultAddressPools: [] }), { message: /do not change/ })
  await t.rejects(set({ autolock: true }), { code: 'Unimplemented' })
})

t.test('managers answer for their Raft; containers are refused in a sentence', async t => {
  const status = {
    raftId: 7,
    role: 'leader',
    term: 3,
    leader: 7,
    lastIndex: 9,
    commitIndex: 9,
    appliedIndex: 9,
    snapshotIndex: 0,
    peers: [
      { raftId: 1, address: 'm1:2377', learner: false, matchIndex: 9, lastContactMs: 3 },
      { raftId: 7, address: 'm7:2377', learner: false, matchIndex: 9, lastContactMs: 0 },
      { raftId: 8, address: 'm8:2377', learner: true, matchIndex: 2, lastContactMs: 9 },
    ],
  }
  const own = make(v1.ManagerFacts, { role: 'leader', term: 3, lastIndex: 9 })
  const asked: string[] = []
  const raft = {
    status: () => status,
    facts: async () => own,
    ask: async (address: string) => {
      asked.push(address)
      if (address === 'm8:2377') throw new StatusError('Unavailable', 'no route to m8')
      return { ...own, role: 'follower' }
    },
  }
  const { control } = await bench({ raft })
  t.match(await control.getManagerStatus({ all: false }, caller), {
    ...status,
    facts: own,
    managers: [],
  })
  t.same(asked, [], 'a manager that is asked by another asks nobody itself')
  const { managers } = await control.getManagerStatus({ all: true }, caller)
  t.match(managers, [
    { raftId: 1, nodeId: 'm1', hostname: 'host-m1', facts: { role: 'follower' }, error: '' },
    { raftId: 7, nodeId: '', facts: { role: 'leader' }, error: '' },
    { raftId: 8, learner: true, facts: null, error: 'no route to m8' },
  ])
  t.same(asked, ['m1:2377', 'm8:2377'])
  await t.rejects((await bench()).control.getManagerStatus({ all: true }, caller), {
    code: 'FailedPrecondition',
  })
  await t.rejects(control.listContainers({}, caller), {
    code: 'Unimplemented',
    message: /skein service create/,
  })
})

t.test('every read is confirmed before it is answered', async t => {
  const refused = new StatusError('Unavailable', 'no majority')
  const { control } = await bench({ current: () => Promise.reject(refused) })
  const reads = Object.keys(serviceDefinition(v1.Control, v1)).filter(
    name => /^(get|list|explain)/.test(name) && !/Container/.test(name),
  )
  t.ok(reads.length > 10)
  for (const name of reads) {
    if ((ANSWERED_HERE as readonly string[]).includes(name)) continue
    const handler = control[name as 'getConfig'] as (request: object, by: Caller) => Promise<object>
    await t.rejects(handler({ id: 'x', self: false }, caller), refused, name)
  }
})
