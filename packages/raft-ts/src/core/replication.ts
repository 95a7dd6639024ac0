import type { AppendResponse, Entry, EntryKind, HeartbeatResponse } from '../types.ts'
import { entryBytes } from '../types.ts'
import type { Progress } from './progress.ts'
import { hasJointQuorum, jointIndex } from './quorum.ts'
import type { Read } from './read-only.ts'
import type { RaftState } from './state.ts'

/** raft.pdf §5.3: nothing is known of the others' logs but that they may reach as far as ours. */
export function becomeLeader(s: RaftState): void {
  s.reset(s.term)
  s.role = 'leader'
  s.leader = s.id
  for (const { id } of s.membership.members) s.progress.set(id, s.newProgress())
  const own = s.progress.get(s.id) as Progress
  own.active = true
  own.match = s.log.stable
  own.becomeReplicate()
}

/** Appends at the end of our own log; `replicate` sends it on, the disk and the followers acknowledge it later. */
export function appendAsLeader(
  s: RaftState,
  items: readonly { kind: EntryKind; data: Uint8Array }[],
): void {
  let index = s.log.lastIndex
  // Spelled out, in the order that the codec has: all entries then have one shape, and spreading is slow.
  const entries = items.map(({ kind, data }) => ({ index: ++index, term: s.term, kind, data }))
  for (const entry of entries) s.uncommittedBytes += entryBytes(entry)
  s.log.append(entries)
}

/** Sends every member what it lacks, as far as its window allows. Called once per turn, so proposals of a turn share an append. */
export function replicate(s: RaftState): void {
  for (const [id, progress] of s.progress) if (id !== s.id) replicateTo(s, id, progress)
}

function replicateTo(s: RaftState, to: number, p: Progress): void {
  while (p.canSend() && p.next <= s.log.lastIndex) if (!sendAppend(s, to, p, true)) return
  const commitNews = p.state === 'replicate' && p.sentCommit < Math.min(s.log.committed, p.next - 1)
  if ((p.nudged && p.state !== 'snapshot') || commitNews) sendAppend(s, to, p, p.canSend())
}

function sendAppend(s: RaftState, to: number, p: Progress, withEntries: boolean): boolean {
  const prevIndex = p.next - 1
  const prevTerm = s.log.termAt(prevIndex)
  if (prevTerm === undefined) return sendSnapshot(s, to, p)
  const entries = withEntries ? s.log.slice(p.next, s.log.lastIndex, s.config.maxBatchBytes) : []
  s.send({ type: 'append', to, prevIndex, prevTerm, commit: s.log.committed, entries })
  p.sent(entries, s.log.committed)
  return true
}

/** The member needs entries we have compacted. Not while it is silent: it would only cost us. */
function sendSnapshot(s: RaftState, to: number, p: Progress): false {
  p.nudged = false
  if (!p.active || s.snapshot === undefined) return false
  p.becomeSnapshot(s.snapshot.index)
  s.send({ type: 'snapshot', to, snapshot: { meta: s.snapshot, data: new Uint8Array(0) } })
  return false
}

/**
 * Shows everybody that we lead (raft.pdf §5.2), and asks them to confirm it for the reads and the lease that wait.
 */
export function heartbeat(s: RaftState): void {
  const round = s.leaseMs > 0 ? s.reads.open() : s.reads.newest
  if (s.leaseMs > 0) s.lease.sent(round, s.clockMs)
  for (const [to, p] of s.progress) {
    if (to === s.id) continue
    // Never beyond what the member is known to hold: it could take its own divergent entry for committed.
    s.send({
      type: 'heartbeat',
      to,
      commit: Math.min(p.match, s.log.committed),
      round,
    })
  }
}

/** raft.pdf §5.3: an acknowledged entry may be committed, a refusal names where to look for agreement. */
export function onAppendResponse(s: RaftState, m: AppendResponse): void {
  const p = s.progress.get(m.from)
  if (p === undefined) return
  p.active = true
  if (m.reject) {
    const hint = m.hintTerm > 0 ? s.log.conflictBefore(m.hintIndex, m.hintTerm).index : m.hintIndex
    if (p.reject(m.index, hint)) p.nudged = true
    return
  }
  const news = p.acknowledge(m.index)
  if (news || (p.state === 'probe' && p.match === m.index)) {
    if (p.state === 'probe') p.becomeReplicate()
    else if (p.state === 'snapshot' && p.match + 1 >= s.log.firstIndex) p.becomeReplicate()
  }
  if (news) advanceCommit(s)
  maybeHandOver(s)
}

/** The member lives: it gets what it lacks, and has confirmed our leadership up to this round. */
export function onHeartbeatResponse(s: RaftState, m: HeartbeatResponse): void {
  const p = s.progress.get(m.from)
  if (p === undefined) return
  p.active = true
  p.paused = false
  if (p.match < s.log.lastIndex || p.state === 'probe') p.nudged = true
  if (m.round > 0) answerReads(s, s.reads.confirm(m.from, m.round, s.id, s.electorate))
  if (m.round > 0 && s.leaseMs > 0) s.lease.confirm(m.from, m.round, s.id, s.electorate)
}

/** Our own disk has caught up: only now do we count ourselves. */
export function ownEntriesDurable(s: RaftState): void {
  if (s.progress.get(s.id)?.acknowledge(s.log.stable) === true) advanceCommit(s)
}

/** raft.pdf §5.4.2: only entries of the leader's own term are committed by counting. */
export function advanceCommit(s: RaftState): void {
  const index = jointIndex(s.electorate, id => s.progress.get(id)?.match ?? 0)
  if (s.log.termAt(index) !== s.term) return
  const from = s.log.committed + 1
  if (!s.log.commitTo(index)) return
  for (let i = from; i <= index; i++)
    s.uncommittedBytes -= Math.min(s.uncommittedBytes, entryBytes(s.log.entryAt(i) as Entry))
  const early = s.earlyReads.splice(0)
  for (const read of early) startRead(s, read.from, read.context)
}

/** An election timeout has passed: a leader that a majority has not answered in the meantime is none. */
export function checkQuorum(s: RaftState): void {
  if (
    s.config.checkQuorum &&
    !hasJointQuorum(s.electorate, id => id === s.id || s.progress.get(id)?.active === true)
  ) {
    s.becomeFollower(s.term, 0)
    return
  }
  for (const [id, p] of s.progress) p.active = id === s.id
}

/** @returns false when the read was dropped and must be asked again */
export function startRead(s: RaftState, from: number, context: number): boolean {
  if (s.log.termAt(s.log.committed) !== s.term) {
    if (s.earlyReads.length >= 4096) return false
    s.earlyReads.push({ from, context })
    return true
  }
  if (s.leaseMs > 0 && s.lease.holds(s.clockMs, s.leaseMs)) {
    answerReads(s, [{ from, context, index: s.log.committed }])
    return true
  }
  if (!s.reads.add(from, context, s.log.committed)) return false
  answerReads(s, s.reads.take(s.id, s.electorate))
  if (s.reads.waiting > 0) heartbeat(s)
  return true
}

/** Reads of our own go to the next `Ready`, others back to whoever asked. */
export function answerReads(s: RaftState, reads: readonly Read[]): void {
  for (const read of reads) {
    if (read.from === s.id) s.readsDone.push(read)
    else
      s.send({ type: 'readIndexResponse', to: read.from, context: read.context, index: read.index })
  }
}

/** Raft thesis §3.10: once the successor has the whole log, it may campaign at once. */
export function maybeHandOver(s: RaftState): void {
  if (s.transferTo === 0) return
  if (s.progress.get(s.transferTo)?.match !== s.log.lastIndex) return
  s.lease.forfeit()
  s.send({ type: 'timeoutNow', to: s.transferTo })
}
