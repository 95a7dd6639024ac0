// Goal: the allocator's loop gives what is asked for, says what it cannot give, and tries again when something changes.
// Method: the leader's loops over a store in memory.
import t from 'tap'
import { findPortConflict } from '../../../manager/allocator/ports.ts'
import { PublishMode, TaskState } from '../../../proto/index.ts'
import { aDescription, aNetwork, aNode, aService, aTaskSpec, SECOND, World } from '../world.ts'

t.test('fixed addresses stay with their slots over updates and node loss', async t => {
  const w = new World()
  await w.start(['n1', 'n2', 'n3'])
  t.teardown(() => w.stop())
  await w.store.update(tx =>
    tx.create(
      'network',
      aNetwork('redis', {
        spec: { annotations: { name: 'redis' }, ipam: [{ subnet: '172.38.0.0/16' }] },
      }),
    ),
  )
  const service = await w.create(
    aService('redis', {
      replicated: { replicas: 6 },
      task: aTaskSpec({
        networks: [{ target: 'network-redis', addresses: ['172.38.0.1{{.Task.Slot}}'] }],
      }),
    }),
  )
  await w.until(() => w.running(service.id).length === 6, 2 * SECOND)
  const addresses = () =>
    w
      .running(service.id)
      .map(x => `${x.slot} ${x.networks[0]?.address} ${x.networks[0]?.mac}`)
      .toSorted()
  const before = addresses()
  t.match(before[0], '1 172.38.0.11 02:42:ac:26:00:0b')
  w.agent('n1').silent = true
  await w.until(() => w.running(service.id).filter(x => x.nodeId !== 'n1').length === 6, 9 * SECOND)
  t.same(addresses().filter(line => before.includes(line)).length, 6)
})

t.test('a full network is named on the task and the service, and tried again', async t => {
  const w = new World()
  await w.start(['n1'])
  t.teardown(() => w.stop())
  await w.store.update(tx =>
    tx.create(
      'network',
      aNetwork('web', {
        spec: {
          annotations: { name: 'web' },
          ipam: [{ subnet: '10.9.0.0/29', gateway: '10.9.0.1' }],
        },
      }),
    ),
  )
  const service = await w.create(
    aService('web', {
      replicated: { replicas: 5 },
      task: aTaskSpec({ networks: [{ target: 'network-web' }] }),
    }),
  )
  await w.run(SECOND)
  // Five addresses: four tasks and their node's gateway.
  t.equal(w.running(service.id).length, 4)
  const error = 'network web: no free address in 10.9.0.0/29 (5 of 5 in use)'
  const waiting = () => w.tasks(service.id).filter(x => x.status?.state === TaskState.NEW)
  await w.store.update(tx => {
    const network = tx.get('network', 'network-web')
    if (network) tx.update('network', network)
  })
  await w.run(100)
  t.same(
    waiting().map(x => x.status?.error),
    [error],
  )
  t.equal(
    w.store.view(tx => tx.get('service', service.id)?.blockedBy),
    error,
  )
  await w.update(service.id, () => ({ replicated: { replicas: 3 } }))
  await w.until(() => w.running(service.id).length === 3, 2 * SECOND)
})

t.test(
  'a wished subnet that overlaps is refused on the network, a free one is found elsewhere',
  async t => {
    const w = new World()
    await w.store.update(tx =>
      tx.create(
        'node',
        aNode('n9', { description: { ...aDescription('n9'), hostRoutes: ['10.0.0.0/24'] } }),
      ),
    )
    await w.start(['n1'])
    t.teardown(() => w.stop())
    await w.store.update(tx => {
      tx.create('network', aNetwork('free'))
      tx.create(
        'network',
        aNetwork('wish', {
          spec: { annotations: { name: 'wish' }, ipam: [{ subnet: '10.0.1.0/28' }] },
        }),
      )
    })
    await w.run(100)
    t.match(
      w.store.view(tx => tx.get('network', 'network-free')),
      { subnet: '10.0.1.0/24', blockedBy: '' },
    )
    t.match(
      w.store.view(tx => tx.get('network', 'network-wish')),
      {
        subnet: '',
        blockedBy:
          'network wish: subnet 10.0.1.0/28 overlaps network free (10.0.1.0/24); choose another with --subnet',
      },
    )
    await w.store.update(tx => tx.delete('network', 'network-free'))
    await w.run(100)
    t.match(
      w.store.view(tx => tx.get('network', 'network-wish')),
      { subnet: '10.0.1.0/28', blockedBy: '' },
    )
  },
)

t.test('published ports: chosen, kept, and refused when they clash', async t => {
  const w = new World()
  await w.start(['n1', 'n2'])
  t.teardown(() => w.stop())
  const web = await w.create(
    aService('web', { endpoint: { ports: [{ target: 80 }, { target: 443, published: 443 }] } }),
  )
  await w.until(() => w.running(web.id).length === 1, SECOND)
  t.same(
    w.running(web.id)[0]?.endpoint?.ports.map(p => p.published),
    [30_000, 443],
  )
  const conflict = (published: number, mode: PublishMode, id = '') =>
    w.store.view(tx =>
      findPortConflict(
        tx,
        aService('x', { endpoint: { ports: [{ target: 1, published, mode }] } }).spec as never,
        id,
      ),
    )
  t.equal(
    conflict(443, PublishMode.INGRESS),
    `port '443' is already in use by service 'web' (${web.id}) as an ingress port`,
  )
  t.match(conflict(30_000, PublishMode.HOST), /already in use/)
  t.equal(conflict(443, PublishMode.INGRESS, web.id), undefined)
  t.equal(conflict(8443, PublishMode.INGRESS), undefined)
})

t.test('a gateway nobody needs is given back after a while', async t => {
  const w = new World()
  await w.start(['n1', 'n2'])
  t.teardown(() => w.stop())
  await w.store.update(tx => tx.create('network', aNetwork('back')))
  const service = await w.create(
    aService('web', {
      replicated: { replicas: 2 },
      task: aTaskSpec({ networks: [{ target: 'network-back' }] }),
    }),
  )
  await w.until(() => w.running(service.id).length === 2, 2 * SECOND)
  const gateways = () =>
    w.store.view(tx => tx.get('network', 'network-back')?.gateways.map(g => g.nodeId))
  t.equal(gateways()?.length, 2)
  await w.update(service.id, () => ({ replicated: { replicas: 1 } }))
  await w.run(10 * SECOND)
  t.equal(gateways()?.length, 2)
  await w.run(120 * SECOND)
  t.same(
    gateways(),
    w.running(service.id).map(x => x.nodeId),
  )
})
