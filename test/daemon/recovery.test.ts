// Goal: a cluster is backed up, begun anew elsewhere from the file, and recovered from a survivor; what must not be is refused.
// Method: nodes on real files and ports of 127.0.0.1; objects are written into the store, no engine runs them.
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { backupOf } from '../../daemon/backup.ts'
import type { SkeinNode } from '../../daemon/node.ts'
import type { Manager } from '../../manager/manager.ts'
import { readBackup } from '../../proto/backup-file.ts'
import { make } from '../../proto/codec.ts'
import { NodeRole, NodeState, v1 } from '../../proto/index.ts'
import { aConfig, aDaemon, clock, filesOf, init, leads, until } from './node-fixture.ts'

function managerOf(node: SkeinNode): Manager {
  const manager = node.membership?.managing?.manager
  if (!manager) throw new Error('the node is no manager')
  return manager
}

async function backup(node: SkeinNode, stale = false): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of backupOf(managerOf(node), { stale, clock })) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const payload = Buffer.from('swordfish')

async function write(node: SkeinNode, name: string): Promise<void> {
  await managerOf(node).store.update(tx => {
    const spec = { annotations: { name }, data: payload }
    tx.create('secret', make(v1.Secret, { id: `secret-${name}`, spec }))
    const replicated = { annotations: { name }, replicated: { replicas: 0 } }
    tx.create('service', make(v1.Service, { id: `service-${name}`, spec: replicated }))
  })
}

async function founded(t: Test): Promise<SkeinNode> {
  const { node } = aDaemon(t, await aConfig(t))
  await node.init(init({ clusterName: 'harbour' }))
  await until(leads(node), 'the founder to lead')
  return node
}

/** A second manager, joined by token. */
async function joined(t: Test, first: SkeinNode): Promise<SkeinNode> {
  const { node } = aDaemon(t, await aConfig(t))
  const tokens = await first.membership?.managing?.handlers.Control.getJoinTokens(
    {},
    { nodeId: '', role: 'local', address: '' },
  )
  const request = { addresses: [first.membership?.ownAddress ?? ''], token: tokens?.manager ?? '' }
  await node.join(make(v1.JoinRequest, { ...request, advertiseAddress: '127.0.0.1' }))
  await until(
    () =>
      managerOf(first)
        .member.status()
        .members.filter(m => !m.learner).length === 2,
    'two voters',
  )
  return node
}

t.test('a backup, restored on another host, is the cluster with other nodes', async t => {
  const first = await founded(t)
  await write(first, 'web')
  const file = await backup(first)
  const cluster = managerOf(first).store.view(tx => tx.cluster())
  t.match(readBackup(file).header, { clusterId: cluster.id, clusterName: 'harbour' })

  const { node: second } = aDaemon(t, await aConfig(t))
  const { restoration, address } = await second.restore(file, '127.0.0.1')
  t.match(restoration.objects, { service: 1, secret: 1, node: 1 })
  const restored = managerOf(second)
  t.ok(restored.isLeader(), 'it leads when the call returns')
  t.equal(second.membership?.identity.clusterId, cluster.id)
  t.not(second.membership?.identity.nodeId, first.membership?.identity.nodeId)
  restored.store.view(tx => {
    t.same(tx.cluster().rootCa, cluster.rootCa, 'the same CA, so certificates and tokens go on')
    t.same(tx.resolve('secret', 'web').spec?.data, payload)
    t.ok(tx.resolve('service', 'web'))
    const old = tx.get('node', first.membership?.identity.nodeId ?? '')
    t.equal(old?.status?.state, NodeState.DOWN)
    t.equal(old?.manager, null)
    t.equal(old?.spec?.role, NodeRole.WORKER)
    const own = tx.get('node', second.membership?.identity.nodeId ?? '')
    t.match(own, { role: NodeRole.MANAGER, manager: { address, leader: true } })
  })
  t.ok(
    restored.store.version > managerOf(first).store.version + 1_000_000,
    'versions go on far behind',
  )
  await write(second, 'more')
  await second.stop()
  await second.start()
  await until(leads(second), 'it to lead again after a restart')
  t.ok(managerOf(second).store.view(tx => tx.resolve('service', 'more')))
})

t.test('what cannot be restored leaves no trace', async t => {
  const first = await founded(t)
  const file = await backup(first)
  await t.rejects(first.restore(file, '127.0.0.1'), {
    code: 'FailedPrecondition',
    message: /already part of a cluster/,
  })
  const config = await aConfig(t)
  const { node } = aDaemon(t, config)
  const refused = async (bytes: Uint8Array, code: string): Promise<void> => {
    await t.rejects(node.restore(bytes, '127.0.0.1'), { code })
    t.equal(node.membership, undefined)
    t.same(filesOf(config.dataDir), [])
  }
  await refused(file.subarray(0, -20), 'DataLoss')
  const altered = Buffer.from(file)
  altered[300] = (altered[300] ?? 0) ^ 1
  await refused(altered, 'DataLoss')
  const newer = Buffer.concat([Buffer.from('skein-backup 9\n'), file.subarray(15)])
  await refused(newer, 'FailedPrecondition')
  await refused(Buffer.from('no backup'), 'InvalidArgument')
  await node.restore(file, '127.0.0.1')
  t.ok(leads(node)(), 'and the file itself is fine')
})

t.test('there is nothing to recover where there is a leader, or no manager', async t => {
  const first = await founded(t)
  await t.rejects(first.recover({ confirm: true, force: true }), {
    code: 'FailedPrecondition',
    message: /there is a leader/,
  })
  const { node } = aDaemon(t, await aConfig(t))
  await t.rejects(node.recover({ confirm: true, force: true }), {
    message: /not part of a cluster/,
  })
})

t.test(
  'one of two managers is gone: the other looks, then goes on alone; the lost one joins anew',
  async t => {
    const first = await founded(t)
    const second = await joined(t, first)
    await write(second, 'web').catch(() => write(first, 'web'))
    const before = managerOf(first).member.status().id
    await second.stop()
    await t.rejects(backup(first), { message: /skein cluster backup --stale FILE/ })
    t.equal(
      readBackup(await backup(first, true)).header.clusterName,
      'harbour',
      'a stale one does not',
    )

    const seen = await first.recover({ confirm: false, force: false })
    t.match(seen, { done: false, raftId: before })
    t.equal(seen.managers.filter(manager => manager.facts).length, 1)
    t.equal(leads(first)(), false, 'looking changes nothing')
    t.equal((await first.recover({ confirm: true, force: false })).done, true)
    t.ok(leads(first)())
    t.equal(managerOf(first).member.status().members.length, 1)
    t.ok(managerOf(first).store.view(tx => tx.resolve('service', 'web')))
    await write(first, 'after')

    await second.start()
    await until(
      () =>
        managerOf(first)
          .member.status()
          .members.filter(m => !m.learner).length === 2,
      'the lost manager to join anew',
    )
    await until(
      () => managerOf(second).store.view(tx => tx.byName('service', 'after').length === 1),
      'it to have what was written without it',
    )
  },
)
