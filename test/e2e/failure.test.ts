// Goal: nothing that is killed takes the cluster with it, and what ran goes on running.
// Method: SIGKILL and power cuts on three hosts that are all managers; containers are compared by id and start time.
import t from 'tap'
import { until } from '../support/cluster.ts'
import { clusterFor } from '../support/e2e.ts'
import type { Host } from '../lab/lab.ts'

const cluster = await clusterFor(t, 'failure')
const hosts = cluster.lab.hosts
const [h1] = hosts
if (!h1) throw new Error('the lab has no hosts')
const SERVICE = 'steady'

/** Id and start time of each container of the service on a host: equal means that nothing happened to them. */
const containers = async (host: Host): Promise<string> => {
  const ids = await host.docker(
    'ps',
    '-q',
    '--no-trunc',
    '--filter',
    `label=io.skein.service.name=${SERVICE}`,
  )
  if (ids === '') return ''
  const lines = await host.docker(
    'inspect',
    '--format',
    '{{.Id}} {{.State.StartedAt}} {{.RestartCount}}',
    ...ids.split('\n'),
  )
  return lines.split('\n').toSorted().join('\n')
}
const other = (host: Host): Host => {
  const found = hosts.find(candidate => candidate !== host)
  if (!found) throw new Error('there is only one host')
  return found
}
const settled = (via: Host): Promise<unknown> =>
  until(
    async () => {
      const rows = await cluster.rows(via, 'node', 'ls')
      const ready = rows.every(
        row => row['Status'] === 'Ready' && row['ManagerStatus'] !== 'Unreachable',
      )
      return ready && (await cluster.running(via, SERVICE)).length === 6
    },
    60_000,
    async () =>
      `not settled:\n${await cluster.run(via, 'node', 'ls')}\n${await cluster.run(via, 'service', 'ps', SERVICE)}`,
  )

t.test('six tasks run, two on each host', async t => {
  await cluster.run(
    h1,
    'service',
    'create',
    '--name',
    SERVICE,
    '--replicas',
    '6',
    'skein/tools:1',
    'sleep',
    '100000',
  )
  for (const host of hosts) t.equal((await containers(host)).split('\n').length, 2)
})

t.test('a daemon that restarts is noticed by no container', async t => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const before = await Promise.all(hosts.map(containers))
    await cluster.stopDaemon(h1, signal)
    await cluster.startDaemon(h1)
    await settled(other(h1))
    t.same(await Promise.all(hosts.map(containers)), before, signal)
  }
})

t.test('the leader is killed: another leads, writes go on, no task moves for it', async t => {
  const leader = await cluster.leader()
  if (!leader) throw new Error('no leader')
  const before = await Promise.all(hosts.map(containers))
  const via = other(leader)
  await cluster.stopDaemon(leader, 'SIGKILL')
  await cluster.run(via, 'node', 'update', '--label-add', 'after=leader', via.name)
  const next = await cluster.leader(via)
  t.ok(next && next !== leader)
  await cluster.startDaemon(leader)
  await settled(via)
  t.match(await cluster.run(leader, 'node', 'inspect', via.name), /"after": ?"leader"/)
  const now = await Promise.all(hosts.map(containers))
  t.same(now[hosts.indexOf(via)], before[hosts.indexOf(via)])
})

t.test('a follower is killed: the others go on; it catches up when it is back', async t => {
  const leader = await cluster.leader()
  if (!leader) throw new Error('no leader')
  const follower = other(leader)
  await cluster.stopDaemon(follower, 'SIGKILL')
  await cluster.run(leader, 'node', 'update', '--label-add', 'after=follower', leader.name)
  await cluster.startDaemon(follower)
  await settled(leader)
  t.match(await cluster.run(follower, 'node', 'inspect', leader.name), /"after": ?"follower"/)
})

t.test(
  'a majority is gone: writes are refused with the reason, and nothing that runs stops',
  async t => {
    const [a, b, c] = hosts
    if (!a || !b || !c) throw new Error('three hosts are needed')
    const before = await containers(c)
    await Promise.all([cluster.stopDaemon(a, 'SIGKILL'), cluster.stopDaemon(b, 'SIGKILL')])
    const refused = await cluster.skein(c, 'node', 'update', '--label-add', 'x=y', c.name)
    t.not(refused.code, 0)
    t.match(refused.stderr, /no manager leads|no leader|majority/i)
    t.equal(await containers(c), before)
    await Promise.all([cluster.startDaemon(a), cluster.startDaemon(b)])
    await settled(c)
    t.equal(await containers(c), before)
  },
)

t.test(
  'an engine is killed and comes back: its containers, kept alive, are still the same',
  async t => {
    const before = await containers(h1)
    await h1.stopEngine('SIGKILL')
    await new Promise(resume => setTimeout(resume, 2_000))
    await h1.startEngine()
    await settled(other(h1))
    t.equal(await containers(h1), before)
  },
)

t.test('a host loses power: its tasks run elsewhere, and it returns without doubles', async t => {
  const leader = await cluster.leader()
  if (!leader) throw new Error('no leader')
  const victim = other(leader)
  await victim.kill()
  await until(
    async () => {
      const running = await cluster.running(leader, SERVICE)
      return running.length === 6 && running.every(task => task.node !== victim.name)
    },
    40_000,
    async () => `the tasks did not move:\n${await cluster.run(leader, 'service', 'ps', SERVICE)}`,
  )
  await victim.start()
  await cluster.startDaemon(victim)
  await settled(leader)
  const counts = await Promise.all(
    hosts.map(async host => (await containers(host)).split('\n').filter(Boolean).length),
  )
  t.equal(
    counts.reduce((sum, count) => sum + count, 0),
    6,
  )
})

t.test(
  'a cut between the leader and the rest: one leader, and no write of the cut-off one',
  async t => {
    const leader = await cluster.leader()
    if (!leader) throw new Error('no leader')
    const via = other(leader)
    await cluster.lab.partition(leader.name)
    const next = await until(
      async () => {
        const host = await cluster.leader(via)
        return host !== undefined && host !== leader && host
      },
      20_000,
      () => 'the majority elected no leader',
    )
    const lone = await cluster.skein(
      leader,
      'node',
      'update',
      '--label-add',
      'lone=true',
      leader.name,
    )
    t.not(lone.code, 0, 'the minority must not acknowledge')
    await cluster.run(next, 'node', 'update', '--label-add', 'majority=true', next.name)
    await cluster.lab.heal()
    await settled(next)
    const inspected = await cluster.run(leader, 'node', 'inspect', leader.name, next.name)
    t.match(inspected, /"majority": ?"true"/)
    t.notMatch(inspected, /"lone": ?"true"/)
  },
)
