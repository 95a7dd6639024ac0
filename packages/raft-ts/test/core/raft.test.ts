// Goal: what raft.pdf (§5.2-5.4, §6, §8) and the thesis (§3.10, §6.4, §9.6) say, statement by statement.
// Method: cores wired by hand; each test delivers, drops and ticks as the statement needs.
import t from 'tap'
import type { AppendRequest, Message } from '../../src/types.ts'
import { bytes, ELECTION_MS, Network } from './network.ts'

const of = <T extends Message['type']>(n: Network, type: T): Extract<Message, { type: T }>[] =>
  n.seen.filter((m): m is Extract<Message, { type: T }> => m.type === type)

t.test('§5.2 elections', async t => {
  t.test('a follower that hears nothing campaigns and a majority makes it leader', async t => {
    const n = new Network([1, 2, 3])
    n.tick(2 * ELECTION_MS)
    const leaders = [1, 2, 3].filter(id => n.role(id) === 'leader')
    t.equal(leaders.length, 1)
    t.equal(n.raft(leaders[0] as number).state.term, 1)
  })
  t.test('without a majority nobody leads and, with pre-vote, no term rises', async t => {
    const n = new Network([1, 2, 3, 4, 5])
    n.cut(1, 2)
    n.tick(10 * ELECTION_MS, 1, 2)
    t.not(n.role(1), 'leader')
    t.equal(n.raft(1).state.term, 0)
  })
  t.test('one vote a term, first come first served', async t => {
    const n = new Network([1, 2, 3], { config: { preVote: false } })
    n.raft(1).campaign()
    n.raft(2).campaign()
    n.settle()
    t.equal(n.raft(3).state.vote, 1)
    t.strictSame([n.role(1), n.role(2)], ['leader', 'follower'])
  })
  t.test('a vote is counted and sent only when it is durable', async t => {
    const n = new Network([1, 2, 3], { config: { preVote: false } })
    n.peer(1).slowDisk = true
    n.raft(1).campaign()
    n.collect()
    t.strictSame(n.queue, [], 'the term is not durable, so nothing that names it leaves')
    n.peer(2).slowDisk = true
    n.peer(3).slowDisk = true
    n.sync(n.peer(1))
    n.settle()
    t.strictSame(of(n, 'voteResponse'), [])
    n.sync(n.peer(2))
    n.settle()
    t.equal(n.role(1), 'leader')
    t.strictSame(n.peer(2).disk, { term: 1, vote: 1, commit: 0 })
  })
  t.test('a candidate that hears of the leader of its term follows', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.raft(2).state.role = 'candidate'
    n.raft(2).state.leader = 0
    n.tick(10, 1)
    t.strictSame([n.role(2), n.raft(2).state.leader], ['follower', 1])
  })
  t.test('timeouts are spread over one to two times the election timeout', async t => {
    const seen = [0, 0.5, 0.999].map(r => {
      const n = new Network([1], { config: { random: () => r } })
      return n.raft(1).state.timeoutMs / ELECTION_MS
    })
    t.strictSame(seen, [1, 1.5, 1.999])
  })
})

t.test('§5.3 replication', async t => {
  t.test(
    'an entry is committed once a majority holds it, then applied everywhere in order',
    async t => {
      const n = new Network([1, 2, 3])
      n.elect(1)
      n.raft(1).propose(bytes('a'))
      n.raft(1).propose(bytes('b'))
      n.settle()
      n.tick(10, 1)
      for (const id of [1, 2, 3])
        t.strictSame(
          n
            .peer(id)
            .applied.filter(e => e.kind === 'normal')
            .map(e => new TextDecoder().decode(e.data)),
          ['a', 'b'],
        )
      const appends = of(n, 'append').filter(m => m.to === 2 && m.entries.length === 2)
      t.equal(appends.length, 1, 'proposals of one turn share an append')
    },
  )
  t.test('the leader counts itself only after its own disk', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.peer(1).slowDisk = true
    n.cut(3)
    n.raft(1).propose(bytes('a'))
    n.settle()
    t.equal(n.raft(1).state.log.committed, 1, 'one follower alone is no majority')
    n.sync(n.peer(1))
    n.settle()
    t.equal(n.raft(1).state.log.committed, 2)
  })
  t.test('followers may commit before the leader is durable', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.peer(1).slowDisk = true
    n.raft(1).propose(bytes('a'))
    n.settle()
    t.equal(n.raft(2).state.log.committed, 2)
    t.equal(n.peer(1).applied.length, 1, 'but the leader applies only what it holds itself')
  })
  // Figure 7: all the logs a follower may have when (f) and (a)-(e) meet the leader for term 8.
  const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
  const figure7: Record<string, number[]> = {
    a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
    b: [1, 1, 1, 4],
    c: [...leader, 6],
    d: [...leader, 7, 7],
    e: [1, 1, 1, 4, 4, 4, 4],
    f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  }
  for (const [name, log] of Object.entries(figure7))
    t.test(`figure 7 (${name}) is repaired in few rounds`, async t => {
      const n = new Network([1, 2, 3], { logs: { 1: leader, 2: log, 3: leader.slice(0, 4) } })
      for (const id of [1, 2, 3]) n.raft(id).state.term = 7
      n.elect(1)
      t.equal(n.role(1), 'leader')
      n.tick(20, 1)
      const terms = Array.from({ length: 11 }, (_, i) => n.raft(2).state.log.termAt(i + 1))
      t.strictSame(terms, [...leader, 8])
      t.equal(n.raft(2).state.log.lastIndex, 11)
      const refused = of(n, 'appendResponse').filter(m => m.from === 2 && m.reject).length
      t.ok(refused <= 2, `${refused} refusals`)
    })
  t.test('appends are sent ahead within the window; lost ones are found by heartbeats', async t => {
    const n = new Network([1, 2, 3], { config: { maxInflight: 4, maxBatchBytes: 1 } })
    n.elect(1)
    n.drop = m => m.type === 'append' && m.to === 2
    for (let i = 0; i < 10; i++) n.raft(1).propose(bytes(`${i}`))
    n.settle()
    const sent = of(n, 'append').filter(m => m.to === 2 && m.entries.some(e => e.index > 1)).length
    t.equal(sent, 4, 'the window')
    n.heal()
    n.tick(40, 1)
    t.equal(n.raft(2).state.log.lastIndex, 11)
  })
  t.test('a refused append changes nothing', async t => {
    const n = new Network([1, 2], { logs: { 2: [1, 1] } })
    const append: AppendRequest = {
      type: 'append',
      from: 1,
      to: 2,
      term: 3,
      prevIndex: 2,
      prevTerm: 2,
      commit: 9,
      entries: [],
    }
    n.raft(2).step(append)
    n.collect()
    t.equal(n.raft(2).state.log.committed, 0)
    t.match(n.queue, [
      { type: 'appendResponse', reject: true, index: 2, hintIndex: 2, hintTerm: 1 },
    ])
  })
})

t.test('§5.4 safety', async t => {
  t.test('a candidate with an older log is not elected', async t => {
    for (const old of [[1], [1, 1, 1]]) {
      const n = new Network([1, 2, 3], { logs: { 1: old, 2: [1, 2], 3: [1, 2] } })
      for (const id of [1, 2, 3]) n.raft(id).state.term = 2
      n.elect(1)
      t.not(n.role(1), 'leader', 'shorter, or longer with an older last term')
      n.elect(2)
      t.equal(n.role(2), 'leader')
    }
  })
  t.test('figure 8: entries of earlier terms are not committed by counting', async t => {
    const n = new Network([1, 2, 3], { logs: { 1: [1, 2], 2: [1, 2], 3: [1] } })
    for (const id of [1, 2, 3]) n.raft(id).state.term = 3
    n.drop = m => m.type === 'append' && m.entries.some(e => e.term > 3)
    n.elect(1)
    n.tick(20, 1)
    t.equal(n.raft(1).state.log.committed, 0)
    n.heal()
    n.tick(20, 1)
    t.equal(
      n.raft(1).state.log.committed,
      3,
      'the empty entry of the new term commits all before it',
    )
  })
})

t.test('pre-vote, check-quorum, stickiness', async t => {
  t.test('a member coming back from a partition does not depose the leader', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.cut(3)
    n.tick(5 * ELECTION_MS)
    n.heal()
    n.tick(3 * ELECTION_MS)
    t.strictSame([n.role(1), n.raft(1).state.term, n.raft(3).state.leader], ['leader', 1, 1])
  })
  t.test('a cut-off leader steps down within two election timeouts', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.cut(1)
    n.tick(2 * ELECTION_MS, 1)
    t.equal(n.role(1), 'follower')
  })
  t.test('a leader heard of lately is stuck to', async t => {
    const n = new Network([1, 2, 3], { config: { preVote: false } })
    n.elect(1)
    n.raft(3).campaign()
    n.settle()
    t.equal(n.raft(2).state.term, 1, 'ignored')
  })
  t.test('a member with a higher term than the leader is not lost to it', async t => {
    const n = new Network([1, 2, 3], { config: { preVote: false } })
    n.elect(1)
    n.cut(3)
    n.raft(3).campaign()
    n.settle()
    n.heal()
    n.tick(4 * ELECTION_MS)
    const leaders = [1, 2, 3].filter(id => n.role(id) === 'leader')
    t.equal(leaders.length, 1)
    for (const id of [1, 2, 3]) t.equal(n.raft(id).state.leader, leaders[0])
  })
  t.test('two that forgot a dead leader elect one of them at once', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.cut(1)
    n.raft(2).campaign()
    n.settle()
    t.not(n.role(2), 'leader', '3 still believes in 1')
    n.raft(2).forgetLeader()
    n.raft(3).forgetLeader()
    n.raft(3).campaign()
    n.settle()
    t.equal(n.role(3), 'leader')
  })
})

t.test('thesis §3.10 transfer', async t => {
  t.test('the successor is brought up to date and elected despite stickiness', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.cut(2)
    n.raft(1).propose(bytes('a'))
    n.settle()
    n.heal()
    t.ok(n.raft(1).transferTo(2))
    t.strictSame(n.raft(1).propose(bytes('b')), { refused: 'transferring' })
    n.tick(30, 1)
    t.strictSame([n.role(1), n.role(2)], ['follower', 'leader'])
  })
  t.test(
    'a transfer to the unreachable is given up; not to learners, strangers, oneself',
    async t => {
      const n = new Network([1, 2, 3, 4], { learners: [4] })
      n.elect(1)
      for (const id of [1, 4, 9]) t.notOk(n.raft(1).transferTo(id))
      n.cut(2)
      n.raft(1).transferTo(2)
      n.tick(ELECTION_MS + 10, 1)
      t.ok('index' in n.raft(1).propose(bytes('b')))
    },
  )
})

t.test('§6 membership', async t => {
  t.test('a learner receives but neither votes nor counts; promoted it does', async t => {
    const n = new Network([1, 2])
    n.add(3, { members: [], removed: [] })
    n.elect(1)
    n.change(1, { kind: 'add', member: { id: 3, address: 'x', learner: true } })
    n.tick(30, 1)
    t.equal(n.raft(3).state.log.lastIndex, n.raft(1).state.log.lastIndex)
    n.cut(2)
    n.raft(1).propose(bytes('a'))
    n.settle()
    t.ok(
      n.raft(1).state.log.committed < n.raft(1).state.log.lastIndex,
      '1 and the learner are no majority',
    )
    n.heal()
    n.tick(20, 1)
    n.change(1, { kind: 'promote', id: 3 })
    n.cut(2)
    n.raft(1).propose(bytes('b'))
    n.settle()
    t.equal(n.raft(1).state.log.committed, n.raft(1).state.log.lastIndex)
  })
  t.test('one change at a time, and none before an entry of the term is applied', async t => {
    const n = new Network([1, 2, 3])
    n.raft(1).state.term = 4
    n.cut(1)
    n.elect(1)
    n.heal()
    n.elect(1)
    n.drop = m => m.type === 'appendResponse'
    t.ok('index' in n.change(1, { kind: 'demote', id: 3 }))
    t.strictSame(n.change(1, { kind: 'remove', id: 3 }), { refused: 'pending' })
    n.heal()
    n.tick(20, 1)
    t.ok('index' in n.change(1, { kind: 'remove', id: 3 }))
  })
  t.test('a removed member learns of it and stops campaigning; its id is refused', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.drop = m => m.to === 3
    n.change(1, { kind: 'remove', id: 3 })
    n.heal()
    n.tick(3 * ELECTION_MS)
    t.ok(n.raft(3).state.removed, 'told in answer to its pre-vote')
    t.equal(n.raft(1).state.term, 1, 'and nobody was disturbed')
    n.change(1, { kind: 'add', member: { id: 3, address: '', learner: true } })
    t.equal(n.raft(1).state.membership.members.length, 2)
  })
  t.test('a leader that removes itself lets another take over', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.change(1, { kind: 'remove', id: 1 })
    t.strictSame([n.role(1), n.raft(1).state.removed], ['follower', true])
    t.ok(n.role(2) === 'leader' || n.role(3) === 'leader', 'without waiting for a timeout')
    n.tick(20)
    t.strictSame(n.raft(2).state.voters, [2, 3])
  })
  t.test('the last voter cannot go', async t => {
    const n = new Network([1, 2], { learners: [2] })
    n.elect(1)
    n.change(1, { kind: 'remove', id: 1 })
    n.change(1, { kind: 'demote', id: 1 })
    t.strictSame([n.role(1), n.raft(1).state.voters], ['leader', [1]])
  })
})

t.test('§7 a follower behind the compacted log is sent a snapshot', async t => {
  const n = new Network([1, 2, 3])
  n.elect(1)
  n.cut(3)
  for (let i = 0; i < 9; i++) n.raft(1).propose(bytes(`${i}`))
  n.settle()
  const { log, membership } = n.raft(1).state
  n.raft(1).compact({ index: 8, term: 1, membership }, 2, 1e9)
  t.equal(log.firstIndex, 7)
  n.heal()
  n.tick(20, 1)
  const [sent] = of(n, 'snapshot')
  t.match(sent, { to: 3, snapshot: { meta: { index: 8, term: 1 } } })
  t.equal(n.raft(3).state.log.firstIndex, 9, 'it replaced the log')
  n.raft(3).snapshotApplied((sent as NonNullable<typeof sent>).snapshot.meta)
  n.tick(20, 1)
  t.equal(n.raft(3).state.log.committed, 10)
  t.equal(n.peer(3).applied.at(-1)?.index, 10)
  n.raft(3).step(sent as NonNullable<typeof sent>)
  n.settle()
  t.equal(n.raft(3).state.log.lastIndex, 10, 'an old snapshot is no news')
})

t.test('thesis §6.4 reads', async t => {
  t.test('a majority confirms the leader before a read is answered, for followers too', async t => {
    const n = new Network([1, 2, 3])
    n.elect(1)
    n.raft(1).propose(bytes('a'))
    n.settle()
    n.cut(1)
    n.raft(1).readIndex(7)
    n.settle()
    t.strictSame(n.peer(1).reads, [], 'alone it may be deposed already')
    n.heal()
    n.raft(2).readIndex(8)
    n.settle()
    t.match(n.peer(1).reads, [{ context: 7, index: 2 }])
    t.match(n.peer(2).reads, [{ context: 8, index: 2 }])
  })
  t.test('not before an entry of its own term is committed', async t => {
    const n = new Network([1, 2, 3])
    n.drop = m => m.type === 'appendResponse'
    n.elect(1)
    n.raft(1).readIndex(1)
    n.tick(20, 1)
    t.strictSame(n.peer(1).reads, [])
    n.heal()
    n.tick(20, 1)
    t.match(n.peer(1).reads, [{ context: 1, index: 1 }])
  })
  t.test('a cluster of one needs nobody', async t => {
    const n = new Network([1])
    n.elect(1)
    n.raft(1).readIndex(1)
    n.settle()
    t.equal(n.peer(1).reads.length, 1)
  })
})

t.test('uncommitted bytes are bounded', async t => {
  const n = new Network([1, 2, 3], { config: { maxUncommittedBytes: 100 } })
  n.elect(1)
  n.cut(1)
  t.ok('index' in n.raft(1).propose(new Uint8Array(90)), 'the first may be as large as it is')
  t.strictSame(n.raft(1).propose(new Uint8Array(90)), { refused: 'full' })
  n.heal()
  n.tick(20, 1)
  t.ok('index' in n.raft(1).propose(new Uint8Array(90)))
})

t.test(
  'a vote carries what is committed, so that a change of membership cannot lock its members out',
  async t => {
    const n = new Network([1, 2])
    n.elect(1)
    n.raft(1).proposeChange({ kind: 'remove', id: 1 })
    n.raft(1).propose(bytes('never committed'))
    n.drop = m => m.type === 'timeoutNow' || (m.type === 'append' && m.commit > 1)
    n.settle()
    n.cut(1)
    n.tick(ELECTION_MS)
    t.strictSame(n.raft(2).state.voters, [1, 2], '2 holds its deliverance without knowing')
    n.heal()
    n.tick(6 * ELECTION_MS, 2)
    t.strictSame([n.role(2), n.raft(2).state.voters], ['leader', [2]])
  },
)

t.test('a refusal of an older term still tells what is committed', async t => {
  const n = new Network([1, 2], { logs: { 1: [1, 1], 2: [1, 1] } })
  const raft = n.raft(1)
  raft.tick(2 * ELECTION_MS)
  raft.step({
    type: 'voteResponse',
    from: 2,
    to: 1,
    term: 0,
    reject: true,
    commit: 2,
    commitTerm: 1,
  })
  t.equal(raft.state.log.committed, 2)
})
