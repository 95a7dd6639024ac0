import type { Membership } from '../types.ts'
import { encodeChange, memberOf } from './membership.ts'
import { advanceCommit, answerReads, appendAsLeader, replicate } from './replication.ts'
import type { RaftState } from './state.ts'

/** A change of membership is applied and takes effect now (as in etcd-raft, not when it is appended). */
export function adopt(s: RaftState, membership: Membership): void {
  const gone = s.membership.members.filter(m => memberOf(membership, m.id) === undefined)
  s.setMembership(membership)
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
  s.lease.restart()
  addProgress(s)
  if (!s.isVoter) {
    resign(s)
    return
  }
  advanceCommit(s)
  answerReads(s, s.reads.take(s.id, s.electorate))
}

/**
 * Ends a joint change that is to end by itself. Its begin is applied here and so committed, by the majority of the old
 * voters; whoever receives the end learns so with it, see wal/record.ts. A leader that comes into office in between does it
 * once its first entry is applied.
 */
export function leaveJointWhenDue(s: RaftState): void {
  if (s.role !== 'leader' || s.membership.joint?.autoLeave !== true) return
  if (s.transferTo !== 0 || s.log.applied < s.pendingConfigIndex) return
  appendAsLeader(s, [{ kind: 'config', data: encodeChange({ kind: 'leaveJoint' }) }])
  s.pendingConfigIndex = s.log.lastIndex
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
