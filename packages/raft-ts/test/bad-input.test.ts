// Goal: what no honest member could have sent is refused with the reason, counted, and changes nothing.
// Method: messages made by hand, and snapshots damaged on the wire, between a few nodes on virtual time and disks.
import t from 'tap'
import { MAX_STRANGER_TERM_JUMP, MAX_TERM_JUMP } from '../src/driver/gate.ts'
import { type Message, RaftNode, type RefusalReason } from '../src/index.ts'
import { encodeSnapshot } from '../src/wal/snapshot-store.ts'
import { bytes, Cluster } from './cluster.ts'

type Counts = Partial<Record<RefusalReason, number>>

function counting(): { counts: Counts; metrics: { refused(reason: RefusalReason): void } } {
  const counts: Counts = {}
  const refused = (reason: RefusalReason): void => {
    counts[reason] = (counts[reason] ?? 0) + 1
  }
  return { counts, metrics: { refused } }
}

const heartbeat = (from: number, term: number): Message => {
  return { type: 'heartbeat', from, to: 1, term, commit: 0, round: 0 }
}

t.test('messages that are refused', async t => {
  const c = new Cluster()
  const { counts, metrics } = counting()
  const warned: object[] = []
  const log = {
    info: () => {},
    warn: (_: string, f?: object) => warned.push(f ?? {}),
    error: () => {},
  }
  const leader = await c.start([1, 2, 3], { metrics, log, maxEntryBytes: 100 })
  const before = leader.status()
  const append = (entry: { index: number; term: number; size: number }, term: number): Message => {
    const { size, ...rest } = entry
    const data = new Uint8Array(size)
    const at = { prevIndex: before.lastIndex, prevTerm: 1, commit: 0 }
    return {
      type: 'append',
      from: 2,
      to: 1,
      term,
      ...at,
      entries: [{ ...rest, kind: 'normal', data }],
    }
  }
  const next = before.lastIndex + 1
  const { term } = before
  const cases: readonly (readonly [RefusalReason, Message])[] = [
    ['term', heartbeat(2, term + MAX_TERM_JUMP + 1)],
    ['term', heartbeat(77, term + MAX_STRANGER_TERM_JUMP + 1)],
    ['term', { ...heartbeat(2, 2 ** 53 - 1), type: 'timeoutNow' } as Message],
    ['impostor', heartbeat(77, term)],
    ['malformed', heartbeat(0, term + 1)],
    ['malformed', heartbeat(2, 1.5)],
    ['malformed', append({ index: next + 1, term: term + 1, size: 1 }, term + 1)],
    ['malformed', append({ index: next, term: term + 2, size: 1 }, term + 1)],
    ['malformed', append({ index: next, term: 0, size: 1 }, term + 1)],
    ['entry', append({ index: next, term: term + 1, size: 101 }, term + 1)],
    ['stranger', { type: 'readIndex', from: 77, to: 1, term, context: 1 }],
  ]
  for (const [reason, message] of cases) {
    const had = counts[reason] ?? 0
    leader.step(message)
    await c.pass(1)
    t.equal(counts[reason], had + 1, `${reason}: ${message.type} of ${message.from}`)
  }
  await c.pass(100)
  t.match(leader.status(), { term, role: 'leader', lastIndex: before.lastIndex })
  t.strictSame(c.fatal, [])
  t.equal(warned.length, Object.keys(counts).length, 'one line of log a reason')
  t.match(warned[0], { detail: /heartbeat of member 2 has term 4294967299, ours is 2/ })
  await t.rejects(leader.propose(new Uint8Array(101)), { code: 'TooLarge' })
  t.test('while the most an honest one can be ahead is believed', async t => {
    leader.step(heartbeat(77, term + MAX_STRANGER_TERM_JUMP))
    await c.pass(1)
    t.equal(leader.status().term, term + MAX_STRANGER_TERM_JUMP)
    leader.step(heartbeat(2, 5 + MAX_TERM_JUMP))
    await c.pass(1)
    t.equal(leader.status().term, 5 + MAX_TERM_JUMP)
  })
})

t.test('messages as bytes', async t => {
  const c = new Cluster()
  const { counts, metrics } = counting()
  const node = await c.start([1, 2], { metrics, clusterId: 'ours' })
  const { term } = node.status()
  const other = await new Cluster().start([1], { clusterId: 'theirs' })
  const plain = await new Cluster().start([1])
  for (const stranger of [other, plain])
    t.throws(() => node.receive(stranger.encode(heartbeat(2, term + 1))), {
      code: 'Refused',
      message: /belongs to cluster ours, the message to (theirs|none); remove the sender/,
    })
  t.throws(() => node.receive(bytes('nonsense')), { code: 'Corrupt' })
  t.strictSame(counts, { cluster: 2, malformed: 1 })
  t.equal(node.status().term, term)
  node.receive(node.encode(heartbeat(2, term + 1)))
  t.equal(node.status().term, term + 1, 'and of this cluster it is taken')
  plain.receive(node.encode({ ...heartbeat(2, term + 1) }))
  t.equal(plain.status().term, term + 1, 'who has no cluster id looks for none')
})

t.test('snapshots', async t => {
  const options = { snapshotEntries: 10, snapshotTailEntries: 1, snapshotChunkBytes: 64 }
  /** A leader whose log no longer reaches back to where 3 stands. */
  const behind = async (c: Cluster, more: object): Promise<RaftNode> => {
    const leader = await c.start([1, 2, 3], { ...options, ...more })
    c.drop = m => m.from === 3 || m.to === 3
    for (let i = 0; i < 30; i++)
      await c.during(leader.propose(bytes(`entry ${i}`.padEnd(50, '.'))), 20)
    t.ok(leader.status().firstIndex > 20)
    return leader
  }
  t.test('one whose bytes were changed on the way is refused, and asked for again', async t => {
    const c = new Cluster()
    const { counts, metrics } = counting()
    const leader = await behind(c, { metrics })
    let damaged = 0
    c.alter = m => {
      if (m.type !== 'snapshotChunk' || m.offset !== 64 || damaged > 0) return m
      damaged++
      return { ...m, data: m.data.map((byte, i) => (i === 5 ? byte ^ 1 : byte)) }
    }
    c.drop = () => false
    await c.pass(3000)
    t.strictSame(counts, { snapshot: 1 })
    t.equal(damaged, 1)
    t.strictSame(c.fatal, [])
    t.strictSame(c.machines.get(3)?.texts, c.machines.get(1)?.texts)
    t.equal(leader.status().role, 'leader')
  })
  t.test('one without a hash is never taken', async t => {
    const c = new Cluster()
    const { counts, metrics } = counting()
    await behind(c, { metrics })
    c.alter = m => {
      if (m.type !== 'snapshotChunk') return m
      const { hash: _, ...rest } = m
      return rest
    }
    c.drop = () => false
    await c.pass(3000)
    t.ok((counts.snapshot ?? 0) > 0)
    t.equal(c.nodes.get(3)?.status().snapshotIndex, 0)
    t.strictSame(c.fatal, [])
    c.alter = m => m
    await c.pass(3000)
    t.strictSame(c.machines.get(3)?.texts, c.machines.get(1)?.texts, 'a good one is taken')
  })
  t.test('bytes that hash well and are no snapshot', async t => {
    const c = new Cluster()
    const { counts, metrics } = counting()
    const { term } = (await c.start([1, 2], { metrics })).status()
    const nobody = { index: 50, term, membership: { members: [], removed: [] } }
    const member = { id: 1, address: '', learner: false }
    const other = { index: 49, term, membership: { members: [member], removed: [] } }
    for (const data of [
      bytes('nonsense'),
      encodeSnapshot({ meta: nobody, data: bytes('x') }),
      encodeSnapshot({ meta: other, data: bytes('x') }),
    ]) {
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', data.slice()))
      const at = { index: 50, offset: 0, total: data.length }
      c.nodes.get(2)?.step({ type: 'snapshotChunk', from: 1, to: 2, term, ...at, data, hash })
    }
    t.strictSame(counts, { snapshot: 3 })
    t.equal(c.nodes.get(2)?.status().snapshotIndex, 0)
    t.strictSame(c.fatal, [])
  })
  t.test('after a broken connection it goes on where it was', async t => {
    const c = new Cluster()
    const leader = await behind(c, {})
    const offsets: number[] = []
    c.drop = m => {
      if (m.type === 'snapshotChunk') offsets.push(m.offset)
      return false
    }
    await c.clock.advance(1)
    for (let i = 0; i < 2000 && offsets.length < 8; i++) await c.pass(1)
    // The last of the chunks sent so far and their answers are lost with the connection.
    const before = offsets.length
    c.drop = m => m.to === 3 || m.from === 3
    await c.pass(5)
    leader.reportUnreachable(3)
    c.drop = m => {
      if (m.type === 'snapshotChunk') offsets.push(m.offset)
      return false
    }
    await c.pass(2000)
    t.strictSame(c.machines.get(3)?.texts, c.machines.get(1)?.texts)
    const after = offsets.slice(before)
    const repeated = after.filter(offset => offset > 0 && offset < 4 * 64)
    t.ok(repeated.length <= 3, `chunks sent again: ${after.join()}`)
    t.ok(Math.max(...offsets) > 8 * 64, 'and there were many')
  })
})
