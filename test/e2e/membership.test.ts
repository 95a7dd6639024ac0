// Goal: nodes enter, change role and leave as told, and a wrong or old token opens nothing.
// Method: four hosts of the lab, the built command line, and what `node ls` says.
import t from 'tap'
import { Cluster, until } from '../support/cluster.ts'
import { labFor } from '../support/e2e.ts'

const lab = await labFor(t, 'member', 4)
const [h1, h2, h3, h4] = lab.hosts
if (!h1 || !h2 || !h3 || !h4) throw new Error('the lab has too few hosts')
const cluster = new Cluster(lab)
for (const host of lab.hosts) await cluster.startDaemon(host)

/** The manager that is asked; h1 for as long as it is one. */
let via = h1
const status = async (name: string): Promise<Record<string, string> | undefined> =>
  (await cluster.rows(via, 'node', 'ls')).find(row => row['Hostname'] === name)
const untilStatus = (
  name: string,
  holds: (row: Record<string, string>) => boolean,
): Promise<unknown> =>
  until(
    async () => {
      const row = await status(name)
      return row !== undefined && holds(row)
    },
    20_000,
    async () => `${name} did not get there:\n${await cluster.run(via, 'node', 'ls')}`,
  )

t.test('before init, commands say that the node is in no cluster and what to do', async t => {
  const { code, stderr } = await cluster.skein(h1, 'node', 'ls')
  t.equal(code, 1)
  t.match(stderr, /not part of a (cluster|swarm)/i)
  t.match(stderr, /swarm init/)
})

t.test('init makes a cluster of one, and refuses a second time', async t => {
  const printed = await cluster.run(h1, 'swarm', 'init', '--advertise-addr', h1.address)
  t.match(printed, /SKNTKN-1-/)
  t.match(await status('h1'), { Status: 'Ready', Availability: 'Active', ManagerStatus: 'Leader' })
  const again = await cluster.skein(h1, 'swarm', 'init', '--advertise-addr', h1.address)
  t.equal(again.code, 1)
  t.match(again.stderr, /already/)
})

t.test(
  'a right token joins a worker; a wrong secret, a wrong digest and nonsense do not',
  async t => {
    const token = await cluster.token('worker')
    const join = (text: string): ReturnType<Cluster['skein']> =>
      cluster.skein(h2, 'swarm', 'join', '--token', text, `${h1.address}:2377`)

    const wrongSecret = await join(
      `${token.slice(0, -5)}${token.endsWith('00000') ? '11111' : '00000'}`,
    )
    t.not(wrongSecret.code, 0)
    t.match(wrongSecret.stderr, /token was refused/)

    const parts = token.split('-')
    const digest = parts[2] ?? ''
    parts[2] = (digest.startsWith('0') ? '1' : '0') + digest.slice(1)
    const wrongDigest = await join(parts.join('-'))
    t.not(wrongDigest.code, 0)
    t.match(wrongDigest.stderr, /not of the cluster|secret was not sent/)

    const nonsense = await join('hello')
    t.not(nonsense.code, 0)
    t.match(nonsense.stderr, /token/)

    await cluster.join(h2, 'worker')
    await untilStatus('h2', row => row['Status'] === 'Ready' && row['ManagerStatus'] === '')
  },
)

t.test('a rotated token stops working at once; the new one works', async t => {
  const old = await cluster.token('worker')
  const fresh = await cluster.run(h1, 'swarm', 'join-token', '--rotate', '-q', 'worker')
  t.not(fresh, old)
  const refused = await cluster.skein(h3, 'swarm', 'join', '--token', old, `${h1.address}:2377`)
  t.not(refused.code, 0)
  t.match(refused.stderr, /token was refused/)
  await cluster.join(h3, 'worker')
  await untilStatus('h3', row => row['Status'] === 'Ready')
})

t.test('a worker cannot ask what only managers answer', async t => {
  const { code, stderr } = await cluster.skein(h2, 'node', 'ls')
  t.equal(code, 1)
  t.match(stderr, /not a (swarm )?manager/i)
})

t.test('promote makes managers without a restart; the new ones answer', async t => {
  const before = [cluster.daemonPid(h2), cluster.daemonPid(h3)]
  await cluster.run(h1, 'node', 'promote', 'h2', 'h3')
  await untilStatus('h2', row => row['ManagerStatus'] === 'Reachable')
  await untilStatus('h3', row => row['ManagerStatus'] === 'Reachable')
  t.match(await cluster.run(h3, 'node', 'ls'), /Leader/)
  t.same([cluster.daemonPid(h2), cluster.daemonPid(h3)], before)
})

t.test('writes made at a follower are there everywhere', async t => {
  await cluster.run(h3, 'node', 'update', '--label-add', 'zone=b', 'h2')
  t.match(await cluster.run(h2, 'node', 'inspect', 'h2'), /"zone": ?"b"/)
})

t.test('the leader itself can be demoted: another leads, nothing stops', async t => {
  via = h2
  await cluster.run(h2, 'node', 'demote', 'h1')
  const leader = await until(
    async () => {
      const host = await cluster.leader(h2)
      return host !== undefined && host !== h1 && host
    },
    20_000,
    () => 'no other manager leads',
  )
  t.ok(leader)
  await until(
    async () => {
      const row = (await cluster.rows(h2, 'node', 'ls')).find(row => row['Hostname'] === 'h1')
      return row?.['ManagerStatus'] === '' && row['Status'] === 'Ready'
    },
    20_000,
    () => 'h1 did not become a worker',
  )
  await cluster.run(h2, 'node', 'promote', 'h1')
  await untilStatus('h1', row => row['ManagerStatus'] === 'Reachable')
})

t.test('a worker leaves; it is down, then removed; it can join again', async t => {
  await cluster.join(h4, 'worker', h2)
  await untilStatus('h4', row => row['Status'] === 'Ready')
  await cluster.run(h4, 'swarm', 'leave')
  await untilStatus('h4', row => row['Status'] === 'Down')
  await cluster.run(h1, 'node', 'rm', 'h4')
  t.equal(await status('h4'), undefined)
  await cluster.join(h4, 'worker', h2)
  await untilStatus('h4', row => row['Status'] === 'Ready')
})

t.test(
  'a live node is not removed without --force, a manager not before it is demoted',
  async t => {
    const live = await cluster.skein(h1, 'node', 'rm', 'h4')
    t.equal(live.code, 1)
    t.match(live.stderr, /not down|is ready|drain|leave|--force/i)
    const manager = await cluster.skein(h1, 'node', 'rm', '--force', 'h2')
    t.equal(manager.code, 1)
    t.match(manager.stderr, /demote/)
  },
)

t.test('a removed node that comes back is refused', async t => {
  await cluster.run(h1, 'node', 'rm', '--force', 'h4')
  await until(
    async () =>
      (await cluster.run(h4, 'swarm', 'info')).match(
        /removed|refused|no session|not connected|error/i,
      ) !== null,
    20_000,
    async () => `h4 does not notice:\n${await cluster.run(h4, 'swarm', 'info')}`,
  )
  t.equal(await status('h4'), undefined)
})
