import { ByteReader, ByteWriter, malformed } from '../codec/bytes.ts'
import { readMember, writeMember } from '../codec/entry.ts'
import type { Member, Membership } from '../types.ts'
import { ended, joined, sorted, votersOf, withRemoved } from './joint.ts'

export { votersOf }

/** One step; two majorities of neighbouring configurations always overlap (raft thesis §4.1). */
export type MemberChange =
  | { readonly kind: 'add'; readonly member: Member }
  | { readonly kind: 'promote'; readonly id: number }
  | { readonly kind: 'demote'; readonly id: number }
  | { readonly kind: 'remove'; readonly id: number }

/** What an entry of kind `config` may carry: a step, or the begin and the end of several at once (raft thesis §4.3). */
export type Change =
  | { readonly kind: 'bootstrap'; readonly members: readonly Member[] }
  | MemberChange
  | {
      readonly kind: 'enterJoint'
      readonly changes: readonly MemberChange[]
      readonly autoLeave: boolean
    }
  | { readonly kind: 'leaveJoint' }

/** What a change makes of a membership, or why it makes nothing. */
export type ChangeOutcome =
  | { readonly membership: Membership; readonly refused?: undefined }
  | { readonly refused: string }

/** Of a joiner that no leader has contacted yet. */
export const NOBODY: Membership = { members: [], removed: [] }

/** @returns undefined for those who do not belong */
export function memberOf(membership: Membership, id: number): Member | undefined {
  return membership.members.find(m => m.id === id)
}

/** What the membership becomes. Pure, so every member decides alike when it applies the entry. */
export function applyChange(membership: Membership, change: Change): ChangeOutcome {
  if (change.kind === 'leaveJoint')
    return membership.joint === undefined
      ? { refused: 'no joint change of membership is under way' }
      : { membership: ended(membership) }
  if (membership.joint !== undefined)
    return { refused: 'a joint change of membership is under way; it has to end first' }
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
    case 'enterJoint':
      return enterJoint(membership, change.changes, change.autoLeave)
  }
}

/** Those who come go first, so that a change may replace every voter. */
function enterJoint(
  before: Membership,
  changes: readonly MemberChange[],
  autoLeave: boolean,
): ChangeOutcome {
  const ids = changes.map(c => (c.kind === 'add' ? c.member.id : c.id))
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  if (twice !== undefined) return { refused: `member ${twice} is named twice in one change` }
  if (before.members.length === 0) return { refused: 'there is no cluster to change yet' }
  let after = before
  const coming = changes.filter(c => c.kind === 'add' || c.kind === 'promote')
  const going = changes.filter(c => c.kind === 'demote' || c.kind === 'remove')
  for (const change of [...coming, ...going]) {
    const outcome = applyChange(after, change)
    if (outcome.refused !== undefined) return outcome
    after = outcome.membership
  }
  return { membership: joined(before, after, autoLeave) }
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
  return { membership: { members, removed: withRemoved(membership.removed, [id]) } }
}

const KINDS: readonly Change['kind'][] = [
  'bootstrap',
  'add',
  'promote',
  'demote',
  'remove',
  'enterJoint',
  'leaveJoint',
]

/** The data of a `config` entry. */
export function encodeChange(change: Change): Uint8Array {
  const writer = new ByteWriter()
  writeChange(writer, change)
  return writer.finish()
}

function writeChange(writer: ByteWriter, change: Change): void {
  writer.byte(KINDS.indexOf(change.kind))
  switch (change.kind) {
    case 'bootstrap':
      writer.uint(change.members.length)
      for (const member of sorted(change.members)) writeMember(writer, member)
      return
    case 'add':
      writeMember(writer, change.member)
      return
    case 'promote':
    case 'demote':
    case 'remove':
      writer.uint(change.id)
      return
    case 'enterJoint':
      writer.byte(change.autoLeave ? 1 : 0)
      writer.uint(change.changes.length)
      for (const one of change.changes) writeChange(writer, one)
      return
    case 'leaveJoint':
      return
  }
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
    case 'enterJoint': {
      const autoLeave = reader.bool()
      return {
        kind,
        autoLeave,
        changes: Array.from({ length: reader.count(2) }, () => readStep(reader)),
      }
    }
    case 'leaveJoint':
      return { kind }
    case undefined:
      throw malformed('unknown membership change')
  }
}

function readStep(reader: ByteReader): MemberChange {
  const kind = KINDS[reader.byte()]
  if (kind === 'add') return { kind, member: readMember(reader) }
  if (kind === 'promote' || kind === 'demote' || kind === 'remove')
    return { kind, id: reader.uint() }
  throw malformed('a joint change of membership holds something else than steps')
}
