import { ByteReader, ByteWriter, malformed } from '../codec/bytes.ts'
import { readMember, writeMember } from '../codec/entry.ts'
import type { Member, Membership } from '../types.ts'

/** One step; two majorities of neighbouring configurations always overlap (raft thesis §4.1). */
export type Change =
  | { readonly kind: 'bootstrap'; readonly members: readonly Member[] }
  | { readonly kind: 'add'; readonly member: Member }
  | { readonly kind: 'promote'; readonly id: number }
  | { readonly kind: 'demote'; readonly id: number }
  | { readonly kind: 'remove'; readonly id: number }

export type ChangeOutcome =
  | { readonly membership: Membership; readonly refused?: undefined }
  | { readonly refused: string }

/** Ids are random, so the list is a guard against a revived directory; the oldest are forgotten beyond this. */
const MAX_REMOVED = 1024

export const NOBODY: Membership = { members: [], removed: [] }

export function votersOf(membership: Membership): number[] {
  return membership.members.filter(m => !m.learner).map(m => m.id)
}

export function memberOf(membership: Membership, id: number): Member | undefined {
  return membership.members.find(m => m.id === id)
}

/** What the membership becomes. Pure, so every member decides alike when it applies the entry. */
export function applyChange(membership: Membership, change: Change): ChangeOutcome {
  switch (change.kind) {
    case 'bootstrap':
      if (membership.members.length > 0) return { refused: 'the cluster exists already' }
      return { membership: { members: sorted(change.members), removed: [] } }
    case 'add':
      return add(membership, change.member)
    case 'promote':
      return update(membership, change.id, false)
    case 'demote':
      return update(membership, change.id, true)
    case 'remove':
      return remove(membership, change.id)
  }
}

function add(membership: Membership, member: Member): ChangeOutcome {
  if (membership.removed.includes(member.id))
    return { refused: `id ${member.id} was removed once and cannot come back; join with a new id` }
  const known = memberOf(membership, member.id)
  if (known !== undefined && known.learner !== member.learner)
    return { refused: `member ${member.id} exists; promote or demote it instead` }
  const others = membership.members.filter(m => m.id !== member.id)
  return { membership: { ...membership, members: sorted([...others, member]) } }
}

function update(membership: Membership, id: number, learner: boolean): ChangeOutcome {
  if (memberOf(membership, id) === undefined) return { refused: `there is no member ${id}` }
  const members = membership.members.map(m => (m.id === id ? { ...m, learner } : m))
  if (members.every(m => m.learner)) return { refused: `member ${id} is the last voter` }
  return { membership: { ...membership, members } }
}

function remove(membership: Membership, id: number): ChangeOutcome {
  if (memberOf(membership, id) === undefined) return { refused: `there is no member ${id}` }
  const members = membership.members.filter(m => m.id !== id)
  if (members.every(m => m.learner)) return { refused: `member ${id} is the last voter` }
  return { membership: { members, removed: [...membership.removed, id].slice(-MAX_REMOVED) } }
}

function sorted(members: readonly Member[]): Member[] {
  return members.toSorted((a, b) => a.id - b.id)
}

const KINDS: readonly Change['kind'][] = ['bootstrap', 'add', 'promote', 'demote', 'remove']

export function encodeChange(change: Change): Uint8Array {
  const writer = new ByteWriter()
  writer.byte(KINDS.indexOf(change.kind))
  if (change.kind === 'bootstrap') {
    const members = sorted(change.members)
    writer.uint(members.length)
    for (const member of members) writeMember(writer, member)
  } else if (change.kind === 'add') writeMember(writer, change.member)
  else writer.uint(change.id)
  return writer.finish()
}

/** @throws RaftError `Corrupt` */
export function decodeChange(bytes: Uint8Array): Change {
  const reader = new ByteReader(bytes)
  const change = readChange(reader, KINDS[reader.byte()])
  reader.end()
  return change
}

function readChange(reader: ByteReader, kind: Change['kind'] | undefined): Change {
  switch (kind) {
    case 'bootstrap':
      return { kind, members: Array.from({ length: reader.count(3) }, () => readMember(reader)) }
    case 'add':
      return { kind, member: readMember(reader) }
    case 'promote':
    case 'demote':
    case 'remove':
      return { kind, id: reader.uint() }
    case undefined:
      throw malformed('unknown membership change')
  }
}
