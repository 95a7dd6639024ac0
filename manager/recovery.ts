// Whether a manager may be made the only one of its group. Pure: what the managers that answer say decides.
import type { ManagerReport } from '../proto/index.ts'
import { tolerance } from '../services/model/quorum.ts'

export interface RecoveryView {
  /** This manager's Raft id. */
  readonly raftId: number
  /** All members, each with what it says of itself when it answered. */
  readonly managers: readonly ManagerReport[]
}

/**
 * Why the group must not be recovered on this manager, and what to do instead; undefined when it may. Going on alone is
 * for a quorum that is gone: while one may be had, or another survivor knows more, it would throw writes away.
 *
 * @param force although a reachable manager has a newer log
 */
export function recoveryRefusal(view: RecoveryView, force: boolean): string | undefined {
  const { raftId, managers } = view
  const self = managers.find(manager => manager.raftId === raftId)
  if (!self?.facts) return 'this manager is no member of the group; run it on one that is'
  if (self.learner)
    return 'this manager is a learner: it has never voted and may lack writes; run it on a voter'
  const leader = managers.find(({ facts }) => facts && facts.leader !== 0)
  if (leader) {
    const whom = managers.find(manager => manager.raftId === leader.facts?.leader)
    return `there is a leader: ${nameOf(leader)} follows ${whom ? nameOf(whom) : 'a manager'}; nothing needs to be recovered, see: skein manager status`
  }
  const voters = managers.filter(manager => !manager.learner)
  const answering = voters.filter(manager => manager.facts)
  const { quorum, spare } = tolerance(voters.length, answering.length)
  if (spare >= 0) {
    return `${answering.length} of ${voters.length} voting managers answer and ${quorum} are needed: they can still elect a leader; wait for it, see: skein manager status`
  }
  const newer = answering.find(manager => isNewer(manager, self))
  if (!newer || force) return undefined
  return `${nameOf(newer)} has a newer log (entry ${newer.facts?.lastIndex} of term ${newer.facts?.lastTerm}; here ${self.facts.lastIndex} of term ${self.facts.lastTerm}): run it there, or here with --force and lose what is only there`
}

/** As a vote is decided (raft.pdf §5.4.1): the later last term, then the longer log. */
function isNewer({ facts: a }: ManagerReport, { facts: b }: ManagerReport): boolean {
  if (!a || !b) return false
  return a.lastTerm > b.lastTerm || (a.lastTerm === b.lastTerm && a.lastIndex > b.lastIndex)
}

function nameOf({ hostname, address }: ManagerReport): string {
  return hostname || address
}
