// Goal: what RaftNode promises its callers. Method: a few nodes on virtual time and disks; faults where a promise needs one.
import t from 'tap'
import { MemoryFs, RaftNode, type RaftNodeOptions } from '../src/index.ts'
import { withDefaults } from '../src/options.ts'
import { bytes, Cluster } from './cluster.ts'

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

t.test('changes are reported once each', async t => {
  const c = new Cluster()
  const seen: string[] = []
  await c.start([1, 2, 3], { onChange: s => seen.push(`${s.id} ${s.role} ${s.leader ?? '-'}`) })
  await c.pass(1000)
  t.equal(seen.filter(s => s === '1 leader 1').length, 1)
  t.equal(new Set(seen.filter(s => s.startsWith('2')).slice(-1)).has('2 follower 1'), true)
  t.ok(seen.length < 15, seen.join(', '))
})

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
