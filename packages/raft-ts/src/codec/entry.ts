import type {
  Entry,
  EntryKind,
  HardState,
  Joint,
  Member,
  Membership,
  SnapshotMeta,
} from '../types.ts'
import { type ByteReader, ByteWriter, malformed } from './bytes.ts'

const KINDS: readonly EntryKind[] = ['empty', 'normal', 'config']

/** One form of an entry for the wire and the log alike. */
export function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.uint(entry.index)
  writer.uint(entry.term)
  writer.byte(KINDS.indexOf(entry.kind))
  writer.bytes(entry.data)
}

/** @throws RaftError `Corrupt` */
export function readEntry(reader: ByteReader): Entry {
  const index = reader.uint()
  const term = reader.uint()
  const kind = KINDS[reader.byte()]
  if (kind === undefined) throw malformed('unknown kind of entry')
  return { index, term, kind, data: reader.bytes() }
}

/** Term, vote and commit index, in this order. */
export function writeHardState(writer: ByteWriter, state: HardState): void {
  writer.uint(state.term)
  writer.uint(state.vote)
  writer.uint(state.commit)
}

/** @throws RaftError `Corrupt` */
export function readHardState(reader: ByteReader): HardState {
  return { term: reader.uint(), vote: reader.uint(), commit: reader.uint() }
}

/** A member as a change of membership names it. In a membership its learner byte has more bits. */
export function writeMember(writer: ByteWriter, member: Member): void {
  writer.uint(member.id)
  writer.byte(member.learner ? 1 : 0)
  writer.string(member.address)
}

/** @throws RaftError `Corrupt` */
export function readMember(reader: ByteReader): Member {
  const id = reader.uint()
  const learner = reader.bool()
  return { id, address: reader.string(), learner }
}

/** Bits of a member's byte. The first alone is what was written before there were joint changes. */
const LEARNER = 1
const OUTGOING = 2
const LEAVING = 4
/** On every outgoing voter alike: the change ends by itself. */
const AUTO_LEAVE = 8

/** Who belongs, who once belonged, and of a joint change who is in the old half. */
export function writeMembership(writer: ByteWriter, membership: Membership): void {
  const { joint } = membership
  writer.uint(membership.members.length)
  for (const { id, learner, address } of membership.members) {
    writer.uint(id)
    writer.byte((learner ? LEARNER : 0) | (joint === undefined ? 0 : jointBits(joint, id)))
    writer.string(address)
  }
  writer.uint(membership.removed.length)
  for (const id of membership.removed) writer.uint(id)
}

/** @throws RaftError `Corrupt`, also for flags that contradict each other */
export function readMembership(reader: ByteReader): Membership {
  const read = Array.from({ length: reader.count(3) }, () => ({
    id: reader.uint(),
    bits: reader.byte(),
    address: reader.string(),
  }))
  const removed = Array.from({ length: reader.count(1) }, () => reader.uint())
  const members = read.map(({ id, address, bits }): Member => {
    return { id, address, learner: (bits & LEARNER) !== 0 }
  })
  const having = (bit: number): number[] => read.filter(m => m.bits & bit).map(m => m.id)
  const joint: Joint = {
    outgoing: having(OUTGOING),
    leaving: having(LEAVING),
    autoLeave: having(AUTO_LEAVE).length > 0,
  }
  for (const { id, bits, ...rest } of read) {
    const expected = ((bits & LEARNER) | jointBits(joint, id)) === bits
    if (!expected || ((bits & LEAVING) !== 0 && (bits & (LEARNER | OUTGOING)) !== 3))
      throw malformed(`member ${id} at ${rest.address} has flags ${bits}`)
  }
  return joint.outgoing.length === 0 ? { members, removed } : { members, removed, joint }
}

function jointBits({ outgoing, leaving, autoLeave }: Joint, id: number): number {
  if (!outgoing.includes(id)) return 0
  return OUTGOING | (leaving.includes(id) ? LEAVING : 0) | (autoLeave ? AUTO_LEAVE : 0)
}

/** Where a snapshot ends and who belonged there. */
export function writeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.uint(meta.index)
  writer.uint(meta.term)
  writeMembership(writer, meta.membership)
}

/** @throws RaftError `Corrupt` */
export function readSnapshotMeta(reader: ByteReader): SnapshotMeta {
  return { index: reader.uint(), term: reader.uint(), membership: readMembership(reader) }
}

/** A writer that has room for these entries, so that it does not grow by doubling. */
export function writerFor(entries: readonly Entry[]): ByteWriter {
  let bytes = 64
  for (const entry of entries) bytes += entry.data.length + 24
  return new ByteWriter(bytes)
}
