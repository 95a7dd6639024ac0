// Goal: a node whose disk fails, fills up or stalls ends or steps aside with a reason, and what it had vouched for is kept.
// Method: one node or a few on virtual disks that refuse, run full, hang, or lose what was not synced.
import t from 'tap'
import { MemoryFs, type RaftNodeOptions, VirtualClock } from '../src/index.ts'
import { openStorage } from '../src/driver/open.ts'
import { withDefaults } from '../src/options.ts'
import { readLog } from '../src/wal/recovery.ts'
import { SnapshotStore } from '../src/wal/snapshot-store.ts'
import { bytes, Cluster } from './cluster.ts'
import { Machine } from './sim/machine.ts'

t.test('a failed sync and a failing state machine end the node, once', async t => {
  const c = new Cluster()
  let broken = false
  let syncs = 0
  c.disks.set(
    1,
    new MemoryFs({
      before: operation => {
        if (!broken || operation !== 'sync') return
        syncs++
        throw new Error('EIO')
      },
    }),
  )
  const leader = await c.start([1, 2, 3])
  broken = true
  const proposal = leader.propose(bytes('x'))
  await t.rejects(c.during(proposal, 100), { code: 'OutcomeUnknown' })
  t.match(c.fatal, [
    { code: 'DiskFailed', message: /0000000001\.wal could not .* EIO\. It is not/ },
  ])
  t.equal(syncs, 1, 'the sync was not tried again')
  const other = c.machines.get(2) as Machine
  other.apply = () => {
    throw new Error('diverged')
  }
  await c.pass(3000)
  t.match(
    c.fatal.map(e => e.message),
    [/EIO/, 'diverged'],
  )
})

t.test(
  'a snapshot that cannot be synced ends the node; one without room is tried again',
  async t => {
    const c = new Cluster()
    let code = ''
    const disk = new MemoryFs({
      before: (operation, path) => {
        if (code !== '' && operation === 'sync' && path.includes('snap/'))
          throw Object.assign(new Error(code), { code })
      },
    })
    c.disks.set(1, disk)
    const leader = await c.start([1], { snapshotEntries: 5 })
    const proposeSome = async (): Promise<void> => {
      for (let i = 0; i < 6; i++) await c.during(leader.propose(bytes('x')), 10)
    }
    code = 'ENOSPC'
    await proposeSome()
    t.same(c.fatal, [])
    t.notOk(
      disk.paths().some(path => path.endsWith('.tmp')),
      'the part that was written is gone',
    )
    code = ''
    await c.pass(5000)
    t.ok(leader.status().snapshotIndex > 0)
    code = 'EIO'
    await proposeSome().catch(() => undefined)
    t.match(c.fatal, [{ code: 'DiskFailed', message: /snap.*EIO/ }])
  },
)

t.test('below the disk mark no proposals are taken, and all else goes on', async t => {
  const c = new Cluster()
  const MIB = 1024 * 1024
  let free = 100 * MIB
  const seen: [number, boolean][] = []
  c.disks.set(1, new MemoryFs({ freeBytes: () => free }))
  const node = await c.start([1], { metrics: { disk: (...look) => seen.push(look) } })
  await c.during(node.propose(bytes('a')), 10)
  free = 63 * MIB
  await c.pass(1500)
  await t.rejects(c.during(node.propose(bytes('b')), 10), {
    code: 'DiskLow',
    message: /the disk of data has 63 MiB free and 80 MiB are needed.*free some space there/,
  })
  const { commitIndex } = node.status()
  await c.during(node.addMember({ id: 9, address: 'x', learner: true }), 100)
  t.ok(node.status().commitIndex > commitIndex, 'changes of membership, the way out, are taken')
  free = 70 * MIB
  await c.pass(1500)
  await t.rejects(c.during(node.propose(bytes('b')), 10), { code: 'DiskLow' }, 'no flapping')
  free = 81 * MIB
  await c.pass(1500)
  await c.during(node.propose(bytes('b')), 10)
  t.same(c.machines.get(1)?.texts, ['a', 'b'])
  t.match(seen.at(0), [100 * MIB, false])
  t.ok(seen.some(([bytesFree, isLow]) => isLow && bytesFree === 70 * MIB))
  t.match(seen.at(-1), [81 * MIB, false])
})

t.test('a leader whose disk is low hands over to one that has room', async t => {
  const c = new Cluster()
  let free = 1e9
  c.disks.set(1, new MemoryFs({ freeBytes: () => free }))
  const first = await c.start([1, 2, 3])
  t.equal(first.status().role, 'leader')
  free = 1e6
  await c.pass(3000)
  t.not(first.status().role, 'leader')
  const leader = [...c.nodes.values()].find(node => node.status().role === 'leader')
  await c.during(leader?.propose(bytes('x')) as Promise<unknown>, 100)
  t.equal(first.status().appliedIndex, leader?.status().appliedIndex, 'and it follows')
  t.equal(leader?.status().term, first.status().term)
})

t.test(
  'a crash between a received snapshot and its log record does not leave a gap in the log',
  async t => {
    const c = new Cluster()
    const disk = new MemoryFs()
    c.disks.set(9, disk)
    await disk.mkdir('data/snap')
    const meta = { index: 40, term: 3, membership: { members: [], removed: [] } }
    const state = bytes(JSON.stringify({ index: 40, texts: ['old'] }))
    await new SnapshotStore(disk, 'data/snap').save({ meta, data: state })
    const node = await c.open(9)
    t.match(node.status(), { commitIndex: 40, appliedIndex: 40, term: 3 })
    t.strictSame(c.machines.get(9)?.texts, ['old'])
    await node.stop()
    t.strictSame((await readLog(disk, 'data/wal')).base, { index: 40, term: 3 })
  },
)

t.test(
  'a snapshot that fails is tried again after ever longer pauses, with a line each',
  async t => {
    const c = new Cluster()
    const lines: object[] = []
    const log = {
      info: () => undefined,
      warn: () => undefined,
      error: (text: string, fields?: object) => lines.push({ text, ...fields }),
    }
    const leader = await c.start([1], { snapshotEntries: 5, log })
    const machine = c.machines.get(1) as Machine
    const take = machine.snapshot.bind(machine)
    let attempts = 0
    machine.snapshot = () => {
      attempts++
      return Promise.reject(new Error('no room')) as unknown as Uint8Array
    }
    for (let i = 0; i < 300; i++) await c.during(leader.propose(bytes(`entry ${i}`)), 10)
    t.equal(attempts, 2, 'at once and after a second')
    await c.pass(5000)
    t.equal(attempts, 4, 'after another two and four seconds')
    const text = 'could not take a snapshot; the log grows until one succeeds'
    t.strictSame(
      lines,
      [1000, 2000, 4000, 8000].map((retryMs, i) => ({
        text,
        error: 'Error: no room',
        failures: i + 1,
        retryMs,
      })),
    )
    machine.snapshot = take
    await c.pass(8100)
    t.equal(leader.status().snapshotIndex, leader.status().appliedIndex)
    t.equal(lines.length, 4)
  },
)

t.test('a leader whose own disk stalls gives up the leadership', async t => {
  const c = new Cluster()
  let stalled = false
  let free: () => void = () => {}
  const until = new Promise<void>(resolve => {
    free = resolve
  })
  const disk = new MemoryFs({
    before: operation => (stalled && operation === 'sync' ? until : undefined),
  })
  c.disks.set(1, disk)
  const warned: string[] = []
  const seconds: number[] = []
  const leader = await c.start([1, 2, 3], {
    log: { info: () => {}, warn: text => warned.push(text), error: () => {} },
    metrics: { diskStalled: s => seconds.push(s) },
  })
  stalled = true
  await c.pass(3000)
  t.equal(leader.status().role, 'leader', 'it has nothing to write')
  const lost = leader.propose(bytes('a'))
  lost.catch(() => undefined)
  await c.pass(900)
  t.equal(leader.status().role, 'leader')
  t.equal(leader.status().commitIndex, leader.status().lastIndex, 'the others have it')
  await c.pass(300)
  t.strictSame(warned, ['the disk stalls; handing over the leadership'])
  t.ok((seconds[0] ?? 0) >= 1)
  const next = [2, 3].map(id => c.nodes.get(id)).find(node => node?.status().role === 'leader')
  t.ok(next, 'another leads')
  await t.rejects(lost, { code: 'OutcomeUnknown' })
  await c.during(next?.propose(bytes('b')) ?? Promise.reject(new Error('none')), 100)
  free()
  await c.pass(1000)
  t.strictSame(c.machines.get(1)?.texts, ['a', 'b'], 'and follows when its disk is back')
})

t.test(
  'names a killed process left unsynced are made durable before anything is built on them',
  async t => {
    const fs = new MemoryFs()
    const options = (given: RaftNodeOptions['fs']) =>
      withDefaults({
        ...({} as RaftNodeOptions),
        id: 1,
        dir: 'd',
        fs: given,
        clock: new VirtualClock(),
      })
    const life = fs.mount()
    await life.mkdir('d')
    await life.mkdir('d/wal')
    await life.mkdir('d/snap')
    await (await life.open('d/snap/left-by-a-killed-process', 'create')).close()
    fs.kill()
    await openStorage(options(fs.mount()), undefined)
    fs.crash()
    t.ok(fs.paths().includes('d/snap/left-by-a-killed-process'))
  },
)
