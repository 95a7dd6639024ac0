// Goal: the log matches, truncates, and vouches only for what is on disk. Method: examples and a model of arrays.
import fc from 'fast-check'
import t from 'tap'
import { RaftLog } from '../../src/core/log.ts'
import type { Entry } from '../../src/types.ts'

const data = new Uint8Array(1)
const entries = (from: number, ...terms: number[]): Entry[] =>
  terms.map((term, i) => ({ index: from + i, term, kind: 'normal', data }))
const logOf = (...terms: number[]): RaftLog =>
  new RaftLog({ index: 0, term: 0 }, entries(1, ...terms), 0)
const termsOf = (log: RaftLog): (number | undefined)[] =>
  Array.from({ length: log.lastIndex - log.firstIndex + 1 }, (_, i) =>
    log.termAt(log.firstIndex + i),
  )

t.test('appends after a matching entry only', async t => {
  const log = logOf(1, 1, 2)
  t.equal(log.appendAfter(3, 3, entries(4, 3)), undefined, 'other term')
  t.equal(log.appendAfter(4, 2, entries(5, 3)), undefined, 'gap')
  t.equal(log.appendAfter(3, 2, entries(4, 3)), 4)
  t.strictSame(termsOf(log), [1, 1, 2, 3])
})

t.test('a repeated, shorter append does not truncate what follows', async t => {
  const log = logOf(1, 1, 2, 2)
  t.equal(log.appendAfter(0, 0, entries(1, 1, 1)), 2)
  t.strictSame(termsOf(log), [1, 1, 2, 2])
})

t.test('a conflict truncates from there on, never a committed entry', async t => {
  const log = logOf(1, 1, 2, 2)
  log.commitTo(2)
  t.equal(log.appendAfter(2, 1, entries(3, 4)), 3)
  t.strictSame(termsOf(log), [1, 1, 4])
  t.throws(() => log.appendAfter(0, 0, entries(1, 5)), /committed/)
})

t.test('hints skip whole terms', async t => {
  const log = logOf(1, 1, 1, 5, 5, 5)
  t.strictSame(log.conflictBefore(6, 4), { index: 3, term: 1 })
  t.strictSame(log.conflictBefore(9, 5), { index: 6, term: 5 })
  t.strictSame(log.conflictBefore(2, 0), { index: 0, term: 0 })
})

t.test('an overwritten entry is not vouched for by the write of its predecessor', async t => {
  const log = new RaftLog({ index: 0, term: 0 }, [], 0)
  log.append(entries(1, 1, 1))
  t.equal(log.takeUnwritten(1).length, 2)
  log.append(entries(2, 2))
  log.takeUnwritten(2)
  log.append(entries(2, 1))
  log.writeDone(1)
  t.equal(log.stable, 1, 'same index and term as in write 1, yet not on disk')
  log.takeUnwritten(3)
  log.writeDone(3)
  t.equal(log.stable, 2)
})

t.test(
  'hands out what is committed and durable, in bounded batches that end at a config entry',
  async t => {
    const log = new RaftLog({ index: 0, term: 0 }, [], 0)
    const list = entries(1, 1, 1, 1, 1, 1).map(
      (e): Entry => (e.index === 4 ? { ...e, kind: 'config' } : e),
    )
    log.append(list)
    log.takeUnwritten(1)
    log.commitTo(5)
    t.notOk(log.hasCommitted(), 'not durable yet')
    log.writeDone(1)
    t.strictSame(
      log.takeCommitted(1000, 2).map(e => e.index),
      [1, 2],
    )
    t.strictSame(
      log.takeCommitted(1000, 9).map(e => e.index),
      [3, 4],
    )
    log.appliedTo(2)
    t.ok(log.hasUnappliedConfig())
    log.appliedTo(4)
    t.notOk(log.hasUnappliedConfig())
    t.strictSame(
      log.takeCommitted(1, 9).map(e => e.index),
      [5],
      'at least one, whatever the limit',
    )
  },
)

t.test('no more is handed out while enough is still being applied', async t => {
  const log = logOf(1, 1, 1, 1)
  log.commitTo(4)
  // 25 bytes an entry, one of data.
  log.takeCommitted(50, 9)
  t.notOk(log.hasCommitted(50))
  t.ok(log.hasCommitted(51), 'below the limit one more batch goes')
  log.appliedTo(1)
  t.ok(log.hasCommitted(50))
  log.takeCommitted(25, 9)
  t.notOk(log.hasCommitted(50))
  log.appliedTo(3)
  log.restore(9, 1, 1)
  log.writeDone(1)
  log.appliedTo(9)
  log.append(entries(10, 1))
  log.takeUnwritten(2)
  log.writeDone(2)
  log.commitTo(10)
  t.ok(log.hasCommitted(1), 'a snapshot begins anew')
})

t.test('compaction keeps terms right at the seam, and a tail within limits', async t => {
  const log = logOf(1, 1, 2, 2, 3)
  log.commitTo(5)
  log.takeCommitted(1e9, 9)
  log.appliedTo(5)
  const { bytes } = log
  t.equal(log.tailBefore(4, 2, 1e9), 2)
  t.equal(log.tailBefore(4, 99, 30), 3)
  log.compact(log.tailBefore(4, 2, 1e9))
  t.equal(log.firstIndex, 3)
  t.equal(log.termAt(2), 1)
  t.equal(log.termAt(1), undefined)
  t.ok(log.bytes < bytes)
  log.restore(9, 4, 7)
  t.strictSame(
    [log.firstIndex, log.lastIndex, log.lastTerm, log.committed, log.bytes],
    [10, 9, 4, 9, 0],
  )
})

t.test('two logs that meet by hints become equal', async t => {
  const terms = fc.array(fc.nat(3), { maxLength: 12 }).map(steps => {
    let term = 1
    return steps.map(step => (term += step > 1 ? step : 0))
  })
  fc.assert(
    fc.property(terms, terms, (mine, theirs) => {
      const leader = logOf(...mine, 99)
      const follower = logOf(...theirs)
      let prev = leader.lastIndex
      for (let rounds = 0; rounds <= 13; rounds++) {
        const rest = leader.slice(prev + 1, leader.lastIndex, 1e9)
        if (follower.appendAfter(prev, leader.termAt(prev) as number, rest) !== undefined) {
          // Terms stand for contents here, so equal prefixes need the same history; the tail must be the leader's.
          return follower.lastTerm === 99 && follower.lastIndex === leader.lastIndex
        }
        const hint = follower.conflictBefore(prev, leader.termAt(prev) as number)
        const next = hint.term > 0 ? leader.conflictBefore(hint.index, hint.term).index : hint.index
        if (next >= prev) return false
        prev = next
      }
      return false
    }),
  )
  t.pass()
})
