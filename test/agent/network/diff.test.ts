// Goal: whatever the kernel has, applying the difference gives what the tables say, and then there is no difference.
// Method: a model of the kernel, brought into random states through random tables and vandalism.
import t from 'tap'
import fc from 'fast-check'
import { applyKernel, batchFailures, readKernel } from '../../../agent/network/apply.ts'
import { changeCount, diffKernel } from '../../../agent/network/diff.ts'
import { planNetworks, type NetworkPlan } from '../../../agent/network/plan.ts'
import { aState, aTable, aTask } from './builders.ts'
import { KernelModel } from './kernel-model.ts'

const plans = (...args: Parameters<typeof aState>): readonly NetworkPlan[] =>
  planNetworks(aState(...args), 1500).networks

async function converge(
  kernel: KernelModel,
  networks: readonly NetworkPlan[],
  rounds = 2,
): Promise<number> {
  for (let i = 0; i < rounds; i++)
    await applyKernel(kernel, diffKernel(await readKernel(kernel, networks), networks))
  return changeCount(diffKernel(await readKernel(kernel, networks), networks))
}

const node = fc.constantFrom('h1', 'h2', 'h3')
const table = fc
  .record({
    k: fc.integer({ min: 1, max: 3 }),
    nodes: fc.uniqueArray(node, { minLength: 1 }),
    mtu: fc.constantFrom(0, 1300),
    virtualIp: fc.constantFrom('', 'vip'),
    tasks: fc.uniqueArray(fc.tuple(fc.integer({ min: 2, max: 9 }), node), {
      selector: ([host]) => host,
    }),
  })
  .map(({ k, nodes, mtu, virtualIp, tasks }) =>
    aTable(k, nodes, {
      mtu,
      services: [{ serviceId: 's', virtualIp: virtualIp && `10.${k}.0.99` }],
      endpoints: tasks.map(([host, on]) => aTask(`t${host}`, `10.${k}.0.${host}`, on)),
    }),
  )
const tables = fc.uniqueArray(table, { selector: ({ networkId }) => networkId })
/** Things people, engines and reboots do. */
const vandalism = fc.array(
  fc.constantFrom<(kernel: KernelModel, networks: readonly NetworkPlan[]) => Promise<unknown>>(
    (k, n) =>
      batch(
        k,
        'ip',
        n.map(({ vxlan }) => `link del ${vxlan}`),
      ),
    (k, n) =>
      batch(
        k,
        'ip',
        n.map(({ bridge }) => `link del ${bridge}`),
      ),
    (k, n) =>
      batch(
        k,
        'ip',
        n.map(({ bridge }) => `link set ${bridge} address 02:00:00:00:00:77`),
      ),
    (k, n) =>
      batch(
        k,
        'ip',
        n.map(({ bridge }) => `addr replace 10.200.0.1/24 dev ${bridge}`),
      ),
    (k, n) =>
      batch(
        k,
        'ip',
        n.map(
          ({ bridge }) =>
            `neigh replace 10.200.0.9 lladdr 02:00:00:00:00:09 dev ${bridge} nud permanent`,
        ),
      ),
    (k, n) =>
      batch(
        k,
        'bridge',
        n.map(({ vxlan }) => `link set dev ${vxlan} learning on neigh_suppress off`),
      ),
    (k, n) =>
      batch(
        k,
        'bridge',
        n.map(({ vxlan }) => `fdb replace 00:00:00:00:00:00 dev ${vxlan} dst 192.0.2.9 self`),
      ),
    (k, n) =>
      batch(
        k,
        'bridge',
        n.map(
          ({ vxlan }) => `fdb replace 02:42:0a:01:00:02 dev ${vxlan} dst 192.0.2.9 self static`,
        ),
      ),
    async k => k.fdbMaster.clear(),
    async k => k.neighbours.clear(),
    async k => k.addresses.delete('ovb1001'),
    async k =>
      k.links.set('ovx1002', {
        ...(k.links.get('ovx1002') ?? veth('ovb1002')),
        kind: 'vxlan',
        vxlan: { id: 4098, local: '192.0.2.99', port: 4789, learning: true, ttl: 0 },
      }),
    async k => k.links.set('vethabc', veth('ovb1001')),
    async k => [...k.sysctls.keys()].forEach(key => k.sysctls.set(key, '0')),
  ),
  { maxLength: 4 },
)

const veth = (master: string) => ({
  kind: 'veth',
  mac: '5e:00:00:00:00:02',
  up: true,
  mtu: 1450,
  master,
  nfCall: 0,
  port: { learning: true, neigh_suppress: false, hairpin: false },
})

function batch(kernel: KernelModel, tool: string, lines: readonly string[]): Promise<unknown> {
  return kernel.run([tool, '-force', '-batch', '-'], lines.join('\n'))
}

t.test('converges from anything to anything, and rests there', async t => {
  await fc.assert(
    fc.asyncProperty(tables, tables, vandalism, async (before, after, acts) => {
      const kernel = new KernelModel()
      await converge(kernel, plans(before))
      for (const act of acts) await act(kernel, plans(before))
      const left = await converge(kernel, plans(after))
      return left === 0
    }),
    { numRuns: 300 },
  )
  t.pass('300 random histories')
})

t.test('from nothing, one round is enough and no line fails', async t => {
  await fc.assert(
    fc.asyncProperty(tables, async wanted => {
      const kernel = new KernelModel()
      const networks = plans(wanted)
      const failures = await applyKernel(
        kernel,
        diffKernel(await readKernel(kernel, networks), networks),
      )
      // Settings of a device are read again once it is there.
      return failures.length === 0 && (await converge(kernel, networks, 0)) === 0
    }),
    { numRuns: 100 },
  )
  t.pass('100 random tables')
})

t.test('a moved address is one forwarding entry', async t => {
  const kernel = new KernelModel()
  const on = (where: string) =>
    plans([aTable(1, ['h1', 'h2', 'h3'], { endpoints: [aTask('a', '10.1.0.2', where)] })])
  await converge(kernel, on('h2'))
  const { ip, bridge, sysctls } = diffKernel(await readKernel(kernel, on('h3')), on('h3'))
  t.strictSame(
    [...ip, ...bridge, ...sysctls].map(change => 'text' in change && change.text),
    ['fdb replace 02:42:0a:01:00:02 dev ovx1001 dst 192.0.2.3 self static'],
  )
  t.end()
})

t.test('a VXLAN device that lost neighbour suppression alone is repaired', async t => {
  const kernel = new KernelModel()
  const networks = plans([aTable(1, ['h1', 'h2'])])
  await converge(kernel, networks)
  await batch(kernel, 'bridge', ['link set dev ovx1001 neigh_suppress off'])
  const { ip, bridge } = diffKernel(await readKernel(kernel, networks), networks)
  t.strictSame(
    [...ip, ...bridge].map(line => line.text),
    ['link set dev ovx1001 learning off neigh_suppress on'],
  )
})

t.test(
  "others' devices are never touched; own ones of networks that left go, unless held",
  async t => {
    const kernel = new KernelModel()
    for (const name of ['docker0', 'br-1234', 'ovn0', 'ovbridge', 'vxlan1', 'ovs-system'])
      kernel.links.set(name, { ...veth(''), kind: 'bridge' })
    await converge(kernel, plans([aTable(1, ['h1']), aTable(2, ['h1'])]))
    const have = await readKernel(kernel, [])
    t.strictSame(
      diffKernel(have, [])
        .ip.map(line => line.text)
        .sort(),
      ['link del ovb1001', 'link del ovb1002', 'link del ovx1001', 'link del ovx1002'],
    )
    t.strictSame(
      diffKernel(have, [], new Set(['ovb1001', 'ovx1001']))
        .ip.map(line => line.text)
        .sort(),
      ['link del ovb1002', 'link del ovx1002'],
    )
  },
)

t.test('failures of a batch are laid at the door of their network', t => {
  const lines = [
    { networkId: 'a', text: 'link del ovb1' },
    { networkId: 'b', text: 'link add ovb2 type bridge' },
  ]
  t.strictSame(batchFailures('ip', lines, 'RTNETLINK answers: File exists\nCommand failed -:2\n'), [
    { networkId: 'b', message: 'ip link add ovb2 type bridge: RTNETLINK answers: File exists' },
  ])
  t.match(batchFailures('ip', lines, 'cannot open netlink'), [
    { networkId: '', message: /cannot open netlink/ },
  ])
  t.end()
})
