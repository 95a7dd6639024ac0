// Goal: every message survives the wire, and no bytes do more harm than a RaftError.
// Method: round trips of random messages; random bytes and random damage to good ones.
import fc from 'fast-check'
import t from 'tap'
import { ByteReader, ByteWriter } from '../../src/codec/bytes.ts'
import { crc32 } from '../../src/codec/crc32.ts'
import { readMembership, writeMembership } from '../../src/codec/entry.ts'
import { decodeChange, encodeChange, type Change } from '../../src/core/membership.ts'
import {
  decodeMessage,
  encodeMessage,
  type MemberChange,
  type Membership,
  type Message,
  RaftError,
} from '../../src/index.ts'
import type { ForwardRefusal } from '../../src/types.ts'

const uint = fc.oneof(fc.nat(300), fc.maxSafeNat())
const bytes = fc.uint8Array({ maxLength: 40 })
const fact = { commit: uint, commitTerm: uint }
const envelope = { from: uint, to: uint, term: uint }
const member = fc.record({
  id: uint,
  address: fc.string({ unit: 'grapheme' }),
  learner: fc.boolean(),
})
const typed = <T extends string>(type: T) => ({ type: fc.constant(type), ...envelope })
const append = fc
  .record({
    ...typed('append'),
    prevIndex: fc.nat(1e9),
    prevTerm: uint,
    commit: uint,
    entries: fc.array(
      fc.record({
        index: fc.constant(0),
        term: uint,
        kind: fc.constantFrom('empty', 'normal', 'config'),
        data: bytes,
      }),
      { maxLength: 5 },
    ),
  })
  .map(m => ({ ...m, entries: m.entries.map((e, i) => ({ ...e, index: m.prevIndex + 1 + i })) }))
const simple: fc.Arbitrary<Membership> = fc.record({
  members: fc.uniqueArray(member, { maxLength: 6, selector: m => m.id }),
  removed: fc.array(uint, { maxLength: 4 }),
})
/** The first two members vote in the old half, and the second of them leaves. */
const joint = fc.tuple(simple, fc.boolean()).map(([{ members, removed }, autoLeave]) => {
  const [first, second] = members
  if (first === undefined || second === undefined) return { members, removed }
  return {
    members: members.map(m => (m === second ? { ...m, learner: true } : m)),
    removed,
    joint: { outgoing: [first.id, second.id], leaving: [second.id], autoLeave },
  }
})
const meta = fc.record({ index: uint, term: uint, membership: fc.oneof(simple, joint) })
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ ...typed('vote'), lastIndex: uint, lastTerm: uint, transfer: fc.boolean(), ...fact }),
  fc.record({
    ...typed('preVote'),
    lastIndex: uint,
    lastTerm: uint,
    transfer: fc.boolean(),
    ...fact,
  }),
  fc.record({ ...typed('voteResponse'), reject: fc.boolean(), ...fact }),
  fc.record({ ...typed('preVoteResponse'), reject: fc.boolean(), ...fact }),
  append as fc.Arbitrary<Message>,
  fc.record({
    ...typed('appendResponse'),
    index: uint,
    reject: fc.boolean(),
    hintIndex: uint,
    hintTerm: uint,
  }),
  fc.record({ ...typed('heartbeat'), commit: uint, round: uint }),
  fc.record({ ...typed('heartbeatResponse'), round: uint }),
  fc.record({ ...typed('snapshot'), snapshot: fc.record({ meta, data: bytes }) }),
  fc.record({ ...typed('snapshotChunk'), index: uint, offset: uint, total: uint, data: bytes }),
  fc.record({
    ...typed('snapshotChunk'),
    index: uint,
    offset: uint,
    total: uint,
    data: bytes,
    hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  }),
  fc.record({ ...typed('snapshotChunkResponse'), index: uint, offset: uint }),
  fc.record({ ...typed('readIndex'), context: uint }),
  fc.record({ ...typed('readIndexResponse'), context: uint, index: uint }),
  fc.record(typed('timeoutNow')),
  fc.record(typed('removed')),
  fc.record({ ...typed('forward'), id: uint, data: bytes }),
  fc.record({
    ...typed('forwardResponse'),
    id: uint,
    index: uint,
    refused: fc.constantFrom<ForwardRefusal>('none', 'notLeader', 'full', 'stranger', 'off'),
  }),
)

/** For comparison: keys sorted, and no prototypes, which fast-check leaves out at times. */
const plain = (m: unknown): string =>
  JSON.stringify(m, (_, value: unknown) => {
    if (value instanceof Uint8Array) return [...value]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(
      Object.keys(value)
        .sort()
        .map(key => [key, (value as Record<string, unknown>)[key]]),
    )
  })

const onlyRaftErrors = (input: Uint8Array): boolean => {
  try {
    encodeMessage(decodeMessage(input))
    return true
  } catch (error) {
    return error instanceof RaftError
  }
}

t.test('round trip', async t => {
  fc.assert(
    fc.property(message, m => plain(decodeMessage(encodeMessage(m))) === plain(m)),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('random bytes, damaged and cut messages', async t => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), onlyRaftErrors), { numRuns: 5000 })
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(255), fc.boolean(), (m, at, byte, cut) => {
      const good = encodeMessage(m).slice()
      const bad = cut ? good.slice(0, at % good.length) : good
      if (!cut) bad[at % bad.length] = byte
      return onlyRaftErrors(bad)
    }),
    { numRuns: 5000 },
  )
  t.throws(() => decodeMessage(new Uint8Array([1, 11, 1, 2, 3, 4])), /too many/)
  t.throws(() => decodeMessage(new Uint8Array([9, 11, 1, 2, 3])), /version/)
  t.throws(() => decodeMessage(new Uint8Array(64 * 1024 * 1024 + 1)), { code: 'TooLarge' })
  t.throws(() => encodeMessage({ type: 'timeoutNow', from: 1, to: 2, term: -1 }), {
    code: 'Refused',
  })
  t.throws(() => encodeMessage({ type: 'timeoutNow', from: 2 ** 53, to: 2, term: 1 }), {
    code: 'Refused',
  })
})

t.test('decoded entries do not hold on to the buffer they came in', async t => {
  const wire = encodeMessage({
    type: 'snapshotChunk',
    from: 1,
    to: 2,
    term: 1,
    index: 1,
    offset: 0,
    total: 3,
    data: new Uint8Array([1, 2, 3]),
  })
  const decoded = decodeMessage(Buffer.from(wire))
  wire.fill(0)
  t.match(decoded, { data: new Uint8Array([1, 2, 3]) })
})

t.test('membership changes', async t => {
  const change: fc.Arbitrary<Change> = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), member }),
    fc.record({
      kind: fc.constantFrom('promote' as const, 'demote' as const, 'remove' as const),
      id: uint,
    }),
  )
  const many: fc.Arbitrary<Change> = fc.record({
    kind: fc.constant('enterJoint' as const),
    changes: fc.array(change as fc.Arbitrary<MemberChange>, { maxLength: 5 }),
    autoLeave: fc.boolean(),
  })
  const any = fc.oneof(change, many, fc.constant<Change>({ kind: 'leaveJoint' }))
  fc.assert(fc.property(any, c => plain(decodeChange(encodeChange(c))) === plain(c)))
  t.throws(() => decodeChange(new Uint8Array([5, 0, 1, 6, 0])), /something else than steps/)
  const first: Change = {
    kind: 'bootstrap',
    members: [
      { id: 2, address: 'b', learner: false },
      { id: 1, address: 'a', learner: false },
    ],
  }
  t.match(decodeChange(encodeChange(first)), { kind: 'bootstrap', members: [{ id: 1 }, { id: 2 }] })
  t.throws(() => decodeChange(new Uint8Array([7])), { code: 'Corrupt' })
})

t.test('a membership as it was written before there were joint changes', async t => {
  // Two members, 1 at "a" and the learner 2 at "b"; 3 was removed.
  const old = [2, 1, 0, 1, 97, 2, 1, 1, 98, 1, 3]
  const membership = {
    members: [
      { id: 1, address: 'a', learner: false },
      { id: 2, address: 'b', learner: true },
    ],
    removed: [3],
  }
  t.strictSame(readMembership(new ByteReader(new Uint8Array(old))), membership)
  const writer = new ByteWriter()
  writeMembership(writer, membership)
  t.strictSame([...writer.finish()], old, 'and is written so still')
  for (const flags of [4, 6, 8, 13, 16])
    t.throws(() => readMembership(new ByteReader(new Uint8Array([1, 1, flags, 0, 0]))), {
      code: 'Corrupt',
    })
})

t.test('the checksum is the usual CRC-32, and continues', async t => {
  const text = new TextEncoder().encode('123456789')
  t.equal(crc32(text), 0xcbf43926)
  t.equal(crc32(text.subarray(4), crc32(text.subarray(0, 4))), 0xcbf43926)
})
