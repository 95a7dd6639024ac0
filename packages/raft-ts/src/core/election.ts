import type { VoteRequest, VoteResponse } from '../types.ts'
import { countJointVotes } from './quorum.ts'
import { appendAsLeader, becomeLeader } from './replication.ts'
import type { RaftState } from './state.ts'

/** Candidates try again sooner than followers lose patience; pre-votes cost nobody anything. */
const RETRY_SPREAD = 0.5

/**
 * Asks for votes (raft.pdf §5.2).
 *
 * `preVote` first asks whether an election could be won, without raising any term (raft thesis §9.6), so that a member
 * coming back does not depose a healthy leader. `transfer` is an election the leader asked for: no pre-vote, and
 * stickiness does not apply.
 */
export function campaign(s: RaftState, kind: 'preVote' | 'vote' | 'transfer'): void {
  if (!s.promotable || s.role === 'leader') return
  if (s.promised && kind !== 'transfer') return
  const pre = kind === 'preVote'
  s.reset(pre ? s.term : s.term + 1)
  s.role = pre ? 'precandidate' : 'candidate'
  s.timeoutMs = s.config.electionTimeoutMs * (RETRY_SPREAD + s.config.random())
  if (pre) s.votes.set(s.id, true)
  // In an election proper our own vote counts once it is durable: see Raft.written.
  else s.vote = s.id
  for (const to of s.voters) {
    if (to === s.id) continue
    s.send({
      type: pre ? 'preVote' : 'vote',
      to,
      term: pre ? s.term + 1 : s.term,
      lastIndex: s.log.lastIndex,
      lastTerm: s.log.lastTerm,
      transfer: kind === 'transfer',
      ...commitFact(s),
    })
  }
  tally(s)
}

/** A vote for ourselves is durable. */
export function ownVoteDurable(s: RaftState): void {
  if (s.role !== 'candidate') return
  s.votes.set(s.id, true)
  tally(s)
}

/** raft.pdf §5.2, §5.4.1: one vote a term, and only for a log that is as far as ours. A pre-vote binds nobody. */
export function onVoteRequest(s: RaftState, m: VoteRequest): void {
  learnCommit(s, m)
  const pre = m.type === 'preVote'
  const free = s.vote === m.from || (s.vote === 0 && s.leader === 0) || (pre && m.term > s.term)
  const granted = free && s.log.isUpToDate(m.lastIndex, m.lastTerm)
  if (granted && !pre) {
    s.vote = m.from
    s.electionElapsedMs = 0
  }
  s.send({
    type: pre ? 'preVoteResponse' : 'voteResponse',
    to: m.from,
    term: granted ? m.term : s.term,
    reject: !granted,
    ...commitFact(s),
  })
}

/** The candidate is of an older term, which our answer tells it. */
export function rejectVote(s: RaftState, m: VoteRequest): void {
  learnCommit(s, m)
  const type = m.type === 'preVote' ? 'preVoteResponse' : 'voteResponse'
  s.send({ type, to: m.from, reject: true, ...commitFact(s) })
}

/** The first answer of a voter counts; a granted pre-vote only for the attempt it was asked for. */
export function onVoteResponse(s: RaftState, m: VoteResponse): void {
  learnCommit(s, m)
  const expected = s.role === 'precandidate' ? 'preVoteResponse' : 'voteResponse'
  if (m.type !== expected || (s.role !== 'precandidate' && s.role !== 'candidate')) return
  // A pre-vote granted for an earlier attempt says nothing about this one.
  if (m.type === 'preVoteResponse' && !m.reject && m.term !== s.term + 1) return
  if (!s.votes.has(m.from)) s.votes.set(m.from, !m.reject)
  tally(s)
}

function commitFact(s: RaftState): { commit: number; commitTerm: number } {
  return { commit: s.log.committed, commitTerm: s.log.termAt(s.log.committed) ?? 0 }
}

/** That an entry is committed is true for everybody and for ever; index and term name the entry. */
export function learnCommit(s: RaftState, m: VoteRequest | VoteResponse): void {
  if (m.commitTerm > 0 && s.log.termAt(m.commit) === m.commitTerm) s.log.commitTo(m.commit)
}

function tally(s: RaftState): void {
  const outcome = countJointVotes(s.electorate, s.votes)
  if (outcome === 'pending') return
  if (outcome === 'lost') s.becomeFollower(s.term, 0)
  else if (s.role === 'precandidate') campaign(s, 'vote')
  else {
    becomeLeader(s)
    // raft.pdf §8: entries of earlier terms commit only behind one of the leader's own term.
    appendAsLeader(s, [{ kind: 'empty', data: new Uint8Array(0) }])
    s.pendingConfigIndex = s.log.lastIndex
  }
}
