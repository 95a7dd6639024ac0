// How transcripts name things. A place in a log is `index/term`.
import { type Change, decodeChange } from '../../src/core/membership.ts'
import type { Progress } from '../../src/core/progress.ts'
import type { Ready } from '../../src/core/raft.ts'
import type { RaftState } from '../../src/core/state.ts'
import type { Entry, HardState, Membership, Message } from '../../src/types.ts'

const WORDS: Readonly<Record<Message['type'], string>> = {
  vote: 'vote',
  voteResponse: 'vote',
  preVote: 'pre-vote',
  preVoteResponse: 'pre-vote',
  append: 'append',
  appendResponse: 'append',
  heartbeat: 'heartbeat',
  heartbeatResponse: 'heartbeat-ok',
  snapshot: 'snapshot',
  snapshotChunk: 'snapshot-chunk',
  snapshotChunkResponse: 'snapshot-chunk-ok',
  timeoutNow: 'timeout-now',
  readIndex: 'read',
  readIndexResponse: 'read-ok',
  removed: 'removed',
  forward: 'forward',
  forwardResponse: 'forward-ok',
}

/** Every word that `messageWord` may give. */
export const MESSAGE_WORDS: readonly string[] = Object.values(WORDS).flatMap(word => [
  word,
  `${word}-yes`,
  `${word}-no`,
  `${word}-ok`,
])

/** The word for a message in outputs and in `type=` filters. */
export function messageWord(m: Message): string {
  const word = WORDS[m.type]
  if (!('reject' in m)) return word
  if (m.reject) return `${word}-no`
  return m.type === 'appendResponse' ? `${word}-ok` : `${word}-yes`
}

export function messageText(m: Message): string {
  return `${m.from}->${m.to} ${messageWord(m)} term ${m.term}${bodyText(m)}`
}

function bodyText(m: Message): string {
  switch (m.type) {
    case 'vote':
    case 'preVote':
      return ` last ${m.lastIndex}/${m.lastTerm} commit ${m.commit}/${m.commitTerm}${m.transfer ? ' transfer' : ''}`
    case 'voteResponse':
    case 'preVoteResponse':
      return ` commit ${m.commit}/${m.commitTerm}`
    case 'append':
      return ` prev ${m.prevIndex}/${m.prevTerm} commit ${m.commit} ${entriesText(m.entries)}`
    case 'appendResponse':
      return m.reject ? ` at ${m.index} hint ${m.hintIndex}/${m.hintTerm}` : ` through ${m.index}`
    case 'heartbeat':
      return ` commit ${m.commit}${m.round > 0 ? ` round ${m.round}` : ''}`
    case 'heartbeatResponse':
      return m.round > 0 ? ` round ${m.round}` : ''
    case 'snapshot': {
      const { index, term, membership } = m.snapshot.meta
      return ` of ${index}/${term} with ${membershipText(membership)}`
    }
    case 'readIndex':
      return ` ${m.context}`
    case 'readIndexResponse':
      return ` ${m.context} at ${m.index}`
    case 'timeoutNow':
    case 'removed':
    // The driver's, which no core sends.
    case 'snapshotChunk':
    case 'snapshotChunkResponse':
    case 'forward':
    case 'forwardResponse':
      return ''
  }
}

export function entriesText(entries: readonly Entry[]): string {
  return `[${entries.map(entryText).join(', ')}]`
}

export function entryText(entry: Entry): string {
  return `${entry.index}/${entry.term} ${dataText(entry)}`
}

function dataText({ kind, data }: Entry): string {
  if (kind === 'empty') return 'empty'
  if (kind === 'config') return changeText(decodeChange(data))
  return data.length > 16 ? `${data.length} bytes` : `"${new TextDecoder().decode(data)}"`
}

function changeText(change: Change): string {
  switch (change.kind) {
    case 'add':
      return `add ${change.member.id}${change.member.learner ? ' learner' : ''}`
    case 'promote':
    case 'demote':
    case 'remove':
      return `${change.kind} ${change.id}`
    case 'enterJoint':
      return `${change.autoLeave ? 'pass through' : 'enter'} joint (${change.changes.map(changeText).join(', ')})`
    case 'leaveJoint':
      return 'leave joint'
    case 'bootstrap':
      return `bootstrap ${change.members.map(m => m.id).join(',')}`
  }
}

export function membershipText({ members, removed, joint }: Membership): string {
  const ids = (learner: boolean): readonly number[] =>
    members.filter(m => m.learner === learner).map(m => m.id)
  const part = (name: string, of: readonly number[]): string =>
    of.length === 0 ? '' : ` ${name} ${of.join(',')}`
  return [
    `voters ${ids(false).join(',') || 'none'}`,
    part('and', joint?.outgoing ?? []),
    part('learners', ids(true)),
    part('leaving', joint?.leaving ?? []),
    part('removed', removed),
  ].join('')
}

/** What is new against what was handed out before, and what has to be written. */
export function readyText(id: number, ready: Ready, before: HardState, slowDisk: boolean): string {
  const { term, vote, commit } = ready.hardState
  const parts = [
    term === before.term && vote === before.vote ? '' : `term ${term} vote ${vote}`,
    commit === before.commit ? '' : `commit ${commit}`,
    ready.snapshot === undefined
      ? ''
      : `snapshot ${ready.snapshot.meta.index}/${ready.snapshot.meta.term}`,
    ready.entries.length === 0 ? '' : `store ${entriesText(ready.entries)}`,
    ready.mustSync ? (slowDisk ? `write #${ready.write} begun` : 'sync') : '',
  ].filter(part => part !== '')
  return parts.length === 0 ? `${id} ready` : `${id} ready: ${parts.join(', ')}`
}

export function roleText(s: RaftState): string {
  const learner = !s.isVoter && s.membership.members.some(m => m.id === s.id)
  const role = s.role === 'follower' && learner ? 'learner' : s.role
  const led = s.leader === 0 || s.leader === s.id ? '' : ` of ${s.leader}`
  return `${role}${led} at term ${s.term}`
}

export function statusText(s: RaftState): string {
  const { lastIndex, lastTerm, committed, applied, stable } = s.log
  return `${s.id} ${roleText(s)}, vote ${s.vote}, last ${lastIndex}/${lastTerm}, stable ${stable}, commit ${committed}, applied ${applied}`
}

export function logText(s: RaftState): string {
  const { firstIndex, lastIndex } = s.log
  const entries = s.log.slice(firstIndex, lastIndex, Number.POSITIVE_INFINITY)
  return `${s.id} from ${firstIndex}: ${entriesText(entries)}`
}

export function progressText(id: number, p: Progress): string {
  const flags = [p.paused ? ' paused' : '', p.active ? '' : ' silent'].join('')
  return `  ${id} ${p.state} match ${p.match} next ${p.next} in flight ${p.inflight}${flags}`
}
