import type { Member, Membership } from '../types.ts'

/** Ids are random, so the list is a guard against a revived directory; the oldest are forgotten beyond this. */
const MAX_REMOVED = 1024

/** The members that vote in the new half; the only half outside a joint change. */
export function votersOf(membership: Membership): number[] {
  return membership.members.filter(m => !m.learner).map(m => m.id)
}

/** The groups of voters of which each has to give its majority. */
export function electorateOf(membership: Membership): readonly (readonly number[])[] {
  const incoming = votersOf(membership)
  return membership.joint === undefined ? [incoming] : [incoming, membership.joint.outgoing]
}

/**
 * The joint configuration between two memberships (raft thesis §4.3). Voters that go stay until it ends: those removed as
 * members that leave, those demoted as the learners they become (etcd-raft's `LearnersNext`).
 */
export function joined(before: Membership, after: Membership, autoLeave: boolean): Membership {
  const outgoing = votersOf(before)
  const gone = before.members.filter(m => !m.learner && !after.members.some(a => a.id === m.id))
  const leaving = gone.map(m => m.id)
  return {
    members: sorted([...after.members, ...gone.map(m => ({ ...m, learner: true }))]),
    removed: after.removed.filter(id => !leaving.includes(id)),
    joint: { outgoing, leaving, autoLeave },
  }
}

/** The new half alone. */
export function ended({ members, removed, joint }: Membership): Membership {
  const leaving = joint?.leaving ?? []
  return {
    members: members.filter(m => !leaving.includes(m.id)),
    removed: withRemoved(removed, leaving),
  }
}

/** Ids that are refused from now on. */
export function withRemoved(removed: readonly number[], ids: readonly number[]): readonly number[] {
  return [...removed, ...ids].slice(-MAX_REMOVED)
}

/** By id, so that every member writes the same bytes. */
export function sorted(members: readonly Member[]): Member[] {
  return members.toSorted((a, b) => a.id - b.id)
}
