import type { Membership } from '../types.ts'
import { memberOf, votersOf } from './membership.ts'
import { advanceCommit, answerReads, replicate } from './replication.ts'
import type { RaftState } from './state.ts'

/** A change of membership is applied and takes effect now (as in etcd-raft, not when it is appended). */
export function adopt(s: RaftState, membership: Membership): void {
  const gone = s.membership.members.filter(m => memberOf(membership, m.id) === undefined)
  s.membership = membership
  s.voters = votersOf(membership)
  s.removed ||= membership.removed.includes(s.id)
  if (s.role === 'precandidate' || s.role === 'candidate') {
    if (!s.isVoter) s.becomeFollower(s.term, 0)
    return
  }
  if (s.role !== 'leader') return
  for (const { id } of gone) {
    s.progress.delete(id)
    if (id !== s.id) s.send({ type: 'removed', to: id })
    if (id === s.transferTo) s.transferTo = 0
  }
  addProgress(s)
  if (!s.isVoter) {
    resign(s)
    return
  }
  advanceCommit(s)
  answerReads(s, s.reads.take(s.id, s.voters))
}

/** A leader that is no voter any more. */
function resign(s: RaftState): void {
  // The last news first: the others must learn that our removal is committed, and one of them may lead at once.
  replicate(s)
  const matchOf = (id: number): number => s.progress.get(id)?.match ?? 0
  const heir = s.voters.toSorted((a, b) => matchOf(b) - matchOf(a))[0]
  if (heir !== undefined) s.send({ type: 'timeoutNow', to: heir })
  s.becomeFollower(s.term, 0)
}

function addProgress(s: RaftState): void {
  for (const { id } of s.membership.members) {
    if (s.progress.has(id)) continue
    const p = s.newProgress()
    // Heard of just now: it gets an election timeout of grace, and may be sent a snapshot.
    p.active = true
    p.nudged = true
    s.progress.set(id, p)
  }
}
