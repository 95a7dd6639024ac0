// Goal: members come, are promoted, replaced and removed while the group works; what would cost it its majority is refused.
// Method: a few nodes on virtual time and disks.
import t from 'tap'
import { type Member, RaftNode } from '../src/index.ts'
import { bytes, Cluster } from './cluster.ts'

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
