// Goal: a leader with a lease answers reads alone, and never while another could lead (raft thesis §6.4.1).
// Method: cores wired by hand; the one that holds the lease is cut off, paused, or asked to hand over.
import t from 'tap'
import type { MemberChange } from '../../src/core/membership.ts'
import { bytes, ELECTION_MS, Network } from './network.ts'

const LEASE_MS = 80

function withLease(ids = [1, 2, 3]): Network {
  const n = new Network(ids, { config: { leaseMs: LEASE_MS } })
  n.tick(ELECTION_MS, ...ids)
  n.elect(1)
  n.tick(20)
  return n
}

t.test('a read needs no message while the lease holds, and a majority afterwards', async t => {
  const n = withLease()
  n.seen.length = 0
  n.raft(1).readIndex(1)
  n.collect()
  t.strictSame(n.peer(1).reads, [{ from: 1, context: 1, index: n.raft(1).state.log.committed }])
  t.strictSame(n.seen, [])
  n.cut(1)
  n.tick(LEASE_MS + 5, 1)
  n.raft(1).readIndex(2)
  n.settle()
  t.equal(n.peer(1).reads.length, 1, 'cut off, it has no answer')
  t.test('off by default', async t => {
    const plain = new Network([1, 2, 3])
    plain.elect(1)
    plain.tick(20)
    plain.cut(1)
    plain.raft(1).readIndex(1)
    plain.settle()
    t.strictSame(plain.peer(1).reads, [])
  })
})

t.test('a follower’s read is answered from the lease as well', async t => {
  const n = withLease()
  n.drop = m => m.type === 'heartbeatResponse'
  n.raft(2).readIndex(5)
  n.settle()
  t.match(n.peer(2).reads, [{ context: 5 }])
})

t.test('a leader that was paused knows that its lease is over', async t => {
  const n = withLease()
  n.cut(1)
  n.raft(1).elapse(10_000)
  n.raft(1).readIndex(1)
  n.settle()
  t.strictSame(n.peer(1).reads, [])
})

t.test(
  'whoever answered a heartbeat neither votes nor campaigns for an election timeout',
  async t => {
    const n = withLease()
    const lead = n.raft(1)
    n.drop = m => m.to === 3 || m.from === 3
    n.tick(ELECTION_MS, 1, 2)
    // 2 holds the lease with 1; 3 has waited long enough, and would vote for either.
    n.raft(3).tick(ELECTION_MS)
    n.cut(1)
    n.raft(2).forgetLeader()
    n.raft(2).campaign()
    n.settle()
    t.equal(n.role(2), 'follower', 'not even for itself, when it doubts the leader')
    n.raft(3).campaign()
    n.settle()
    t.not(n.role(3), 'leader')
    t.ok(lead.state.lease.holds(lead.state.clockMs, LEASE_MS), 'while 1 answers reads')
    t.test('nor after a restart', async t => {
      const { state } = n.raft(2)
      const again = new Network([1, 2, 3], { config: { leaseMs: LEASE_MS } })
      again.raft(3).state.sinceLeaderMs = ELECTION_MS
      again.raft(3).state.term = state.term
      again.raft(3).campaign()
      again.settle()
      t.not(again.role(3), 'leader')
      again.tick(ELECTION_MS, 1, 2)
      again.raft(3).campaign()
      again.settle()
      t.equal(again.role(3), 'leader', 'but then it does')
    })
  },
)

t.test('no lease once another was asked to campaign, until the next term', async t => {
  const n = withLease()
  n.drop = m => m.type === 'timeoutNow'
  n.raft(1).transferTo(2)
  n.tick(3 * ELECTION_MS, 1)
  t.equal(n.role(1), 'leader', 'the request is still on its way')
  n.cut(1)
  n.raft(1).readIndex(1)
  n.settle()
  t.strictSame(n.peer(1).reads, [])
})

t.test('no lease from those who may decide no longer', async t => {
  const n = withLease()
  const old = [1, 2, 3].map(id => ({ id, address: '', learner: false }))
  n.add(4, { members: old, removed: [] }, [], { leaseMs: LEASE_MS })
  const changes: MemberChange[] = [
    { kind: 'add', member: { id: 4, address: '', learner: false } },
    { kind: 'remove', id: 3 },
  ]
  n.raft(1).proposeChange({ kind: 'enterJoint', changes, autoLeave: false })
  n.drop = m => m.type === 'heartbeatResponse'
  n.settle()
  const { lease, clockMs } = n.raft(1).state
  t.notOk(lease.holds(clockMs, LEASE_MS))
  n.heal()
  n.tick(30, 1)
  t.ok(lease.holds(n.raft(1).state.clockMs, LEASE_MS))
  n.raft(1).propose(bytes('a'))
  n.settle()
})
