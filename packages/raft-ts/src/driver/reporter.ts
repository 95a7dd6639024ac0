import type { RaftState } from '../core/state.ts'
import type { RaftStatus } from '../options.ts'
import type { Membership } from '../types.ts'
import type { Contacts } from './contacts.ts'

/** What `RaftNode.status()` says. */
export function statusOf(s: RaftState, contacts: Contacts, pendingProposals: number): RaftStatus {
  const peers = [...s.progress].filter(([id]) => id !== s.id)
  return {
    id: s.id,
    term: s.term,
    role: s.role === 'follower' && !s.isVoter ? 'learner' : s.role,
    leader: s.leader === 0 ? undefined : s.leader,
    members: s.membership.members,
    ...(s.membership.joint && { joint: s.membership.joint }),
    firstIndex: s.log.firstIndex,
    lastIndex: s.log.lastIndex,
    lastTerm: s.log.lastTerm,
    commitIndex: s.log.committed,
    appliedIndex: s.log.applied,
    snapshotIndex: s.snapshot?.index ?? 0,
    pendingProposals,
    peers: peers.map(([id, p]) => ({
      id,
      matchIndex: p.match,
      lastContactMs: contacts.agoMs(id),
      state: p.state,
    })),
    removed: s.removed,
  }
}

/** Tells of changes of leader, term, role and members, once each. */
export class Reporter {
  readonly #state: RaftState
  readonly #report: () => void
  #key = ''
  #membership: Membership | undefined

  constructor(state: RaftState, report: () => void) {
    this.#state = state
    this.#report = report
  }

  check(): void {
    const { role, term, leader, removed, membership } = this.#state
    const key = `${role} ${term} ${leader} ${removed}`
    if (key === this.#key && membership === this.#membership) return
    this.#key = key
    this.#membership = membership
    this.#report()
  }
}
