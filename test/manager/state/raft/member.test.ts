// Goal: managers elect, agree, survive the loss of their leader, and change their number without losing a write.
// Method: several members in one process over streams in memory, under virtual time.
import { MemoryFs } from 'raft-ts'
import t from 'tap'
import { aesSealer, keyIdOf, pruned, rotated } from '../../../../manager/state/raft/sealer.ts'
import type { Leadership } from '../../../../manager/state/raft/leadership.ts'
import type { RaftMember } from '../../../../manager/state/raft/member.ts'
import { encodeSnapshot } from '../../../../manager/state/store/snapshot.ts'
import { sleep } from '../../../../runtime/clock.ts'
import { systemRandom } from '../../../../runtime/random.ts'
import { aService } from '../store/builders.ts'
import { Cluster, turn } from './cluster.ts'

async function three(): Promise<{ cluster: Cluster; first: RaftMember }> {
  const cluster = new Cluster()
  const first = await cluster.start(1, { bootstrap: true })
  await cluster.until(() => first.leadership.leader)
  for (const id of [2, 3]) {
    await cluster.start(id)
    await cluster.settle(first.join({ raftId: id, address: `m${id}` }))
  }
  return { cluster, first }
}

const create = (member: RaftMember, id: string): Promise<void> =>
  member.store.update(tx => tx.create('service', aService(id)), { author: 'test' })
const has = (member: RaftMember, id: string): boolean =>
  member.store.view(tx => tx.get('service', id) !== undefined)

t.test('three members hold the same state, byte for byte', async t => {
  const { cluster, first } = await three()
  t.match(first.status().members, [
    { id: 1, learner: false },
    { id: 2, learner: false },
    { id: 3, learner: false },
  ])
  await cluster.settle(Promise.all(Array.from({ length: 50 }, (_, n) => create(first, `s${n}`))))
  const all = [...cluster.members.values()]
  await cluster.until(() => all.every(member => member.store.version === first.store.version))
  const bytes = await Promise.all(all.map(member => encodeSnapshot(member.store.captureSnapshot())))
  t.same(bytes[1], bytes[0])
  t.same(bytes[2], bytes[0])
  t.same(cluster.fatal, [])
})

t.test('a follower refuses writes and names the leader', async t => {
  const { cluster } = await three()
  const follower = cluster.members.get(2)
  await cluster.until(() => follower?.leadership.leaderAddress === 'm1')
  if (!follower) return
  await t.rejects(cluster.settle(create(follower, 'a')), {
    code: 'Unavailable',
    message: 'this manager does not lead; the leader is at m1',
  })
})

t.test(
  'the leader crashes: another leads within a second, with every acknowledged write',
  async t => {
    const { cluster, first } = await three()
    await cluster.settle(create(first, 'before'))
    const told: Leadership[] = []
    for (const member of cluster.members.values()) member.onLeadership(state => told.push(state))
    await cluster.kill(1)
    const tookMs = await cluster.until(() => cluster.leader() !== undefined)
    t.comment(`failover took ${tookMs} virtual ms`)
    t.ok(tookMs < 1000, `${tookMs} ms`)
    const next = cluster.leader()
    if (!next) return
    t.ok(has(next, 'before'))
    await cluster.settle(create(next, 'after'))
    const back = await cluster.start(1)
    await cluster.until(() => has(back, 'after'))
    t.equal(told.filter(state => state.leader).length, 1)
    t.same(cluster.fatal, [])
  },
)

t.test('leadership is announced only when the store is current', async t => {
  const { cluster, first } = await three()
  await cluster.settle(create(first, 'last'))
  const stale: string[] = []
  for (const [id, member] of cluster.members) {
    member.onLeadership(state => {
      if (state.leader && !has(member, 'last')) stale.push(`${id}`)
    })
  }
  for (let round = 0; round < 3; round++) {
    const leader = cluster.leader()
    if (leader) await cluster.settle(leader.transferLeadership())
    await cluster.until(() => cluster.leader() !== undefined && cluster.leader() !== leader)
  }
  t.same(stale, [])
})

t.test('a leader cut off steps down, and the majority goes on without it', async t => {
  const { cluster, first } = await three()
  cluster.isolate(1)
  await cluster.until(() => {
    const leader = cluster.leader()
    return leader !== undefined && leader !== first
  })
  await cluster.until(() => !first.leadership.leader)
  await t.rejects(cluster.settle(create(first, 'lost')), {
    code: 'Unavailable',
    message: /does not have a leader/,
  })
  cluster.isolated.clear()
  const next = cluster.leader()
  if (!next) return
  await cluster.settle(create(next, 'kept'))
  await cluster.until(() => has(first, 'kept'))
  t.notOk(has(first, 'lost'))
})

t.test(
  'a deposed leader that still thinks it leads answers nothing from what it knows',
  async t => {
    const { cluster, first } = await three()
    await cluster.settle(create(first, 'old'))
    cluster.isolate(1)
    const others = [2, 3].map(id => cluster.members.get(id))
    const next = (): RaftMember | undefined => others.find(member => member?.leadership.leader)
    await cluster.until(() => next() !== undefined)
    const newer = next()
    if (!newer) return
    await cluster.settle(create(newer, 'new'))
    t.ok(first.leadership.leader, 'the old one has not noticed yet')
    t.notOk(has(first, 'new'))

    const reads = {
      read: () => first.readIndex(),
      'an update that writes nothing': () =>
        first.store.update(tx => tx.get('service', 'new') === undefined),
      'an update that is refused': () => first.store.update(tx => tx.resolve('service', 'new')),
    }
    for (const [name, read] of Object.entries(reads))
      await t.rejects(cluster.settle<unknown>(read()), { code: 'Unavailable' }, name)

    const asked = { read: reads.read(), ...answersOf(first) }
    cluster.isolated.clear()
    await cluster.settle(Promise.all(Object.values(asked)))
    t.ok(has(first, 'new'))
    t.equal(await asked.empty, false)
    t.match(await asked.found, { id: 'new' })
  },
)

const answersOf = (member: RaftMember): { empty: Promise<boolean>; found: Promise<object> } => ({
  empty: member.store.update(tx => tx.get('service', 'new') === undefined),
  found: member.store.update(tx => tx.resolve('service', 'new')),
})

t.test('joining again is harmless, and may bring a new address', async t => {
  const { cluster, first } = await three()
  const again = await cluster.settle(first.join({ raftId: 2, address: 'm2' }))
  t.equal(again.clusterId, 'lab')
  t.equal(again.members.length, 3)
  await cluster.settle(first.join({ raftId: 2, address: 'm02' }))
  t.equal(first.status().members.find(member => member.id === 2)?.address, 'm02')
  await cluster.settle(create(first, 'x'))
  const second = cluster.members.get(2)
  await cluster.until(() => second !== undefined && has(second, 'x'))
})

t.test('a joiner that cannot be reached stays a learner and is named', async t => {
  const { cluster, first } = await three()
  await t.rejects(cluster.settle(first.join({ raftId: 9, address: 'm9' }, 2_000)), {
    code: 'FailedPrecondition',
    message: /advertised address: m9/,
  })
  t.match(first.status().members.at(-1), { id: 9, learner: true })
  await cluster.settle(create(first, 'x'))
  await cluster.start(9)
  await cluster.settle(first.join({ raftId: 9, address: 'm9' }))
  t.match(first.status().members.at(-1), { id: 9, learner: false })
})

t.test('leaving keeps a quorum', async t => {
  const { cluster, first } = await three()
  await cluster.kill(3)
  await cluster.until(
    () => (first.status().peers.find(peer => peer.id === 3)?.lastContactMs ?? 0) > 2_000,
  )
  await t.rejects(cluster.settle(first.leave(2)), {
    code: 'FailedPrecondition',
    message: /no majority/,
  })
  await cluster.settle(first.leave(3))
  await cluster.settle(first.leave(3))
  t.equal(first.status().members.length, 2)
  await t.rejects(cluster.settle(first.join({ raftId: 3, address: 'm3' })), {
    code: 'FailedPrecondition',
  })
  await t.rejects(cluster.settle(first.leave(1)), {
    code: 'Unavailable',
    message: /handed over.*ask m2/,
  })
  const second = cluster.members.get(2)
  if (!second) return
  await cluster.until(() => second.leadership.leader)
  await cluster.settle(second.leave(1))
  await t.rejects(cluster.settle(second.leave(2)), {
    code: 'FailedPrecondition',
    message: /last manager/,
  })
})

t.test('a manager whose disk is nearly full says so to whoever changes something', async t => {
  const cluster = new Cluster()
  let free = 1e9
  cluster.disks.set(1, new MemoryFs({ freeBytes: () => free }))
  const member = await cluster.start(1, { bootstrap: true, minFreeBytes: 32 * 1024 * 1024 })
  await cluster.until(() => member.leadership.leader)
  await cluster.settle(create(member, 'before'))
  free = 1e6
  await cluster.settle(sleep(cluster.clock, 1500))
  await t.rejects(cluster.settle(create(member, 'while')), {
    code: 'ResourceExhausted',
    message: /the disk of raft has 0 MiB free and 40 MiB are needed/,
  })
  free = 1e9
  await cluster.settle(sleep(cluster.clock, 1500))
  await cluster.settle(create(member, 'after'))
  t.equal(
    member.store.view(tx => tx.list('service').length),
    2,
  )
})

t.test('a restart brings everything back from an encrypted log and snapshot', async t => {
  const cluster = new Cluster()
  const key = systemRandom.bytes(32)
  const sealer = aesSealer(key, systemRandom)
  const options = { bootstrap: true, sealer, snapshotEntries: 20 }
  const member = await cluster.start(1, options)
  await cluster.until(() => member.leadership.leader)
  for (let n = 0; n < 50; n++) await cluster.settle(create(member, `service-number-${n}`))
  await cluster.until(() => member.status().snapshotIndex > 0)
  const version = member.store.version
  await cluster.kill(1)
  const disk = cluster.disks.get(1)
  for (const path of disk?.paths() ?? []) {
    t.notOk(Buffer.from(disk?.peek(path) ?? []).includes('service-number'), `${path} is sealed`)
  }
  const back = await cluster.start(1, options)
  await cluster.until(() => back.leadership.leader)
  t.equal(
    back.store.view(tx => tx.list('service').length),
    50,
  )
  t.equal(back.store.version, version)
  await cluster.kill(1)
  const other = aesSealer(systemRandom.bytes(32), systemRandom)
  await t.rejects(cluster.start(1, { ...options, sealer: other }), /another key/)
})

t.test(
  'a data key is replaced while the member works, and given up when nothing needs it',
  async t => {
    const cluster = new Cluster()
    const keys = { current: systemRandom.bytes(32), former: [] }
    const sealer = aesSealer(keys.current, systemRandom)
    const options = { bootstrap: true, sealer, snapshotEntries: 20, segmentBytes: 2_000 }
    const member = await cluster.start(1, options)
    await cluster.until(() => member.leadership.leader)
    await cluster.settle(create(member, 'first'))
    t.same([...member.keysInUse()], [keyIdOf(keys.current)])

    const next = rotated(keys, systemRandom)
    sealer.use(next)
    await cluster.settle(create(member, 'second'))
    const both = [keyIdOf(next.current), keyIdOf(keys.current)]
    t.same([...member.keysInUse()].toSorted(), both.toSorted(), 'new records, old records')

    await cluster.kill(1)
    const back = await cluster.start(1, options)
    t.same([...back.keysInUse()].toSorted(), both.toSorted(), 'as read from the disk')
    await cluster.until(() => back.leadership.leader)
    for (let n = 0; n < 60; n++) await cluster.settle(create(back, `later-${n}`))
    await cluster.until(() => back.keysInUse().size === 1)
    const left = pruned(next, back.keysInUse())
    t.equal(left.former.length, 0)
    await cluster.kill(1)
    sealer.use(left)
    const last = await cluster.start(1, options)
    await cluster.until(() => last.leadership.leader)
    t.equal(
      last.store.view(tx => tx.list('service').length),
      62,
    )
  },
)

t.test(
  'a slow member catches up from a snapshot, and its watchers are told to list anew',
  async t => {
    const cluster = new Cluster()
    const first = await cluster.start(1, { bootstrap: true, snapshotEntries: 10 })
    await cluster.until(() => first.leadership.leader)
    for (let n = 0; n < 60; n++) await cluster.settle(create(first, `s${n}`))
    await cluster.until(() => first.status().firstIndex > 5)
    const late = await cluster.start(2)
    let resets = 0
    late.store.watch(batch => {
      if (batch.reset === true) resets += 1
    })
    await cluster.settle(first.join({ raftId: 2, address: 'm2' }))
    await cluster.until(() => has(late, 's59'))
    t.equal(resets, 1)
    t.same(late.store.captureSnapshot().objects, first.store.captureSnapshot().objects)
  },
)

for (const { way, away, resets } of [
  { way: 'the log', away: 8, resets: 0 },
  { way: 'a snapshot', away: 80, resets: 1 },
]) {
  t.test(`a follower that was away catches up by ${way} while writes go on`, async t => {
    const cluster = new Cluster()
    const options = { snapshotEntries: 30 }
    const first = await cluster.start(1, { ...options, bootstrap: true })
    await cluster.until(() => first.leadership.leader)
    for (const id of [2, 3]) {
      await cluster.start(id, options)
      await cluster.settle(first.join({ raftId: id, address: `m${id}` }))
    }
    const third = cluster.members.get(3) as RaftMember
    let seen = 0
    third.store.watch(batch => {
      if (batch.reset === true) seen += 1
    })
    cluster.isolate(3)
    for (let n = 0; n < away; n++) await cluster.settle(create(first, `away${n}`))
    let isOver = false
    let written = 0
    const writing = (async () => {
      for (; !isOver; written++) {
        await create(first, `on${written}`)
        // Commits come by microtasks here: without this nothing else would have its turn.
        await turn()
      }
    })()
    await cluster.until(() => written > 5)
    t.notOk(has(third, `away${away - 1}`))
    cluster.isolated.delete(3)
    await cluster.until(() => has(third, `away${away - 1}`))
    const atLeast = written
    await cluster.until(() => written > atLeast + 5)
    isOver = true
    await cluster.settle(writing)
    await cluster.until(() => third.store.version === first.store.version)
    t.same(third.store.captureSnapshot().objects, first.store.captureSnapshot().objects)
    t.equal(seen, resets)
    t.same(cluster.fatal, [])
  })
}
