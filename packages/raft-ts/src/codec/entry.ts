import type { Entry, EntryKind, HardState, Member, Membership, SnapshotMeta } from '../types.ts'
import { type ByteReader, ByteWriter, malformed } from './bytes.ts'

const KINDS: readonly EntryKind[] = ['empty', 'normal', 'config']

/** One form of an entry for the wire and the log alike. */
export function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.uint(entry.index)
  writer.uint(entry.term)
  writer.byte(KINDS.indexOf(entry.kind))
  writer.bytes(entry.data)
}

export function readEntry(reader: ByteReader): Entry {
  const index = reader.uint()
  const term = reader.uint()
  const kind = KINDS[reader.byte()]
  if (kind === undefined) throw malformed('unknown kind of entry')
  return { index, term, kind, data: reader.bytes() }
}

export function writeHardState(writer: ByteWriter, state: HardState): void {
  writer.uint(state.term)
  writer.uint(state.vote)
  writer.uint(state.commit)
}

export function readHardState(reader: ByteReader): HardState {
  return { term: reader.uint(), vote: reader.uint(), commit: reader.uint() }
}

export function writeMember(writer: ByteWriter, member: Member): void {
  writer.uint(member.id)
  writer.byte(member.learner ? 1 : 0)
  writer.string(member.address)
}

export function readMember(reader: ByteReader): Member {
  const id = reader.uint()
  const learner = reader.bool()
  return { id, address: reader.string(), learner }
}

export function writeMembership(writer: ByteWriter, membership: Membership): void {
  writer.uint(membership.members.length)
  for (const member of membership.members) writeMember(writer, member)
  writer.uint(membership.removed.length)
  for (const id of membership.removed) writer.uint(id)
}

export function readMembership(reader: ByteReader): Membership {
  const members = Array.from({ length: reader.count(3) }, () => readMember(reader))
  const removed = Array.from({ length: reader.count(1) }, () => reader.uint())
  return { members, removed }
}

export function writeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.uint(meta.index)
  writer.uint(meta.term)
  writeMembership(writer, meta.membership)
}

export function readSnapshotMeta(reader: ByteReader): SnapshotMeta {
  return { index: reader.uint(), term: reader.uint(), membership: readMembership(reader) }
}

export function writerFor(entries: readonly Entry[]): ByteWriter {
  let bytes = 64
  for (const entry of entries) bytes += entry.data.length + 24
  return new ByteWriter(bytes)
}
