// Goal: no message that passes the gate, however wrong, stops a member or takes back what it promised; and what strangers
// say elects nobody.
// Method: random messages, near the truth and far from it, into one core in every role, and into a cluster of three whose
// own messages are delayed, doubled and lost besides; random bytes into every decoder.
import fc from 'fast-check'
import t from 'tap'
import { ByteReader, ByteWriter } from '../src/codec/bytes.ts'
import {
  readEntry,
  readHardState,
  readSnapshotMeta,
  writeEntry,
  writeHardState,
  writeSnapshotMeta,
} from '../src/codec/entry.ts'
import { decodeChange, encodeChange } from '../src/core/membership.ts'
import {
  decodeMessage,
  encodeMessage,
  type Membership,
  type Message,
  RaftError,
} from '../src/index.ts'
import { refusalOf } from '../src/driver/gate.ts'
import { decodeWrite, encodeWrite } from '../src/wal/record.ts'
import type { Cluster } from './transcript/cluster.ts'
import { DEFAULTS, Interpreter } from './transcript/interpreter.ts'
import { Member } from './transcript/member.ts'

/** Terms and indexes near those of a young cluster, and now and then what nobody would come to. */
const near = fc.oneof(
  { weight: 16, arbitrary: fc.nat(6) },
  { weight: 1, arbitrary: fc.maxSafeNat() },
  { weight: 1, arbitrary: fc.constant(Number.MAX_SAFE_INTEGER) },
)
const data = fc.uint8Array({ maxLength: 4 })
const entryAfter = (prevIndex: number) =>
  fc
    .array(fc.record({ term: near, kind: fc.constantFrom('empty', 'normal'), data }), {
      maxLength: 3,
    })
    .map(entries => entries.map((e, i) => ({ ...e, index: prevIndex + 1 + i })))
const membership: Membership = {
  members: [1, 2, 3].map(id => ({ id, address: '', learner: false })),
  removed: [],
}

/** @param trusted whether it may speak as a leader, and say what is committed: against that only the transport guards */
function messages(from: fc.Arbitrary<number>, trusted: boolean): fc.Arbitrary<Message> {
  const typed = <T extends string>(type: T) => ({
    type: fc.constant(type),
    from,
    to: fc.integer({ min: 1, max: 3 }),
    term: near,
  })
  const fact = trusted
    ? { commit: near, commitTerm: near }
    : { commit: fc.constant(0), commitTerm: fc.constant(0) }
  const request = { lastIndex: near, lastTerm: near, transfer: fc.boolean(), ...fact }
  const append = fc
    .record({ ...typed('append'), prevIndex: fc.nat(6), prevTerm: near, commit: near })
    .chain(m => entryAfter(m.prevIndex).map(entries => ({ ...m, entries })))
  const index = fc.oneof(fc.nat(6), fc.nat(1e9))
  const meta = fc.record({ index, term: near, membership: fc.constant(membership) })
  const anybody = [
    fc.record({ ...typed('vote'), ...request }),
    fc.record({ ...typed('preVote'), ...request }),
    fc.record({ ...typed('voteResponse'), reject: fc.boolean(), ...fact }),
    fc.record({ ...typed('preVoteResponse'), reject: fc.boolean(), ...fact }),
    fc.record({
      ...typed('appendResponse'),
      index: near,
      reject: fc.boolean(),
      hintIndex: near,
      hintTerm: near,
    }),
    fc.record({ ...typed('heartbeatResponse'), round: near }),
    fc.record({ ...typed('snapshotChunk'), index: near, offset: near, total: near, data }),
    fc.record({ ...typed('snapshotChunkResponse'), index: near, offset: near }),
    fc.record(typed('timeoutNow')),
    fc.record({ ...typed('readIndex'), context: near }),
    fc.record({ ...typed('readIndexResponse'), context: near, index: near }),
  ]
  const leader = [
    append,
    fc.record({ ...typed('heartbeat'), commit: near, round: near }),
    fc.record({ ...typed('snapshot'), snapshot: fc.record({ meta, data }) }),
    fc.record(typed('removed')),
  ]
  return fc.oneof(...(trusted ? [...anybody, ...leader] : anybody)) as fc.Arbitrary<Message>
}

const member = fc.integer({ min: 1, max: 3 }).map(String)
/** What may happen to a cluster, as lines of a transcript. */
const deed: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.nat(40).map(n => `deliver nth=${n}`) },
  { weight: 2, arbitrary: fc.nat(40).map(n => `duplicate nth=${n}`) },
  { weight: 2, arbitrary: fc.nat(40).map(n => `drop nth=${n}`) },
  { weight: 6, arbitrary: member.map(id => `ready ${id}`) },
  { weight: 2, arbitrary: member.map(id => `campaign ${id}`) },
  { weight: 2, arbitrary: member.map(id => `propose ${id} x`) },
  { weight: 1, arbitrary: fc.tuple(member, member).map(([a, b]) => `transfer ${a} ${b}`) },
  { weight: 1, arbitrary: fc.tuple(member, member).map(([a, b]) => `read ${a} ${b}`) },
  { weight: 1, arbitrary: fc.tuple(member, fc.nat(15)).map(([id, n]) => `tick ${id} ${n * 10}`) },
  { weight: 1, arbitrary: member.map(id => `forget-leader ${id}`) },
  { weight: 1, arbitrary: member.map(id => `slow-disk ${id}`) },
  { weight: 2, arbitrary: member.map(id => `write-done ${id}`) },
  { weight: 1, arbitrary: member.map(id => `restart ${id}`) },
  { weight: 1, arbitrary: fc.constant('stabilize') },
)

function three(preVote: boolean): { cluster: Cluster; run: (line: string) => void } {
  const interpreter = new Interpreter()
  interpreter.run(`members 1 2 3 pre-vote=${preVote ? 'on' : 'off'}`)
  return { cluster: interpreter.cluster, run: line => void interpreter.run(line) }
}

const ownDeed = fc.oneof(
  fc.nat(15).map(n => (m: Member) => m.raft.tick(n * 10)),
  fc.constantFrom(
    (m: Member) => void m.ready(),
    (m: Member) => void m.ready(),
    (m: Member) => void m.finishWrite(),
    (m: Member) => m.raft.campaign(),
    (m: Member) => void m.raft.propose(new Uint8Array(1)),
    (m: Member) => void m.raft.proposeChange({ kind: 'demote', id: 3 }),
    (m: Member) => void m.raft.readIndex(7),
    (m: Member) => void m.raft.transferTo(2),
    (m: Member) => m.restart(),
  ),
)

/** One of three, whose fellows are whoever sends it messages. */
function alone(preVote: boolean): Member {
  const member = new Member(
    1,
    { ...DEFAULTS, preVote },
    {
      hardState: { term: 0, vote: 0, commit: 0 },
      base: { index: 0, term: 0, membership },
      entries: [],
    },
    { say: () => {}, post: () => {}, onApply: () => {} },
  )
  member.slowDisk = true
  return member
}

interface Promises {
  readonly term: number
  readonly vote: number
  readonly commit: number
  readonly applied: number
  readonly last: number
}

function promisesOf({ raft }: Member): Promises {
  const { term, vote, log } = raft.state
  return { term, vote, commit: log.committed, applied: log.applied, last: log.lastIndex }
}

function broken(before: Promises, now: Promises): boolean {
  const otherVote = now.term === before.term && before.vote !== 0 && now.vote !== before.vote
  const fell = now.term < before.term || now.commit < before.commit || now.applied < before.applied
  const lost = !Number.isSafeInteger(now.term)
  return otherVote || fell || lost || now.applied > now.commit || now.commit > now.last
}

/** To this member, and half of the time about its own term, the one before or the next, where harm could be done. */
function aimed(m: Message, { id, raft }: Member): Message {
  return { ...m, to: id, term: m.term < 3 ? Math.max(0, raft.state.term + m.term - 1) : m.term }
}

/** What the driver lets through, but for what no member may ever say: there the core ends the process, see step.ts. */
function passes({ raft }: Member, m: Message): boolean {
  const { role, term } = raft.state
  const leads = m.type === 'append' || m.type === 'heartbeat' || m.type === 'snapshot'
  if (leads && role === 'leader' && m.term === term && m.from <= 3) return false
  return refusalOf(raft.state, m, { maxEntryBytes: 100 }) === undefined
}

t.test('a core survives whatever it is told, and keeps its promises', async t => {
  const anything = messages(fc.integer({ min: 1, max: 9 }), true)
  let heard = 0
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.oneof(ownDeed, anything), { minLength: 20, maxLength: 60 }),
      (preVote, script) => {
        const member = alone(preVote)
        let before = promisesOf(member)
        for (const made of script) {
          const { raft } = member
          const step = typeof made === 'function' ? made : aimed(made, member)
          if (typeof step === 'function') step(member)
          else if (passes(member, step)) {
            heard++
            member.step(step)
          }
          const now = promisesOf(member)
          // A crash takes back what was not durable, and so not promised.
          if (raft === member.raft && broken(before, now))
            throw new Error(`from ${JSON.stringify(before)} to ${JSON.stringify(now)}`)
          before = now
        }
      },
    ),
    { numRuns: 1500 },
  )
  t.ok(heard > 10_000, `${heard} messages`)
})

t.test('strangers, loss, delay and repetition make no two leaders of a term', async t => {
  const stranger = messages(fc.integer({ min: 4, max: 9 }), false)
  const steps = fc.array(
    fc.oneof({ weight: 6, arbitrary: deed }, { weight: 2, arbitrary: stranger }),
    {
      minLength: 50,
      maxLength: 150,
    },
  )
  let leaders = 0
  fc.assert(
    fc.property(fc.boolean(), steps, (preVote, script) => {
      const { cluster: c, run } = three(preVote)
      for (const made of script) {
        // Every line ends with the checks of `Cluster`: one leader a term, one history, nothing falls.
        if (typeof made === 'string') run(made)
        else {
          const member = c.member(made.to)
          const step = aimed(made, member)
          if (passes(member, step)) member.step(step)
          run('status')
        }
      }
      if (c.running().some(m => m.raft.state.role === 'leader')) leaders++
    }),
    { numRuns: 400 },
  )
  t.ok(leaders > 20, `${leaders} runs ended with a leader`)
})

t.test('strangers alone elect nobody', async t => {
  const stranger = messages(fc.integer({ min: 4, max: 9 }), false)
  const steps = fc.array(fc.oneof(deed, { weight: 40, arbitrary: stranger }), {
    minLength: 50,
    maxLength: 150,
  })
  let candidates = 0
  fc.assert(
    fc.property(fc.boolean(), steps, (preVote, script) => {
      const { cluster: c, run } = three(preVote)
      run('block from=1,2,3')
      for (const made of script) {
        if (typeof made === 'string') run(made)
        else {
          const member = c.member(made.to)
          const step = aimed(made, member)
          if (passes(member, step)) member.step(step)
        }
        const roles = c.running().map(m => m.raft.state.role)
        if (roles.includes('candidate')) candidates++
        if (roles.includes('leader')) throw new Error(`elected after ${JSON.stringify(made)}`)
      }
    }),
    { numRuns: 200 },
  )
  t.ok(candidates > 100, `${candidates} times somebody was a candidate`)
})

/** In the form it came in: with its cluster, and a chunk of a snapshot without the hash that the release before did not send. */
function messageAgain(bytes: Uint8Array): Uint8Array {
  const m = decodeMessage(bytes)
  const cluster = bytes[0] === 2 ? new ByteReader(bytes.subarray(1)).string() : undefined
  const out = encodeMessage(m, cluster)
  const old = m.type === 'snapshotChunk' && m.hash === undefined && out.length > bytes.length
  return old ? out.subarray(0, bytes.length) : out
}

t.test(
  'every decoder refuses bytes as corrupt, or gives what is written as the same bytes',
  async t => {
    const through =
      <T>(read: (r: ByteReader) => T, write: (w: ByteWriter, value: T) => void) =>
      (bytes: Uint8Array): Uint8Array => {
        const reader = new ByteReader(bytes)
        const value = read(reader)
        reader.end()
        const writer = new ByteWriter()
        write(writer, value)
        return writer.finish()
      }
    const codecs: Record<string, (bytes: Uint8Array) => Uint8Array> = {
      message: messageAgain,
      change: bytes => encodeChange(decodeChange(bytes)),
      record: bytes => encodeWrite(decodeWrite(bytes)),
      entry: through(readEntry, writeEntry),
      hardState: through(readHardState, writeHardState),
      snapshotMeta: through(readSnapshotMeta, writeSnapshotMeta),
    }
    // Small numbers are what counts, kinds and flags are made of, so that many inputs get far.
    const byte = fc.oneof({ weight: 3, arbitrary: fc.nat(4) }, fc.nat(255))
    const input = fc.oneof(
      fc.array(byte, { maxLength: 24 }),
      fc
        .tuple(fc.nat(15), fc.array(byte, { maxLength: 24 }))
        .map(([type, rest]) => [1, type, ...rest]),
    )
    for (const [name, again] of Object.entries(codecs)) {
      let decoded = 0
      fc.assert(
        fc.property(input, bytes => {
          try {
            const out = again(new Uint8Array(bytes))
            decoded++
            return Buffer.compare(out, new Uint8Array(bytes)) === 0
          } catch (error) {
            return error instanceof RaftError && error.code === 'Corrupt'
          }
        }),
        { numRuns: 4000 },
      )
      t.ok(decoded > 5, `${name}: ${decoded} inputs were good`)
    }
  },
)
