// Goal: the node's networks follow the tables, recover from drift and faults, and tell a task when it may start and why not.
// Method: the whole network half over a model kernel and engine in virtual time.
import t from 'tap'
import { Registry } from 'prom-client'
import { nameTables } from '../../../agent/network/dns/answer.ts'
import { Forwarder } from '../../../agent/network/dns/forward.ts'
import { DnsServer } from '../../../agent/network/dns/server.ts'
import type { DnsSockets } from '../../../agent/network/dns/sockets.ts'
import { readHostFacts } from '../../../agent/network/facts.ts'
import { Firewall } from '../../../agent/network/firewall.ts'
import { OverlayNetworks } from '../../../agent/network/manager.ts'
import { NetworkMetrics } from '../../../agent/network/metrics.ts'
import { make } from '../../../proto/codec.ts'
import { v1, type Task } from '../../../proto/index.ts'
import { SimClock } from '../../../runtime/clock.ts'
import { StatusError } from '../../../runtime/errors.ts'
import { MemoryFs } from '../../../runtime/fs.ts'
import { MemoryLog } from '../../../runtime/log.ts'
import { seededRandom } from '../../../runtime/random.ts'
import { aState, aTable, aTask } from './builders.ts'
import { EngineModel } from './engine-model.ts'
import { KernelModel } from './kernel-model.ts'

class World {
  readonly clock = new SimClock()
  readonly kernel = new KernelModel()
  readonly engine = new EngineModel()
  readonly registry = new Registry()
  readonly log = new MemoryLog()
  readonly bound = new Set<string>()
  portTaken = false
  readonly networks: OverlayNetworks

  constructor() {
    const { clock, log, kernel, engine } = this
    const random = seededRandom(1)
    const sockets: DnsSockets = {
      listen: async address => {
        if (this.portTaken)
          throw new StatusError(
            'Unavailable',
            `DNS on ${address}:53/udp: another program has the port`,
          )
        this.bound.add(address)
        return { close: async () => void this.bound.delete(address) }
      },
      exchange: () => Promise.reject(new Error('no upstream')),
    }
    const metrics = new NetworkMetrics(this.registry)
    const forwarder = new Forwarder({
      clock,
      random,
      fs: new MemoryFs(),
      sockets,
      own: () => new Set(),
    })
    const dns = new DnsServer({ clock, random, log, sockets, forwarder, metrics })
    this.networks = new OverlayNetworks({
      clock,
      random,
      log,
      engine,
      dns,
      metrics,
      commands: kernel,
      firewall: new Firewall(kernel),
      nodeName: 'h1',
    })
  }

  /** Lets virtual time pass, and everything that happens in it. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.clock.monotonic() + ms
    for (;;) {
      for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
      if (!this.clock.step(untilMs)) break
    }
    this.clock.advance(untilMs - this.clock.monotonic())
  }

  /** The outcome of a promise that needs time to pass. */
  async during<T>(ms: number, work: Promise<T>): Promise<T | StatusError> {
    const outcome = work.catch((error: StatusError) => error)
    await this.pass(ms)
    return outcome
  }

  async metric(name: string): Promise<number> {
    const values = await this.registry.getSingleMetric(name)?.get()
    return values?.values.reduce((sum, { value }) => sum + value, 0) ?? 0
  }
}

const task = (id: string, ...networks: readonly (readonly [string, string])[]): Task =>
  make(v1.Task, { id, networks: networks.map(([networkId, address]) => ({ networkId, address })) })
const onN5 = task('a', ['network-5', '10.5.0.2'])

t.test(
  'a table becomes devices, a filter, an engine network and a name server; a task may start',
  async t => {
    const w = new World()
    t.strictSame(await w.networks.prepare(task('none'), 0), {
      attachments: [],
      dns: [],
      resolvConf: undefined,
    })
    w.networks.update(aState([aTable(5, ['h1', 'h2']), aTable(6, ['h1'])], 3))
    const networking = await w.during(
      100,
      w.networks.prepare(task('a', ['network-6', '10.6.0.2'], ['network-5', '10.5.0.2']), 5_000),
    )
    t.match(networking, {
      attachments: [
        {
          networkId: 'network-6',
          engineNetwork: 'n6',
          address: '10.6.0.2',
          mac: '02:42:0a:06:00:02',
        },
        { networkId: 'network-5', engineNetwork: 'n5', address: '10.5.0.2' },
      ],
      dns: ['10.6.0.254'],
      resolvConf: /^nameserver 10.6.0.254\noptions/,
    })
    t.ok(w.kernel.links.has('ovb1005') && w.kernel.links.has('ovx1006'))
    t.strictSame([...w.bound].sort(), ['10.5.0.254', '10.6.0.254'])
    t.strictSame(w.networks.applied(), { revision: 3, problems: [] })
    t.equal(await w.metric('skein_overlay_networks'), 2)
    t.equal(await w.metric('skein_overlay_transmit_errors_total'), 6)
    await w.networks.stop()
    t.ok(w.kernel.links.has('ovb1005'), 'traffic goes on without the agent')
    t.equal(w.bound.size, 0)
  },
)

t.test('nothing to do: nothing is written, and nothing counted as a repair', async t => {
  const w = new World()
  w.networks.update(aState([aTable(5, ['h1', 'h2'])]))
  await w.pass(100)
  const written = w.kernel.lines.length
  await w.pass(60_000)
  t.equal(w.kernel.lines.length, written)
  t.equal(await w.metric('skein_dataplane_repairs_total'), 0)
  await w.networks.stop()
})

t.test('drift is repaired within seconds and counted', async t => {
  const w = new World()
  w.networks.update(aState([aTable(5, ['h1', 'h2'])]))
  await w.pass(100)
  w.kernel.fdbSelf.clear()
  w.kernel.table = undefined
  const id = [...w.engine.networks.values()].find(network => network.name === 'n5')?.id ?? ''
  w.engine.networks.delete(id)
  await w.pass(5_100)
  t.equal(w.kernel.fdbSelf.size, 1)
  t.ok(w.kernel.table)
  t.ok([...w.engine.networks.values()].some(network => network.name === 'n5'))
  t.equal(await w.metric('skein_dataplane_repairs_total'), 3)
  t.ok(w.log.lines.some(line => line.message === 'network: the kernel had drifted'))
  await w.networks.stop()
})

t.test('a task waits for its gateway, and says so when it waited too long', async t => {
  const w = new World()
  w.networks.update(aState([]))
  t.match(await w.during(2_000, w.networks.prepare(onN5, 1_000)), {
    code: 'DeadlineExceeded',
    message:
      'networks of task a were not ready within 1000 ms: the managers have not sent network network-5 to node h1',
  })
  w.networks.update(aState([aTable(5, ['h2'])]))
  t.match(await w.during(2_000, w.networks.prepare(onN5, 1_000)), {
    message: /network n5 has no gateway address for node h1 yet/,
  })
  const waiting = w.networks.prepare(onN5, 10_000)
  await w.pass(3_000)
  w.networks.update(aState([aTable(5, ['h1', 'h2'])]))
  t.match(await w.during(500, waiting), { dns: ['10.5.0.254'] })
  await w.networks.stop()
})

t.test(
  'a subnet on a host route is refused at once, and other networks are not hindered',
  async t => {
    const w = new World()
    w.kernel.routes.push({ dst: '10.5.0.0/16', dev: 'eth0' })
    w.networks.update(
      aState(
        [
          aTable(5, ['h1']),
          aTable(6, ['h1'], {
            subnet: '172.20.0.0/24',
            gateways: [{ nodeId: 'h1', address: '172.20.0.9' }],
          }),
        ],
        8,
      ),
    )
    const message =
      'network n5: subnet 10.5.0.0/24 overlaps host route 10.5.0.0/16 dev eth0 on node h1'
    t.match(await w.during(100, w.networks.prepare(onN5, 60_000)), {
      code: 'FailedPrecondition',
      message,
    })
    t.notOk(w.kernel.links.has('ovb1005'))
    t.ok(w.kernel.links.has('ovb1006'))
    t.strictSame(w.networks.applied(), { revision: 8, problems: [message] })
    await w.networks.stop()
  },
)

t.test('what the kernel refuses is reported with its words; the revision waits', async t => {
  const w = new World()
  w.kernel.refuse = line => line.startsWith('link add ovx1005')
  w.networks.update(aState([aTable(5, ['h1']), aTable(6, ['h1'])], 4))
  t.match(await w.during(2_000, w.networks.prepare(onN5, 1_000)), {
    code: 'Internal',
    message: /^network n5: .*/,
  })
  t.equal(w.networks.applied().revision, 0)
  t.match(await w.during(100, w.networks.prepare(task('b', ['network-6', '10.6.0.2']), 1_000)), {
    dns: ['10.6.0.254'],
  })
  w.kernel.refuse = undefined
  await w.pass(1_100)
  t.strictSame(w.networks.applied(), { revision: 4, problems: [] })
  await w.networks.stop()
})

t.test('without the engine the kernel is still programmed, and devices stay', async t => {
  const w = new World()
  w.networks.update(aState([aTable(5, ['h1'])], 1))
  await w.pass(100)
  w.engine.isDown = true
  w.networks.update(aState([aTable(6, ['h1', 'h2'])], 2))
  await w.pass(100)
  t.ok(w.kernel.links.has('ovb1005'), 'the engine cannot say whether containers still run on it')
  t.equal(w.kernel.fdbSelf.size, 1)
  t.match(w.networks.applied(), { revision: 2, problems: [/^the engine does not answer/] })
  t.match(await w.during(2_000, w.networks.prepare(task('b', ['network-6', '10.6.0.2']), 1_000)), {
    code: 'Unavailable',
  })
  w.engine.isDown = false
  await w.pass(1_100)
  t.notOk(w.kernel.links.has('ovb1005'))
  t.strictSame(w.networks.applied(), { revision: 2, problems: [] })
  await w.networks.stop()
})

t.test('a network that left stays until its last container is gone, filter included', async t => {
  const w = new World()
  w.networks.update(aState([aTable(5, ['h1'])]))
  await w.pass(100)
  const id = [...w.engine.networks.values()].find(network => network.name === 'n5')?.id ?? ''
  w.engine.inUse.add(id)
  w.networks.update(aState([], 2))
  await w.pass(10_000)
  t.ok(w.kernel.links.has('ovb1005'))
  t.ok(w.kernel.table)
  w.engine.inUse.clear()
  await w.pass(5_100)
  t.notOk(w.kernel.links.has('ovb1005'))
  t.notOk(w.kernel.links.has('ovx1005'))
  t.equal(w.kernel.table, undefined)
  t.notOk(w.engine.networks.has(id))
  t.equal(await w.metric('skein_dataplane_repairs_total'), 0)
  await w.networks.stop()
})

t.test('flows of a task that left are cut, once', async t => {
  const w = new World()
  const endpoints = [aTask('a', '10.5.0.2', 'h1'), aTask('b', '10.5.0.3', 'h2')]
  w.networks.update(aState([aTable(5, ['h1'], { endpoints })]))
  await w.pass(100)
  w.networks.update(aState([aTable(5, ['h1'], { endpoints: endpoints.slice(0, 1) })], 2))
  await w.pass(20_000)
  t.strictSame(
    w.kernel.ran.filter(line => line.startsWith('conntrack')),
    ['conntrack -D --reply-src 10.5.0.3', 'conntrack -D --orig-dst 10.5.0.3'],
  )
  await w.networks.stop()
})

t.test('a started task gets hairpin ports where services have virtual addresses', async t => {
  const w = new World()
  const services = [{ serviceId: 's', name: 'web', virtualIp: '10.5.0.9' }]
  w.networks.update(aState([aTable(5, ['h1'], { services })]))
  await w.pass(100)
  t.equal(w.kernel.links.get('ovb1005')?.nfCall, 1)
  const port = { learning: true, neigh_suppress: false, hairpin: false }
  w.kernel.links.set('veth1', {
    kind: 'veth',
    mac: '5e:00:00:00:00:09',
    up: true,
    mtu: 1450,
    master: 'ovb1005',
    nfCall: 0,
    port,
  })
  await w.during(100, w.networks.started(onN5))
  t.equal(w.kernel.links.get('veth1')?.port.hairpin, true)
  await w.networks.stop()
})

t.test('a taken DNS port is a problem until it is free', async t => {
  const w = new World()
  w.portTaken = true
  w.networks.update(aState([aTable(5, ['h1'])]))
  await w.pass(100)
  t.match(w.networks.applied().problems, ['DNS on 10.5.0.254:53/udp: another program has the port'])
  w.portTaken = false
  await w.pass(1_100)
  t.strictSame(w.networks.applied().problems, [])
  await w.networks.stop()
})

t.test('a host without the tools says which; a node on no overlay needs none but ip', async t => {
  const w = new World()
  w.kernel.missing.add('bridge')
  w.networks.update(aState([]))
  await w.pass(100)
  t.strictSame(w.networks.applied(), { revision: 1, problems: [] })
  w.networks.update(aState([aTable(5, ['h1'])], 2))
  t.match(await w.during(2_000, w.networks.prepare(onN5, 1_000)), {
    message: /bridge is not installed on this host/,
  })
  t.strictSame(w.networks.applied(), {
    revision: 1,
    problems: ['network: bridge is not installed on this host'],
  })
  await w.networks.stop()
})

t.test('what the managers are told of the host', async t => {
  const { kernel } = new World()
  kernel.routes.push({ dst: '10.8.0.0/16', dev: 'tun0' }, { dst: '10.5.0.0/24', dev: 'ovb1005' })
  t.strictSame(await readHostFacts(kernel, '192.0.2.1'), {
    underlayMtu: 1500,
    hostRoutes: ['10.8.0.0/16', '192.0.2.0/24'],
  })
  await t.rejects(readHostFacts(kernel, '192.0.2.9'), { code: 'FailedPrecondition' })
  t.equal(nameTables('h1', []).networks.length, 0)
})

t.test('a node on no network asks the kernel nothing, until it is on one', async t => {
  const w = new World()
  w.networks.update(aState([], 1))
  await w.pass(100)
  const asked = w.kernel.ran.length
  t.ok(asked > 0, 'what an earlier life left is looked for once')
  await w.pass(60_000)
  t.equal(w.kernel.ran.length, asked)
  w.networks.update(aState([aTable(5, ['h1'])], 2))
  await w.during(100, w.networks.prepare(onN5, 5_000))
  t.equal(w.networks.applied().revision, 2)
  w.networks.update(aState([], 3))
  await w.pass(10_000)
  t.equal(w.networks.applied().revision, 3)
  t.same([...w.kernel.links.keys()], ['eth0'])
  const after = w.kernel.ran.length
  await w.pass(60_000)
  t.equal(w.kernel.ran.length, after)
})
