// Goal: a torn tail of a manager's log costs nothing that was acknowledged; damage in its middle is refused in words that
// name the place and the remedy, and the rest of the cluster goes on. Method: three managers; one's files are edited while
// its daemon is down.
import t from 'tap'
import { openSync, closeSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFs } from 'raft-ts'
import { readLog } from '../../packages/raft-ts/src/wal/recovery.ts'
import { segmentName } from '../../packages/raft-ts/src/wal/segment.ts'
import { until } from '../support/cluster.ts'
import { clusterFor } from '../support/e2e.ts'
import type { Host } from '../lab/lab.ts'

const cluster = await clusterFor(t, 'wal')
const [h1, h2, h3] = cluster.lab.hosts
if (!h1 || !h2 || !h3) throw new Error('the lab has too few hosts')

/** The log segment of a host's manager that is written to, and where its last record ends. */
const segment = async (host: Host): Promise<{ path: string; size: number }> => {
  const dir = join(host.dir, 'skein/manager/raft/wal')
  const { tail } = await readLog(nodeFs, dir, { countOnly: true })
  if (!tail) throw new Error(`no log segment in ${dir}`)
  return { path: join(dir, segmentName(tail.sequence)), size: tail.size }
}
const dataDir = (host: Host): string => join(host.dir, 'skein')
const label = (host: Host, via: Host, text: string): Promise<string> =>
  cluster.run(via, 'node', 'update', '--label-add', text, host.name)
const untilManagers = (via: Host): Promise<unknown> =>
  until(
    async () => {
      const rows = await cluster.rows(via, 'node', 'ls')
      return rows.every(
        row => row['Status'] === 'Ready' && /Leader|Reachable/.test(row['ManagerStatus'] ?? ''),
      )
    },
    40_000,
    () => cluster.run(via, 'node', 'ls'),
  )

t.test('a torn tail is cut, and what was acknowledged is still there', async t => {
  await label(h1, h1, 'before=tear')
  await cluster.stopDaemon(h3, 'SIGKILL')
  const { path, size } = await segment(h3)
  truncateSync(path, size - 3)
  await cluster.startDaemon(h3)
  await untilManagers(h1)
  t.match(await cluster.run(h3, 'node', 'inspect', 'h1'), /"before": ?"tear"/)
})

t.test('all managers are killed at once with torn tails: nothing acknowledged is lost', async t => {
  await label(h2, h1, 'all=torn')
  await Promise.all(cluster.lab.hosts.map(host => cluster.stopDaemon(host, 'SIGKILL')))
  // What follows the last whole record on a majority: a write that never came back.
  for (const host of [h1, h2]) {
    const { path, size } = await segment(host)
    const file = openSync(path, 'r+')
    writeSync(file, Buffer.alloc(20, 7), 0, 20, size)
    closeSync(file)
  }
  await Promise.all(cluster.lab.hosts.map(host => cluster.startDaemon(host)))
  await untilManagers(h1)
  t.match(await cluster.run(h1, 'node', 'inspect', 'h2'), /"all": ?"torn"/)
})

t.test(
  'a damaged middle is refused with file and offset; the others go on; nothing is overwritten',
  async t => {
    await cluster.stopDaemon(h3, 'SIGKILL')
    const { path, size } = await segment(h3)
    const damaged = readFileSync(path)
    const at = Math.floor(size / 2)
    damaged[at] = (damaged[at] ?? 0) ^ 0xff
    const file = openSync(path, 'r+')
    writeSync(file, damaged, 0, damaged.length, 0)
    closeSync(file)

    await cluster.startDaemon(h3)
    const info = await cluster.skein(h3, 'swarm', 'info')
    t.match(info.stdout + info.stderr, /damaged|corrupt/i)
    t.match(info.stdout + info.stderr, new RegExp(path.split('/').at(-1) ?? ''))
    t.match(info.stdout + info.stderr, /offset \d+|at \d+|byte \d+/)
    t.same(readFileSync(path), damaged, 'the damaged file is left as it is')

    await label(h1, h1, 'while=damaged')
    t.match(await cluster.run(h2, 'node', 'inspect', 'h1'), /"while": ?"damaged"/)
  },
)

t.test(
  'manager repair works on a stopped daemon only, shows what is lost, and cuts it',
  async t => {
    const refused = await cluster.skein(h3, 'manager', 'repair', '--data-dir', dataDir(h3), '--yes')
    t.not(refused.code, 0)
    t.match(refused.stderr, /in use by process \d+ \(skein daemon\)/)
    await cluster.stopDaemon(h3, 'SIGTERM')
    const done = await cluster.skein(h3, 'manager', 'repair', '--data-dir', dataDir(h3), '--yes')
    t.match(done.stdout, /is damaged at byte \d+/)
    t.match(done.stdout, /the last entry kept is \d+/)
    t.match(done.stdout, /was one of 3.*join again/)
    await cluster.startDaemon(h3)
  },
)

t.test('the damaged manager leaves and joins again', async t => {
  await cluster.run(h1, 'node', 'demote', 'h3')
  await cluster.run(h3, 'swarm', 'leave', '--force')
  await until(
    async () =>
      (await cluster.rows(h1, 'node', 'ls')).some(
        row => row['Hostname'] === 'h3' && row['Status'] === 'Down',
      ),
    40_000,
    () => cluster.run(h1, 'node', 'ls'),
  )
  await cluster.run(h1, 'node', 'rm', '--force', 'h3')
  await cluster.join(h3, 'manager')
  await untilManagers(h1)
  t.match(await cluster.run(h3, 'node', 'inspect', 'h1'), /"while": ?"damaged"/)
})
