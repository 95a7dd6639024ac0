// Goal: what RaftNode promises its callers. Method: a few nodes on virtual time and disks; faults where a promise needs one.
import t from 'tap'
import {
  MemoryFs,
  type Member,
  RaftNode,
  type RaftNodeOptions,
  VirtualClock,
} from '../src/index.ts'
import { openStorage } from '../src/driver/open.ts'
import { withDefaults } from '../src/options.ts'
import { readLog } from '../src/wal/recovery.ts'
import { SnapshotStore } from '../src/wal/snapshot-store.ts'
import { bytes, Cluster } from './cluster.ts'
import { Machine } from './sim/machine.ts'

t.test('proposals resolve with the state machine’s answer, many in one record', async t => {
  const c = new Cluster()
  const synced: number[] = []
  const leader = await c.start([1, 2, 3], { metrics: { fsync: s => synced.push(s) } })
  const before = synced.length
  const all = Array.from({ length: 64 }, (_, i) => leader.propose(bytes(`p${i}`)))
  const results = await c.during(Promise.all(all), 50)
  t.match(results[63], { index: 66, result: 'did p63' })
  t.ok(
    synced.length - before <= 6,
    `${synced.length - before} syncs on three nodes for 64 proposals`,
  )
  await c.pass(200)
  for (const machine of c.machines.values()) t.equal(machine.texts.length, 64)
})

t.test('refusals say what was not done', async t => {
  const c = new Cluster()
  const leader = await c.start([1, 2, 3], { maxEntryBytes: 100, maxPending: 2 })
  const follower = c.nodes.get(2) as RaftNode
  await t.rejects(follower.propose(bytes('x')), { code: 'NotLeader', leader: 1 })
  await t.rejects(leader.propose(new Uint8Array(101)), { code: 'TooLarge' })
  await t.rejects(leader.propose(bytes('x'), { signal: AbortSignal.abort() }), {
    code: 'ProposalDropped',
  })
  const waiting = [leader.propose(bytes('a')), leader.propose(bytes('b'))]
  await t.rejects(leader.propose(bytes('c')), { code: 'ProposalDropped' })
  await c.during(Promise.all(waiting), 50)
  await t.rejects(leader.transferLeadership(9), { code: 'Refused' })
  await t.rejects(follower.transferLeadership(), { code: 'NotLeader' })
  await t.rejects(follower.removeMember(3), { code: 'NotLeader' })
  await t.rejects(leader.promoteMember(8), { code: 'Refused', message: /no member 8/ })
})

t.test('an outcome nobody can know is called unknown', async t => {
  const c = new Cluster()
  const leader = await c.start([1, 2, 3])
  c.drop = m => m.from === 1
  const aborted = new AbortController()
  const lost = leader.propose(bytes('lost'))
  const late = leader.propose(bytes('late'), { timeoutMs: 300 })
  const left = leader.propose(bytes('left'), { signal: aborted.signal })
  for (const p of [lost, late, left]) p.catch(() => undefined)
  aborted.abort()
  await t.rejects(left, { code: 'OutcomeUnknown' })
  await c.pass(400)
  await t.rejects(late, { code: 'Timeout' })
  await c.pass(3000)
  await t.rejects(lost, { code: 'OutcomeUnknown' })
  await t.rejects(c.during(leader.readIndex({ timeoutMs: 100 }), 300), { code: 'Timeout' })
})

t.test('followers that lost their leader elect another within three heartbeats', async t => {
  const c = new Cluster()
  await c.start([1, 2, 3])
  c.nodes.get(1)?.kill()
  c.nodes.delete(1)
  for (const id of [2, 3]) c.nodes.get(id)?.reportUnreachable(1)
  await c.pass(300)
  t.ok([2, 3].some(id => c.nodes.get(id)?.status().role === 'leader'))
})

t.test('a reconnection without an outage changes nothing', async t => {
  const c = new Cluster()
  const leader = await c.start([1, 2, 3])
  for (let i = 0; i < 5; i++) {
    for (const id of [2, 3]) c.nodes.get(id)?.reportUnreachable(1)
    await c.pass(300)
  }
  t.match(leader.status(), { role: 'leader', term: 2 })
})

t.test(
  'a member joins as a learner, catches up from a snapshot in chunks, is promoted, and removed',
  async t => {
    const c = new Cluster()
    const leader = await c.start([1, 2], {
      snapshotEntries: 20,
      snapshotTailEntries: 2,
      snapshotChunkBytes: 50,
    })
    for (let i = 0; i < 50; i++) await c.during(leader.propose(bytes(`entry ${i}`)), 10)
    t.ok(leader.status().snapshotIndex >= 40 && leader.status().firstIndex > 30)
    const joiner = await c.open(9)
    t.match(joiner.status(), { role: 'learner', members: [] })
    await c.during(leader.addMember({ id: 9, address: 'host-9', learner: true }), 100)
    await c.during(leader.promoteMember(9), 1500)
    await c.pass(200)
    t.equal(c.machines.get(9)?.texts.length, 50)
    t.equal(joiner.status().role, 'follower')
    t.strictSame(
      joiner.status().members.map(m => m.address),
      ['host-1', 'host-2', 'host-9'],
    )
    await c.during(leader.addMember({ id: 9, address: 'moved', learner: false }), 200)
    t.equal(joiner.status().members[2]?.address, 'moved')
    await c.during(leader.removeMember(9), 200)
    t.ok(joiner.status().removed)
    await t.rejects(leader.addMember({ id: 9, address: 'again', learner: true }), {
      code: 'Refused',
    })
  },
)

t.test('a removal that would leave no majority in reach is refused unless forced', async t => {
  const c = new Cluster()
  const leader = await c.start([1, 2, 3])
  c.drop = m => m.from === 3 || m.to === 3
  await c.pass(1500)
  await t.rejects(leader.removeMember(2), {
    code: 'Refused',
    message: /without member 2 only 1 of 2 voters .* 3 would be missing.*force it/,
  })
  await c.during(leader.removeMember(3), 200)
  t.equal(leader.status().members.length, 2)
})

t.test('several changes at once', async t => {
  const host = (id: number, learner = false): Member => ({ id, address: `host-${id}`, learner })
  t.test('a dead voter is replaced in one step, by a learner that holds the log', async t => {
    const c = new Cluster()
    const leader = await c.start([1, 2, 3])
    c.drop = m => m.from === 3 || m.to === 3
    await c.open(4)
    await c.during(leader.addMember(host(4, true)), 200)
    await c.during(
      leader.changeMembers([
        { kind: 'promote', id: 4 },
        { kind: 'remove', id: 3 },
      ]),
      200,
    )
    t.strictSame(leader.status().members, [host(1), host(2), host(4)])
    t.equal(leader.status().joint, undefined)
    await c.pass(200)
    t.match(c.nodes.get(4)?.status(), { role: 'follower', members: [{}, {}, { id: 4 }] })
    await c.during(leader.propose(bytes('on')), 100)
    t.strictSame(c.machines.get(4)?.texts, ['on'])
  })
  t.test('refused when a half would have no majority in reach', async t => {
    const c = new Cluster()
    const leader = await c.start([1, 2, 3])
    const strangers = [
      { kind: 'add', member: host(4) },
      { kind: 'add', member: host(5) },
      { kind: 'remove', id: 3 },
    ] as const
    await t.rejects(c.during(leader.changeMembers(strangers), 100), {
      code: 'Refused',
      message: /2 of 4 voters are in reach.* 4, 5 would be missing.*learners first/,
    })
    await t.rejects(leader.changeMembers([]), { code: 'Refused' })
    t.strictSame(leader.status().members, [host(1), host(2), host(3)], 'nothing has changed')
    const alone = new Cluster()
    const only = await alone.start([1])
    await t.rejects(alone.during(only.addMember(host(2)), 100), { code: 'Refused' })
  })
  t.test('an explicit one lasts through snapshots and restarts until it is ended', async t => {
    const c = new Cluster()
    const options = { snapshotEntries: 5 }
    let leader = await c.start([1, 2, 3], options)
    await c.open(4, undefined, options)
    await c.during(leader.addMember(host(4, true)), 200)
    const swap = [
      { kind: 'promote', id: 4 },
      { kind: 'demote', id: 3 },
    ] as const
    await c.during(leader.changeMembers(swap, { leave: 'explicit' }), 200)
    const joint = { outgoing: [1, 2, 3], leaving: [], autoLeave: false }
    t.strictSame(leader.status().joint, joint)
    for (let i = 0; i < 12; i++) await c.during(leader.propose(bytes(`${i}`)), 50)
    t.ok(leader.status().snapshotIndex > 8)
    await t.rejects(c.during(leader.demoteMember(2), 100), { message: /has to end first/ })
    for (const node of c.nodes.values()) node.kill()
    for (const disk of c.disks.values()) disk.crash()
    for (const id of [1, 2, 3, 4]) await c.open(id, undefined, options)
    leader = c.nodes.get(1) as RaftNode
    t.strictSame(leader.status().joint, joint, 'known from the snapshot')
    leader.campaign()
    await c.pass(200)
    await c.during(leader.leaveJoint(), 200)
    t.equal(leader.status().joint, undefined)
    t.strictSame(leader.status().members, [host(1), host(2), host(3, true), host(4)])
    await c.pass(300)
    t.equal(c.nodes.get(3)?.status().role, 'learner')
  })
})

t.test('a learner that cannot catch up is not promoted', async t => {
  const c = new Cluster()
  const leader = await c.start([1, 2])
  await c.during(leader.addMember({ id: 5, address: '', learner: true }), 100)
  await t.rejects(c.during(leader.promoteMember(5, { timeoutMs: 500 })), {
    code: 'Refused',
    message: /not caught up/,
  })
})

t.test('stopping hands over, and reopening finds everything', async t => {
  const c = new Cluster()
  const leader = await c.start([1, 2, 3])
  await c.during(leader.propose(bytes('kept')), 200)
  await c.during(leader.stop(), 100)
  t.ok(
    [2, 3].some(id => c.nodes.get(id)?.status().role === 'leader'),
    'without a timeout',
  )
  await t.rejects(leader.propose(bytes('x')), { code: 'Stopped' })
  c.disks.get(1)?.crash()
  const again = await c.open(1)
  t.equal(again.status().commitIndex, 3)
  await c.pass(200)
  t.strictSame(c.machines.get(1)?.texts, ['kept'])
  await t.rejects(
    RaftNode.hasState(new MemoryFs(), 'data').then(
      has => has || Promise.reject(new Error('no state')),
    ),
    { message: 'no state' },
  )
  t.ok(await RaftNode.hasState(c.disks.get(1) as MemoryFs, 'data'))
  await t.rejects(c.open(2, [{ id: 2, address: '', learner: false }]), { code: 'Refused' })
})

t.test('one voter alone leads at once', async t => {
  const c = new Cluster()
  await c.open(1, [{ id: 1, address: '', learner: false }])
  await c.pass(1)
  t.equal(c.nodes.get(1)?.status().role, 'leader')
  t.equal(await c.during(c.nodes.get(1)?.readIndex() as Promise<number>, 10), 2)
})

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

t.test('changes are reported once each', async t => {
  const c = new Cluster()
  const seen: string[] = []
  await c.start([1, 2, 3], { onChange: s => seen.push(`${s.id} ${s.role} ${s.leader ?? '-'}`) })
  await c.pass(1000)
  t.equal(seen.filter(s => s === '1 leader 1').length, 1)
  t.equal(new Set(seen.filter(s => s.startsWith('2')).slice(-1)).has('2 follower 1'), true)
  t.ok(seen.length < 15, seen.join(', '))
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

t.test('lease reads', async t => {
  const alone = new Cluster()
  const only = await alone.start([1], { leaseReads: true })
  await alone.pass(1100)
  t.equal(only.status().role, 'leader', 'after the election timeout of its word')
  t.throws(
    () => withDefaults({ ...({} as RaftNodeOptions), leaseReads: true, checkQuorum: false }),
    { code: 'Refused', message: /needs checkQuorum/ },
  )
  const c = new Cluster()
  await c.start([1, 2, 3], { leaseReads: true })
  await c.pass(3000)
  const leads = [...c.nodes.values()].find(node => node.status().role === 'leader') as RaftNode
  await c.during(leads.propose(bytes('a')), 100)
  c.drop = () => true
  await c.during(leads.readIndex(), 2)
  // The process is held up for long: messages and timers wait, the clock does not.
  c.stalledMs += 950
  await t.rejects(c.during(leads.readIndex({ timeoutMs: 50 }), 100), { code: 'Timeout' })
})

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
