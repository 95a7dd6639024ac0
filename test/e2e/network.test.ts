// Goal: containers of one network reach each other across hosts by address and by every name, and the kernel's state is
// repaired when somebody breaks it. Method: three hosts, real VXLAN, ping and lookups from inside containers.
import t from 'tap'
import { until } from '../support/cluster.ts'
import { clusterFor } from '../support/e2e.ts'
import type { Host } from '../lab/lab.ts'

const cluster = await clusterFor(t, 'network', { managers: 1 })
const [h1, h2, h3] = cluster.lab.hosts
if (!h1 || !h2 || !h3) throw new Error('the lab has too few hosts')
const IMAGE = 'skein/tools:1'

const containerOf = (host: Host, service: string): Promise<string> =>
  host.docker('ps', '-q', '--filter', `label=io.skein.service.name=${service}`)
const inside = async (
  host: Host,
  service: string,
  ...argv: string[]
): Promise<{ code: number; text: string }> => {
  const id = await containerOf(host, service)
  const { code, stdout, stderr } = await host.exec(['docker', 'exec', id, ...argv], {
    timeoutMs: 30_000,
  })
  return { code, text: stdout + stderr }
}
const reaches = async (host: Host, service: string, target: string): Promise<boolean> =>
  (await inside(host, service, 'ping', '-c', '1', '-W', '2', target)).code === 0

await cluster.run(
  h1,
  'network',
  'create',
  '--driver',
  'overlay',
  '--subnet',
  '10.210.0.0/24',
  'blue',
)
await cluster.run(h1, 'network', 'create', '--driver', 'overlay', 'red')

t.test('three tasks with fixed addresses, one a host, have them', async t => {
  await cluster.run(
    h1,
    'service',
    'create',
    '--name',
    'web',
    '--replicas',
    '3',
    '--network',
    'name=blue,alias=site',
    '--address',
    'blue=10.210.0.21,10.210.0.22,10.210.0.23',
    IMAGE,
    'web',
    '80',
  )
  const rows = await cluster.running(h1, 'web')
  t.equal(rows.length, 3)
  for (const { name, node } of rows) {
    const { text } = await inside(cluster.lab.host(node), 'web', 'ip', '-4', 'addr', 'show')
    t.match(text, new RegExp(`10\\.210\\.0\\.2${name.split('.')[1]}/24`))
  }
})

t.test('they reach each other by address across hosts', async t => {
  for (const host of cluster.lab.hosts) {
    for (const last of [21, 22, 23])
      t.ok(await reaches(host, 'web', `10.210.0.${last}`), `${host.name} to .${last}`)
  }
})

t.test('a large packet crosses at the network’s MTU', async t => {
  const { code, text } = await inside(
    h1,
    'web',
    'sh',
    '-c',
    'dd if=/dev/zero bs=1M count=8 2>/dev/null | nc -w 5 10.210.0.22 80; ip link show eth0',
  )
  t.match(text, /mtu 1450/)
  t.type(code, 'number')
})

t.test('names: the service, its alias, tasks.service and each slot', async t => {
  for (const name of ['web', 'site', 'tasks.web']) {
    const { text } = await inside(h1, 'web', 'nslookup', name)
    for (const last of [21, 22, 23]) t.match(text, new RegExp(`10\\.210\\.0\\.${last}`), name)
  }
  t.match((await inside(h3, 'web', 'nslookup', 'web.2')).text, /10\.210\.0\.22/)
  t.not((await inside(h1, 'web', 'nslookup', 'nobody')).code, 0)
})

t.test('HTTP by name works from a service on two networks, and not from a stranger', async t => {
  await cluster.run(
    h1,
    'service',
    'create',
    '--name',
    'both',
    '--network',
    'blue',
    '--network',
    'red',
    '--constraint',
    'node.hostname==h3',
    IMAGE,
    'sleep',
    '100000',
  )
  await cluster.run(
    h1,
    'service',
    'create',
    '--name',
    'stranger',
    '--network',
    'red',
    '--constraint',
    'node.hostname==h2',
    IMAGE,
    'sleep',
    '100000',
  )
  t.equal((await inside(h3, 'both', 'curl', '-sf', '-m', '5', 'http://web/')).code, 0)
  t.not((await inside(h2, 'stranger', 'curl', '-sf', '-m', '3', 'http://web/')).code, 0)
  t.ok(await reaches(h2, 'stranger', 'both'))
})

t.test('what somebody deletes from the kernel is put back', async t => {
  const { stdout } = await h1.exec([
    'sh',
    '-c',
    "ip -o link show type vxlan | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/'",
  ])
  for (const device of stdout.split('\n').filter(Boolean))
    await h1.exec(['ip', 'link', 'del', device])
  await h1.exec(['nft', 'delete', 'table', 'ip', 'skein'])
  await until(
    () => reaches(h1, 'web', '10.210.0.22'),
    20_000,
    () => 'the overlay was not repaired',
  )
  t.pass('reachable again')
})

t.test('a slot that moves keeps its address and its name', async t => {
  await cluster.run(h1, 'node', 'update', '--availability', 'drain', 'h2')
  await until(
    async () => {
      const rows = await cluster.running(h1, 'web')
      return rows.length === 3 && rows.every(row => row.node !== 'h2')
    },
    40_000,
    () => cluster.run(h1, 'service', 'ps', 'web'),
  )
  for (const last of [21, 22, 23]) {
    await until(
      () => reaches(h3, 'both', `10.210.0.${last}`),
      15_000,
      () => `.${last} cannot be reached after the move`,
    )
  }
  t.match((await inside(h3, 'both', 'nslookup', 'tasks.web')).text, /10\.210\.0\.22/)
  await cluster.run(h1, 'node', 'update', '--availability', 'active', 'h2')
})

t.test('a network in use is not removed; unused it leaves no device', async t => {
  const used = await cluster.skein(h1, 'network', 'rm', 'blue')
  t.equal(used.code, 1)
  t.match(used.stderr, /in use by/)
  await cluster.run(h1, 'service', 'rm', 'web', 'both', 'stranger')
  await cluster.run(h1, 'network', 'rm', 'blue', 'red')
  for (const host of cluster.lab.hosts) {
    await until(
      async () => (await host.exec(['ip', '-o', 'link', 'show', 'type', 'vxlan'])).stdout === '',
      30_000,
      async () =>
        `${host.name} keeps ${(await host.exec(['ip', '-o', 'link', 'show', 'type', 'vxlan'])).stdout}`,
    )
  }
  t.pass('no VXLAN device is left')
})

t.test('subnets that clash are refused with both names', async t => {
  await cluster.run(h1, 'network', 'create', '--subnet', '10.220.0.0/24', 'one')
  const overlap = await cluster.skein(h1, 'network', 'create', '--subnet', '10.220.0.128/25', 'two')
  t.equal(overlap.code, 1)
  t.match(overlap.stderr, /10\.220\.0\.128\/25.*one|one.*10\.220/s)
  const lan = await cluster.skein(h1, 'network', 'create', '--subnet', `${h1.address}/24`, 'lan')
  t.equal(lan.code, 1)
  await cluster.run(h1, 'network', 'rm', 'one')
})
