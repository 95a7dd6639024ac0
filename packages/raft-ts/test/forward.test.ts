// Goal: a follower's proposal reaches the log once or not at all, and its caller is never told wrong.
// Method: a few nodes on virtual time; the request or its answer is lost, repeated, late, or refused.
import t from 'tap'
import type { Message, RaftNode, RaftNodeOptions } from '../src/index.ts'
import { bytes, Cluster } from './cluster.ts'

const forwarding: Partial<RaftNodeOptions> = { forwardProposals: true }
const follower = (c: Cluster, id = 2): RaftNode => c.nodes.get(id) as RaftNode

t.test('the follower’s own state machine gives the result', async t => {
  const c = new Cluster()
  await c.start([1, 2, 3], forwarding)
  const first = await c.during(follower(c).propose(bytes('a')), 300)
  const second = await c.during(follower(c, 3).propose(bytes('b')), 300)
  t.equal(second.index, first.index + 1)
  t.strictSame(c.machines.get(1)?.texts, ['a', 'b'])
  t.ok(second.result !== undefined)
  t.equal(follower(c).status().pendingProposals, 0)
})

t.test('switched off, at either end, it names the leader', async t => {
  const off = new Cluster()
  await off.start([1, 2, 3])
  await t.rejects(off.during(follower(off).propose(bytes('a')), 100), {
    code: 'NotLeader',
    leader: 1,
  })
  const c = new Cluster()
  const members = [1, 2].map(id => ({ id, address: '', learner: false }))
  const leader = await c.open(1, members)
  const node = await c.open(2, members, forwarding)
  leader.campaign()
  await c.pass(200)
  await t.rejects(c.during(node.propose(bytes('a')), 100), { code: 'NotLeader', leader: 1 })
  t.strictSame(c.machines.get(1)?.texts, [])
})

t.test('repeated requests are taken once', async t => {
  const c = new Cluster()
  await c.start([1, 2, 3], forwarding)
  const requests: Message[] = []
  c.alter = m => {
    if (m.type === 'forward') requests.push(m)
    return m
  }
  await c.during(follower(c).propose(bytes('a')), 200)
  t.equal(requests.length, 1)
  for (let i = 0; i < 3; i++) c.nodes.get(1)?.step(requests[0] as Message)
  await c.pass(200)
  t.strictSame(c.machines.get(1)?.texts, ['a'])
})

t.test('without an answer the outcome is unknown', async t => {
  t.test('a lost request is not sent again', async t => {
    const c = new Cluster()
    await c.start([1, 2, 3], forwarding)
    c.drop = m => m.type === 'forward'
    await t.rejects(c.during(follower(c).propose(bytes('a'), { timeoutMs: 500 })), {
      code: 'OutcomeUnknown',
    })
    c.drop = () => false
    await c.pass(1000)
    t.strictSame(c.machines.get(1)?.texts, [])
  })
  t.test('a lost answer: the entry is there all the same', async t => {
    const c = new Cluster()
    await c.start([1, 2, 3], forwarding)
    c.drop = m => m.type === 'forwardResponse'
    await t.rejects(c.during(follower(c).propose(bytes('a'), { timeoutMs: 500 })), {
      code: 'OutcomeUnknown',
    })
    t.strictSame(c.machines.get(2)?.texts, ['a'])
  })
  t.test('another leader: at once', async t => {
    const c = new Cluster()
    const leader = await c.start([1, 2, 3], forwarding)
    c.drop = m => m.type === 'forward'
    const lost = follower(c).propose(bytes('a'), { timeoutMs: 60_000 })
    await c.during(leader.transferLeadership(3), 300)
    await t.rejects(c.during(lost, 100), { code: 'OutcomeUnknown', message: /leads no longer/ })
  })
})

t.test('refused by the leader', async t => {
  const refused: string[] = []
  const c = new Cluster()
  const leader = await c.start([1, 2, 3], {
    ...forwarding,
    maxEntryBytes: 10,
    metrics: { refused: reason => refused.push(reason) },
  })
  const { term } = leader.status()
  const answers: Message[] = []
  const request = (from: number, id: number, size: number): Message => {
    return { type: 'forward', from, to: 1, term, id, data: new Uint8Array(size) }
  }
  leader.step(request(77, 1, 1))
  leader.step(request(2, 1, 11))
  leader.step({ ...request(2, 2, 1), term: term - 1 } as Message)
  answers.push(...c.sent.filter(m => m.type === 'forwardResponse'))
  t.match(answers, [
    { to: 77, refused: 'stranger', index: 0 },
    { to: 2, refused: 'tooLarge', index: 0 },
  ])
  t.equal(answers.length, 2, 'of another term: silence')
  t.strictSame(refused, ['stranger'])
  await c.pass(200)
  t.strictSame(c.machines.get(1)?.texts, [])
})
