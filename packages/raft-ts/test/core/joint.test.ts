// Goal: while a joint change of membership is under way every decision needs a majority of both halves (raft thesis §4.3),
// and the change always ends.
// Method: cores wired by hand; one half at a time is cut off.
import t from 'tap'
import { applyChange, type Change, type MemberChange } from '../../src/core/membership.ts'
import { countJointVotes, hasJointQuorum, jointIndex } from '../../src/core/quorum.ts'
import type { Member, Membership } from '../../src/types.ts'
import { bytes, ELECTION_MS, Network } from './network.ts'

const member = (id: number, learner = false): Member => ({ id, address: `m${id}`, learner })
/** What a joiner has learnt from the log before the change reaches it. */
const OLD: Membership = { members: [1, 2, 3].map(id => member(id)), removed: [] }

/** 1, 2 and 3 have become 1, 4 and 5, or are about to. */
const REPLACE: readonly MemberChange[] = [
  { kind: 'add', member: member(4) },
  { kind: 'add', member: member(5) },
  { kind: 'remove', id: 2 },
  { kind: 'remove', id: 3 },
]
const enter = (autoLeave: boolean, changes = REPLACE): Change => {
  return { kind: 'enterJoint', changes, autoLeave }
}

function inJoint(): Network {
  const n = new Network([1, 2, 3])
  for (const id of [4, 5]) n.add(id, OLD)
  n.elect(1)
  n.change(1, enter(false))
  n.tick(50, 1)
  return n
}

t.test('two majorities', async t => {
  const groups = [
    [1, 2, 3],
    [1, 4, 5],
  ]
  const match = new Map([
    [1, 9],
    [2, 9],
    [4, 5],
  ])
  t.equal(
    jointIndex(groups, id => match.get(id) ?? 0),
    5,
  )
  const votes = new Map([
    [1, true],
    [2, true],
  ])
  t.equal(countJointVotes(groups, votes), 'pending')
  t.equal(countJointVotes(groups, new Map([...votes, [4, true]])), 'won')
  t.equal(countJointVotes(groups, new Map([...votes, [4, false], [5, false]])), 'lost')
  t.notOk(hasJointQuorum(groups, id => id <= 3))
  t.ok(hasJointQuorum(groups, id => [1, 2, 5].includes(id)))
})

t.test('what a joint change does to the membership', async t => {
  const before: Membership = { members: [1, 2, 3, 6].map(id => member(id, id === 6)), removed: [] }
  const outcome = applyChange(before, enter(true, [...REPLACE, { kind: 'remove', id: 6 }]))
  if (outcome.refused !== undefined) throw new Error(outcome.refused)
  t.strictSame(outcome.membership, {
    members: [member(1), member(2, true), member(3, true), member(4), member(5)],
    removed: [6],
    joint: { outgoing: [1, 2, 3], leaving: [2, 3], autoLeave: true },
  })
  t.match(applyChange(outcome.membership, { kind: 'demote', id: 1 }), { refused: /under way/ })
  t.match(applyChange(outcome.membership, enter(true)), { refused: /under way/ })
  t.strictSame(applyChange(outcome.membership, { kind: 'leaveJoint' }), {
    membership: { members: [member(1), member(4), member(5)], removed: [6, 2, 3] },
  })
  t.test('refused whole', async t => {
    const refused = (changes: readonly MemberChange[]): string | undefined =>
      applyChange(before, enter(true, changes)).refused
    t.match(applyChange(before, { kind: 'leaveJoint' }), { refused: /no joint change/ })
    t.match(refused([REPLACE[0] as MemberChange, { kind: 'remove', id: 9 }]), /no member 9/)
    t.match(
      refused([
        { kind: 'demote', id: 2 },
        { kind: 'remove', id: 2 },
      ]),
      /named twice/,
    )
    const all = [1, 2, 3].map((id): MemberChange => ({ kind: 'remove', id }))
    t.match(refused(all), /last voter/)
    t.equal(refused([...all, { kind: 'add', member: member(7) }]), undefined, 'all at once')
  })
})

t.test('commit', async t => {
  for (const half of [
    [2, 3],
    [4, 5],
  ])
    t.test(`not without ${half.join(' and ')}`, async t => {
      const n = inJoint()
      n.cut(...half)
      n.raft(1).propose(bytes('a'))
      n.tick(20, 1)
      const { log } = n.raft(1).state
      t.equal(log.committed, log.lastIndex - 1)
      n.heal()
      n.tick(30, 1)
      t.equal(log.committed, log.lastIndex)
    })
  t.test('one of each is enough beside the leader', async t => {
    const n = inJoint()
    n.cut(2, 5)
    n.raft(1).propose(bytes('a'))
    n.tick(20, 1)
    t.equal(n.raft(1).state.log.committed, n.raft(1).state.log.lastIndex)
  })
})

t.test('elections, leadership and reads', async t => {
  t.test('nobody is elected by the new half alone, nor by the old', async t => {
    for (const [half, candidate] of [
      [[2, 3], 4],
      [[4, 5], 2],
    ] as const) {
      const n = inJoint()
      n.cut(...half)
      n.elect(candidate)
      t.not(n.role(candidate), 'leader')
      n.heal()
      n.elect(candidate)
      t.equal(n.role(candidate), 'leader')
    }
  })
  t.test('a leader that one half does not answer steps down', async t => {
    for (const half of [
      [2, 3],
      [4, 5],
    ]) {
      const n = inJoint()
      n.cut(...half)
      n.tick(2 * ELECTION_MS + 10, 1)
      t.equal(n.role(1), 'follower')
    }
  })
  t.test('a read is confirmed by both halves', async t => {
    for (const half of [
      [2, 3],
      [4, 5],
    ]) {
      const n = inJoint()
      n.cut(...half)
      n.raft(1).readIndex(7)
      n.tick(20, 1)
      t.strictSame(n.peer(1).reads, [])
      n.heal()
      n.tick(20, 1)
      t.match(n.peer(1).reads, [{ context: 7 }])
    }
  })
})

t.test('the end', async t => {
  t.test('a dead voter is replaced in one step', async t => {
    const n = new Network([1, 2, 3])
    n.add(4, OLD)
    n.elect(1)
    n.drop = m => m.to === 3 || m.from === 3
    n.change(
      1,
      enter(true, [
        { kind: 'add', member: member(4) },
        { kind: 'remove', id: 3 },
      ]),
    )
    n.tick(50, 1)
    for (const id of [1, 2, 4]) {
      t.strictSame(n.raft(id).state.electorate, [[1, 2, 4]])
      t.strictSame(n.raft(id).state.membership.removed, [3])
    }
    n.heal()
    n.tick(4 * ELECTION_MS)
    t.ok(n.raft(3).state.removed, 'and learns of it when it comes back')
  })
  t.test('explicit: it lasts until it is asked to end', async t => {
    const n = inJoint()
    n.tick(3 * ELECTION_MS)
    t.same(n.raft(1).state.membership.joint?.outgoing, [1, 2, 3])
    n.change(1, { kind: 'leaveJoint' })
    n.tick(20, 1)
    t.strictSame(n.raft(4).state.electorate, [[1, 4, 5]])
    t.ok(n.raft(2).state.removed, 'told by the leader')
  })
  t.test('a demoted voter votes until the end, and is a learner then', async t => {
    const n = new Network([1, 2, 3])
    n.add(4, OLD)
    n.elect(1)
    const changes: MemberChange[] = [
      { kind: 'add', member: member(4) },
      { kind: 'demote', id: 3 },
    ]
    n.change(1, enter(false, changes))
    n.tick(50, 1)
    t.ok(n.raft(3).state.isVoter)
    n.change(1, { kind: 'leaveJoint' })
    n.tick(20, 1)
    t.notOk(n.raft(3).state.isVoter)
    t.notOk(n.raft(3).state.removed)
    n.raft(1).propose(bytes('a'))
    n.tick(20, 1)
    t.equal(n.raft(3).state.log.lastIndex, n.raft(1).state.log.lastIndex, 'it still gets the log')
  })
  t.test('a new leader ends what its predecessor began', async t => {
    const n = new Network([1, 2, 3])
    for (const id of [4, 5]) n.add(id, OLD)
    n.elect(1)
    // 1 is lost as soon as the others have applied the begin; the end never leaves it.
    n.drop = m => m.type === 'append' && m.from === 1 && m.commit >= 2 && m.entries.length > 0
    n.change(1, enter(true))
    n.tick(30, 1)
    n.cut(1)
    t.same(n.raft(2).state.membership.joint?.outgoing, [1, 2, 3])
    n.elect(2)
    t.ok(n.seen.some(m => m.type === 'append' && m.from === 2))
    n.tick(3 * ELECTION_MS)
    const next = [4, 5].find(id => n.role(id) === 'leader')
    t.ok(next, '2 made an end of it and of its own leadership')
    t.strictSame(n.raft(4).state.electorate, [[1, 4, 5]])
  })
  t.test('a leader that leaves leads to the end', async t => {
    const n = new Network([1, 2, 3])
    n.add(4, OLD)
    n.elect(1)
    const changes: MemberChange[] = [
      { kind: 'add', member: member(4) },
      { kind: 'remove', id: 1 },
    ]
    n.change(1, enter(true, changes))
    n.tick(50, 1)
    t.strictSame([n.role(1), n.raft(1).state.removed], ['follower', true])
    t.ok([2, 3, 4].some(id => n.role(id) === 'leader'))
  })
})
