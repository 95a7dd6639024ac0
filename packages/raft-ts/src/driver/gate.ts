import { memberOf } from '../core/membership.ts'
import type { RaftState } from '../core/state.ts'
import type { AppendRequest, Message } from '../types.ts'

/**
 * Why something that came in was refused. Nothing has changed then.
 *
 * - `cluster`: it belongs to another cluster, or names none
 * - `malformed`: its bytes or numbers are none that a member could have sent
 * - `term`: its term is further ahead than honest elections can bring it
 * - `impostor`: it claims to lead the term that this member leads, and is no member
 * - `entry`: an entry is larger than `maxEntryBytes`
 * - `snapshot`: a snapshot that arrived whole has another hash than it left with, or is none
 * - `stranger`: a proposal or a read of somebody who is no member
 */
export type RefusalReason =
  | 'cluster'
  | 'malformed'
  | 'term'
  | 'impostor'
  | 'entry'
  | 'snapshot'
  | 'stranger'

/** `detail` names what came, from whom, and what would have been right. */
export interface Refusal {
  readonly reason: RefusalReason
  readonly detail: string
}

/**
 * How far ahead the term of a message may be. A term is spent by an election, and elections are an election timeout apart:
 * 2^32 of 100 ms take 13 years. Without a bound one forged message near 2^53 would leave no term to elect anybody in.
 */
export const MAX_TERM_JUMP = 2 ** 32
/**
 * For those this member does not know. They may be honest: it may lag behind the change that added them. But it has not
 * missed a million elections.
 */
export const MAX_STRANGER_TERM_JUMP = 2 ** 20

/**
 * What must not reach the core. Judged by what an honest member could have sent, whatever it knows and we do not: a member
 * that lags meets leaders it has never heard of, so their not being members is no reason by itself.
 */
export function refusalOf(
  s: RaftState,
  m: Message,
  limits: { readonly maxEntryBytes: number },
): Refusal | undefined {
  if (!isId(m.from) || !Number.isSafeInteger(m.term) || m.term < 0)
    return { reason: 'malformed', detail: `${m.type} from ${m.from} of term ${m.term}` }
  const known = memberOf(s.membership, m.from) !== undefined
  // Who belongs to no cluster yet takes the term of the one that contacts it.
  const stranger = !known && s.membership.members.length > 0
  const jump = m.term - s.term
  const maxJump = stranger ? MAX_STRANGER_TERM_JUMP : MAX_TERM_JUMP
  if (jump > maxJump)
    return {
      reason: 'term',
      detail: `${m.type} of ${stranger ? 'stranger' : 'member'} ${m.from} has term ${m.term}, ours is ${s.term}; at most ${maxJump} more are believed`,
    }
  const leads = m.type === 'append' || m.type === 'heartbeat' || m.type === 'snapshot'
  // From a member it would be a broken promise of the protocol, which the core answers by ending.
  if (leads && stranger && s.role === 'leader' && jump === 0)
    return { reason: 'impostor', detail: `stranger ${m.from} claims to lead term ${m.term}` }
  if (m.type === 'readIndex' && stranger)
    return { reason: 'stranger', detail: `a read of ${m.from}, which is no member` }
  return m.type === 'append' ? badEntries(m, limits.maxEntryBytes) : undefined
}

/** raft.pdf §5.3: indexes follow each other, terms never fall and are none of the future. */
function badEntries(m: AppendRequest, maxEntryBytes: number): Refusal | undefined {
  let { prevIndex: index, prevTerm: term } = m
  for (const entry of m.entries) {
    if (entry.index !== index + 1 || entry.term < term || entry.term > m.term)
      return {
        reason: 'malformed',
        detail: `entry ${entry.index} of term ${entry.term} after ${index} of term ${term} in an append of term ${m.term}`,
      }
    if (entry.data.length > maxEntryBytes)
      return {
        reason: 'entry',
        detail: `entry ${entry.index} has ${entry.data.length} bytes, ${maxEntryBytes} are allowed here; give every member the same maxEntryBytes`,
      }
    ;({ index, term } = entry)
  }
  return undefined
}

function isId(id: number): boolean {
  return Number.isSafeInteger(id) && id > 0
}
