// Goal: a cluster outlives the loss of its managers: a survivor goes on with what runs, and a backup begins it anew elsewhere.
// Method: three managers and a bare host of the lab; two managers die for good; the file is restored on the bare host.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Cluster, until } from '../support/cluster.ts'
import { labFor } from '../support/e2e.ts'
import type { Host } from '../lab/lab.ts'

const lab = await labFor(t, 'backup', 4)
const [h1, h2, h3, h4] = lab.hosts
if (!h1 || !h2 || !h3 || !h4) throw new Error('the lab has too few hosts')
const cluster = new Cluster(lab)
const managers = [h1, h2, h3]
for (const host of lab.hosts) await cluster.startDaemon(host)
await cluster.run(h1, 'swarm', 'init', '--advertise-addr', h1.address)
for (const host of [h2, h3]) await cluster.join(host, 'manager')
const file = join(h4.dir, 'cluster.bak')

/** Containers of the service on a host: id and start time. */
const containers = async (host: Host): Promise<string> => {
  const filter = ['--filter', 'label=io.skein.service.name=steady']
  return host.docker('ps', '--no-trunc', ...filter, '--format', '{{.ID}} {{.CreatedAt}}')
}
const isRunning = (via: Host, count: number): Promise<unknown> =>
  until(
    async () => (await cluster.running(via, 'steady')).length === count,
    60_000,
    async () => `not ${count} tasks:\n${await cluster.run(via, 'service', 'ps', 'steady')}`,
  )
const lose = (text: string): number => (JSON.parse(text) as { CanLose: number }).CanLose

t.test('a backup is taken online, from a manager that does not lead', async t => {
  await cluster.run(h1, 'network', 'create', 'quay')
  const secret = ['secret', 'create', '--label', 'of=harbour', 'key', '/etc/hostname']
  await cluster.run(h1, ...secret)
  const create = ['service', 'create', '--name', 'steady', '--replicas', '3', '--network', 'quay']
  await cluster.run(h1, ...create, 'skein/tools:1', 'sleep', '100000')
  const leader = await cluster.leader()
  const follower = managers.find(host => host !== leader) ?? h1
  t.match(
    await cluster.run(follower, 'cluster', 'backup', file),
    /Cluster default .* as of index \d+/,
  )
  t.equal(statSync(file).mode & 0o777, 0o600)
})

t.test('manager status says how many may be lost, on any manager', async t => {
  for (const host of managers) {
    t.match(await cluster.run(host, 'manager', 'status'), /You can lose 1 manager: 3 of 3/)
    t.equal(lose(await cluster.run(host, 'manager', 'status', '--format', 'json')), 1)
  }
})

t.test('with a quorum left nothing is recovered', async t => {
  await cluster.stopDaemon(h1, 'SIGKILL')
  await until(
    async () => (await cluster.leader(h2)) !== undefined && (await cluster.leader(h2)) !== h1,
    20_000,
    () => 'nobody leads after h1',
  )
  const refused = await cluster.skein(h3, 'cluster', 'recover', '--yes')
  t.equal(refused.code, 1)
  t.match(refused.stderr, /there is a leader/)
})

t.test(
  'two of three managers are gone for good: the third goes on, and so does what runs',
  async t => {
    await cluster.stopDaemon(h2, 'SIGKILL')
    const before = await containers(h3)
    const stuck = await cluster.run(h3, 'manager', 'status')
    t.match(stuck, /There is no quorum: 1 of 3/)
    t.match(stuck, /skein cluster recover/)
    const unasked = await cluster.skein(h3, 'cluster', 'recover')
    t.equal(unasked.code, 1, 'without a terminal it wants --yes')
    t.match(unasked.stdout, /ends at entry \d+.*\n.*May be missing/)
    t.match(await cluster.run(h3, 'cluster', 'recover', '--yes'), /leads alone/)
    t.match(await cluster.run(h3, 'manager', 'status'), /You can lose no manager: 1 of 1/)
    t.match(await cluster.run(h3, 'secret', 'ls'), /key/)
    t.match(await cluster.run(h3, 'network', 'ls'), /quay/)
    await isRunning(h3, 3)
    t.match(await containers(h3), before, 'its own containers went on')
    await cluster.run(h3, 'service', 'scale', '--detach', 'steady=4')
    await isRunning(h3, 4)
  },
)

t.test('a manager that was left behind and comes back joins anew', async t => {
  await cluster.startDaemon(h2)
  await until(
    async () => {
      const json = await cluster.run(h3, 'manager', 'status', '--format', 'json')
      return (JSON.parse(json) as { HealthyVoters: number }).HealthyVoters === 2
    },
    40_000,
    async () => `h2 did not join:\n${await cluster.run(h3, 'manager', 'status')}`,
  )
  t.match(await cluster.run(h2, 'service', 'ls'), /steady/)
})

t.test('the backup is refused where a cluster is, and restored on a bare host', async t => {
  const refused = await cluster.skein(h3, 'cluster', 'restore', file)
  t.equal(refused.code, 1)
  t.match(refused.stderr, /already part of a cluster/)
  // The cluster of before must not be there beside its copy.
  for (const host of [h2, h3]) await cluster.stopDaemon(host, 'SIGKILL')
  const restored = await cluster.run(h4, 'cluster', 'restore', file, '--advertise-addr', h4.address)
  t.match(restored, /1 service, .*1 secret/)
  t.match(await cluster.run(h4, 'secret', 'ls'), /key/)
  t.match(await cluster.run(h4, 'network', 'ls'), /quay/)
  const nodes = await cluster.rows(h4, 'node', 'ls')
  t.equal(nodes.filter(row => row['Status'] === 'Down').length, 3)
  t.match(
    nodes.find(row => row['Hostname'] === 'h4'),
    { ManagerStatus: 'Leader' },
  )
  await isRunning(h4, 3)
  const token = await cluster.token('worker', h4)
  t.match(token, /^SKNTKN-1-/)
})
