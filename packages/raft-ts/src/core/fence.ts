import type { Message } from '../types.ts'
import type { RaftState } from './state.ts'

/** What only members may do: ask for votes, lead, replace the state. */
const CLAIMS: ReadonlySet<Message['type']> = new Set<Message['type']>([
  'vote',
  'preVote',
  'append',
  'heartbeat',
  'snapshot',
  'snapshotChunk',
])

/**
 * Members that were removed without hearing of it, cut off then or left behind when a survivor went on alone, may still
 * vote, lead and take snapshots among themselves. None of it counts here: they are told, and nothing else is done.
 *
 * @returns whether `m` was refused
 */
export function refuseRemoved(s: RaftState, m: Message): boolean {
  if (!CLAIMS.has(m.type) || !s.membership.removed.includes(m.from)) return false
  s.send({ type: 'removed', to: m.from })
  return true
}
