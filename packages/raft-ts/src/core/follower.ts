import type { AppendRequest, Heartbeat, InstallSnapshot } from '../types.ts'
import type { RaftState } from './state.ts'

/** raft.pdf §5.3, with the hint of §5.3's last paragraph: the answer to a refusal names the last place that may agree. */
export function onAppend(s: RaftState, m: AppendRequest): void {
  if (m.prevIndex < s.log.committed) {
    // Old news: everything up to the commit index agrees already, whatever this append says.
    answer(s, m.from, s.log.committed)
    return
  }
  const last = s.log.appendAfter(m.prevIndex, m.prevTerm, m.entries)
  if (last !== undefined) {
    // Not beyond `last`: what lies behind may be ours alone. The commit index is written together with the entries, see
    // wal/record.ts for what depends on that.
    s.log.commitTo(Math.min(m.commit, last))
    answer(s, m.from, last)
    return
  }
  const hint = s.log.conflictBefore(m.prevIndex, m.prevTerm)
  s.send({
    type: 'appendResponse',
    to: m.from,
    index: m.prevIndex,
    reject: true,
    hintIndex: hint.index,
    hintTerm: hint.term,
  })
}

/** A sign of life (raft.pdf §5.2). The commit index it carries is one that we are known to hold. */
export function onHeartbeat(s: RaftState, m: Heartbeat): void {
  s.log.commitTo(Math.min(m.commit, s.log.lastIndex))
  s.send({ type: 'heartbeatResponse', to: m.from, round: m.round })
}

/** A snapshot replaces a log that does not contain it; one that does only learns that it is committed. */
export function onSnapshot(s: RaftState, m: InstallSnapshot): void {
  const { meta } = m.snapshot
  if (meta.index <= s.log.committed) {
    answer(s, m.from, s.log.committed)
    return
  }
  if (s.log.termAt(meta.index) === meta.term) {
    s.log.commitTo(meta.index)
    answer(s, m.from, s.log.committed)
    return
  }
  s.log.restore(meta.index, meta.term, s.nextWriteNumber)
  s.received = m.snapshot
  s.snapshot = meta
  s.setMembership(meta.membership)
  answer(s, m.from, meta.index)
}

function answer(s: RaftState, to: number, index: number): void {
  s.send({ type: 'appendResponse', to, index, reject: false, hintIndex: 0, hintTerm: 0 })
}
