// Goal: a follower is sent what it can take, no more, and lost appends are found. Method: examples per state.
import t from 'tap'
import { Progress } from '../../src/core/progress.ts'
import type { Entry } from '../../src/types.ts'

const limits = { maxInflight: 2, maxInflightBytes: 1000 }
const entry = (index: number, bytes = 1): Entry => ({
  index,
  term: 1,
  kind: 'normal',
  data: new Uint8Array(bytes),
})

t.test('a probe sends one append, then waits', async t => {
  const p = new Progress(5, limits)
  t.ok(p.canSend())
  p.sent([entry(5)], 0)
  t.notOk(p.canSend())
  t.equal(p.next, 5, 'nothing is assumed')
  t.ok(p.acknowledge(5))
  p.becomeReplicate()
  t.equal(p.next, 6)
})

t.test('a replica is sent ahead until the window is full, by count or by bytes', async t => {
  const p = new Progress(1, limits)
  p.becomeReplicate()
  p.sent([entry(1)], 0)
  t.ok(p.canSend())
  p.sent([entry(2)], 0)
  t.notOk(p.canSend(), 'two in flight')
  p.acknowledge(1)
  t.ok(p.canSend())
  p.sent([entry(3, 2000)], 0)
  p.acknowledge(2)
  t.notOk(p.canSend(), 'bytes in flight')
  t.equal(p.inflight, 1)
  p.acknowledge(3)
  t.equal(p.inflight, 0)
})

t.test('a refusal leads back to what is known to match; an old one is ignored', async t => {
  const p = new Progress(1, limits)
  p.acknowledge(3)
  p.becomeReplicate()
  p.sent([entry(4)], 0)
  t.notOk(p.reject(2, 1), 'below the match')
  t.ok(p.reject(4, 3))
  t.strictSame([p.state, p.next], ['probe', 4])
  const q = new Progress(10, limits)
  t.notOk(q.reject(5, 2), 'not the probe that is out')
  t.ok(q.reject(9, 2))
  t.equal(q.next, 3)
})

t.test('nothing is sent behind a snapshot until it is reported', async t => {
  const p = new Progress(3, limits)
  p.becomeSnapshot(20)
  t.notOk(p.canSend())
  p.snapshotSent(true)
  t.strictSame([p.state, p.next, p.canSend()], ['probe', 21, false])
  p.becomeSnapshot(30)
  p.snapshotSent(false)
  t.equal(p.next, 1, 'back to the match')
})
