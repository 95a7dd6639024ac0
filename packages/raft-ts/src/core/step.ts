import type { Message } from '../types.ts'
import { campaign, learnCommit, onVoteRequest, onVoteResponse, rejectVote } from './election.ts'
import { refuseRemoved } from './fence.ts'
import { onAppend, onHeartbeat, onSnapshot } from './follower.ts'
import { memberOf } from './membership.ts'
import { onAppendResponse, onHeartbeatResponse, startRead } from './replication.ts'
import type { RaftState } from './state.ts'

/** What a message means first depends on its term (raft.pdf §5.1), then on its type and on our role. */
export function step(s: RaftState, m: Message): void {
  if (m.to !== s.id || m.from === s.id) return
  if (m.type === 'removed') {
    onRemoved(s)
    return
  }
  if (refuseRemoved(s, m)) return
  if (m.term > s.term) {
    if (!meetHigherTerm(s, m)) return
  } else if (m.term < s.term) {
    answerLowerTerm(s, m)
    return
  }
  dispatch(s, m)
}

/** @returns false when the message must be ignored */
function meetHigherTerm(s: RaftState, m: Message): boolean {
  const request = m.type === 'vote' || m.type === 'preVote'
  if (request && s.inLease && !m.transfer) return false
  // A pre-vote asks about a term nobody is in yet, and so does its granted answer.
  if (m.type === 'preVote' || (m.type === 'preVoteResponse' && !m.reject)) return true
  const fromLeader = m.type === 'append' || m.type === 'heartbeat' || m.type === 'snapshot'
  s.becomeFollower(m.term, fromLeader ? m.from : 0)
  return true
}

/**
 * A leader of an older term must learn of ours, or a member that campaigned while cut off could never be reached
 * again: it ignores the leader, and stickiness makes the others ignore it.
 */
function answerLowerTerm(s: RaftState, m: Message): void {
  if (m.type === 'append' || m.type === 'heartbeat' || m.type === 'snapshot')
    s.send({
      type: 'appendResponse',
      to: m.from,
      index: 0,
      reject: false,
      hintIndex: 0,
      hintTerm: 0,
    })
  else if (m.type === 'preVote') rejectVote(s, m)
  // A change of membership may be all that we miss: those who know that it is committed need not follow us to our term.
  else if (m.type === 'preVoteResponse' || m.type === 'voteResponse') learnCommit(s, m)
}

function dispatch(s: RaftState, m: Message): void {
  switch (m.type) {
    case 'vote':
    case 'preVote':
      onVoteRequest(s, m)
      return
    case 'voteResponse':
    case 'preVoteResponse':
      onVoteResponse(s, m)
      return
    case 'append':
      followLeader(s, m.from)
      onAppend(s, m)
      return
    case 'heartbeat':
      followLeader(s, m.from)
      onHeartbeat(s, m)
      return
    case 'snapshot':
      followLeader(s, m.from)
      onSnapshot(s, m)
      return
    case 'appendResponse':
      if (s.role === 'leader') onAppendResponse(s, m)
      return
    case 'heartbeatResponse':
      if (s.role === 'leader') onHeartbeatResponse(s, m)
      return
    case 'timeoutNow':
      s.campaignWhenApplied = s.log.hasUnappliedConfig()
      if (s.role === 'follower') campaign(s, 'transfer')
      return
    case 'readIndex':
      if (s.role === 'leader' && memberOf(s.membership, m.from) !== undefined)
        startRead(s, m.from, m.context)
      return
    case 'readIndexResponse':
      s.readsDone.push({ from: s.id, context: m.context, index: m.index })
      return
    // Chunks and forwarded proposals are the driver's, `removed` was dealt with before the terms.
    case 'snapshotChunk':
    case 'snapshotChunkResponse':
    case 'forward':
    case 'forwardResponse':
    case 'removed':
      return
  }
}

/** A message of this term's leader: candidates give up, everybody's patience starts anew. */
function followLeader(s: RaftState, from: number): void {
  s.sinceLeaderMs = 0
  if (s.role === 'follower') {
    s.leader = from
    s.electionElapsedMs = 0
  } else if (s.role !== 'leader') s.becomeFollower(s.term, from)
  else throw new Error(`raft invariant broken: two leaders in term ${s.term}`)
}

function onRemoved(s: RaftState): void {
  s.removed = true
  if (s.role !== 'follower') s.becomeFollower(s.term, 0)
}
