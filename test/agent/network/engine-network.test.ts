// Goal: the engine has exactly one right network for each overlay, whatever it had before. Method: an engine in memory.
import t from 'tap'
import {
  ensureEngineNetworks,
  removeGoneEngineNetworks,
  type EngineNetwork,
} from '../../../agent/network/engine-network.ts'
import { planNetworks, type NetworkPlan } from '../../../agent/network/plan.ts'
import { aState, aTable } from './builders.ts'
import { EngineModel } from './engine-model.ts'

const plans = (...tables: Parameters<typeof aState>[0]): readonly NetworkPlan[] =>
  planNetworks(aState(tables), 1500).networks
const ensure = async (engine: EngineModel, networks: readonly NetworkPlan[]) =>
  ensureEngineNetworks(engine, await engine.list(), networks)

t.test('made as a bridge network whose whole range is the gateway', async t => {
  const engine = new EngineModel()
  const networks = plans(aTable(5, ['h1'], { internal: true }))
  t.match(await ensure(engine, networks), { made: 1, names: new Map([['network-5', 'n5']]) })
  t.match(engine.created, [
    {
      Name: 'n5',
      Driver: 'bridge',
      Internal: true,
      EnableIPv6: false,
      Options: {
        'com.docker.network.bridge.name': 'ovb1005',
        'com.docker.network.driver.mtu': '1450',
        'com.docker.network.bridge.gateway_mode_ipv4': 'nat-unprotected',
      },
      IPAM: {
        Config: [{ Subnet: '10.5.0.0/24', Gateway: '10.5.0.254', IPRange: '10.5.0.254/32' }],
      },
      Labels: { 'io.skein.network.id': 'network-5', 'io.skein.vni': '4101' },
    },
  ])
  t.match(await ensure(engine, networks), { made: 0 }, 'and left alone when it is right')
})

t.test('a name that is taken gets a suffix', async t => {
  const engine = new EngineModel()
  engine.add({ name: 'n5' })
  const { names } = await ensure(
    engine,
    plans(aTable(5, ['h1']), aTable(6, ['h1'], { name: 'host' })),
  )
  t.strictSame([...names.values()], ['n5.network-', 'host.network-'])
})

t.test('two overlays of one name in one pass', async t => {
  const engine = new EngineModel()
  const { names, failures } = await ensure(
    engine,
    plans(
      aTable(5, ['h1'], { name: 'x' }),
      aTable(6, ['h1'], { name: 'x', networkId: 'other-network' }),
    ),
  )
  t.equal(failures.size, 0)
  t.strictSame([...names.values()], ['x', 'x.other-ne'])
})

t.test('one that differs is made anew when unused, reported when in use', async t => {
  const engine = new EngineModel()
  await ensure(engine, plans(aTable(5, ['h1'])))
  const wider = plans(aTable(5, ['h1'], { mtu: 1400 }))
  const id = [...engine.networks.values()].find(network => network.name === 'n5')?.id ?? ''
  engine.inUse.add(id)
  const { failures } = await ensure(engine, wider)
  t.match(failures.get('network-5'), {
    code: 'FailedPrecondition',
    message: /^network n5: .* its network n5 has MTU 1450 instead of 1400 and is in use/,
  })
  engine.inUse.clear()
  t.match(await ensure(engine, wider), { made: 1, failures: new Map() })
  t.notOk(engine.networks.has(id))
})

t.test(
  'networks of overlays that left are removed, in use ones are held, others are not ours',
  async t => {
    const engine = new EngineModel()
    const label = (id: string, vni: string): Partial<EngineNetwork> => ({
      name: id,
      labels: { 'io.skein.network.id': id, 'io.skein.vni': vni },
    })
    const [gone, held, stays] = [
      engine.add(label('gone', '5001')),
      engine.add(label('held', '5002')),
      engine.add(label('stays', '5003')),
    ]
    engine.inUse.add(held)
    const users = engine.add({ name: 'theirs' })
    const result = await removeGoneEngineNetworks(engine, await engine.list(), new Set(['stays']))
    t.strictSame([...result.heldVnis], [5002])
    t.strictSame([...result.removed], [gone])
    t.ok(engine.networks.has(users))
    t.ok(engine.networks.has(stays))
    t.equal(engine.networks.size, 6)
  },
)
