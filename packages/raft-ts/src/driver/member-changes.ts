import { electorateOf } from '../core/joint.ts'
import { applyChange, type Change, memberOf, type MemberChange } from '../core/membership.ts'
import { majority } from '../core/quorum.ts'
import type { Raft } from '../core/raft.ts'
import { RaftError } from '../errors.ts'
import type { Membership } from '../types.ts'
import type { Contacts } from './contacts.ts'
import type { Leadership } from './leadership.ts'
import type { Loop } from './loop.ts'
import type { Proposals } from './proposals.ts'

/** What a caller may say about how a change is made. */
export interface ChangeOptions {
  /** Go on although those in reach would be no majority. */
  readonly force?: boolean | undefined
  /** How long learners to be promoted may take to catch up. Default `defaultTimeoutMs`. */
  readonly timeoutMs?: number | undefined
}

/** Changes of membership, one after the other, with the checks that only the leader can make. */
export class MemberChanges {
  readonly #raft: Raft
  readonly #loop: Loop
  readonly #contacts: Contacts
  readonly #leadership: Leadership
  readonly #proposals: Proposals
  #queue: Promise<unknown> = Promise.resolve()

  constructor(
    raft: Raft,
    loop: Loop,
    contacts: Contacts,
    leadership: Leadership,
    proposals: Proposals,
  ) {
    this.#raft = raft
    this.#loop = loop
    this.#contacts = contacts
    this.#leadership = leadership
    this.#proposals = proposals
  }

  /** Resolves when the change, and the joint one it may go through, is applied here. */
  change(change: Change, options: ChangeOptions = {}): Promise<void> {
    const result = this.#queue.then(() => this.#run(change, options))
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #run(change: Change, options: ChangeOptions): Promise<void> {
    this.#loop.mustRun()
    await this.#settled()
    if (!this.#leadership.leads()) throw this.#leadership.notLeader()
    const after = applyChange(this.#raft.state.membership, change)
    if (after.refused !== undefined) throw new RaftError('Refused', after.refused)
    const steps = change.kind === 'enterJoint' ? change.changes : [change]
    for (const step of steps)
      if (step.kind === 'promote') await this.#caughtUp(step.id, options.timeoutMs)
    if (options.force !== true && change.kind !== 'leaveJoint')
      this.#keepsQuorum(after.membership, change)
    const outcome = await this.#proposals.proposeChange(change)
    if (outcome.refused !== undefined) throw new RaftError('Refused', outcome.refused)
    if (change.kind === 'enterJoint' && change.autoLeave) await this.#jointEnded()
  }

  /** What an earlier change, of whatever leader, still has to do. */
  #settled(): Promise<void> {
    return this.#loop.until(
      () => {
        const { log, pendingConfigIndex, membership } = this.#raft.state
        if (!this.#leadership.leads()) return true
        return log.applied >= pendingConfigIndex && membership.joint?.autoLeave !== true
      },
      undefined,
      () => new RaftError('Timeout', 'another change of membership is not applied yet'),
    )
  }

  #jointEnded(): Promise<void> {
    const unknown = 'the joint change of membership has begun; whoever leads will end it'
    return this.#loop.until(
      () => {
        if (this.#raft.state.membership.joint === undefined) return true
        if (this.#leadership.leads()) return false
        throw new RaftError('OutcomeUnknown', unknown)
      },
      undefined,
      () => new RaftError('Timeout', `${unknown}; it waits for a majority of both halves`),
    )
  }

  #caughtUp(id: number, timeoutMs: number | undefined): Promise<void> {
    const goal = this.#raft.state.log.committed
    const behind = (): number => goal - (this.#raft.state.progress.get(id)?.match ?? 0)
    return this.#loop.until(
      () => this.#leadership.leads() && behind() <= 0,
      timeoutMs,
      () =>
        new RaftError('Refused', `member ${id} has not caught up: ${behind()} entries are missing`),
    )
  }

  /**
   * Every group of voters must keep its majority among those in reach. A voter that comes without having been a learner
   * holds nothing yet, so it does not count.
   */
  #keepsQuorum(after: Membership, change: Change): void {
    const before = this.#raft.state.membership
    for (const voters of electorateOf(after)) {
      const healthy = (id: number): boolean =>
        memberOf(before, id) !== undefined && this.#contacts.inReach(id)
      const missing = voters.filter(id => !healthy(id))
      const healthyCount = voters.length - missing.length
      if (healthyCount >= majority(voters.length)) continue
      throw new RaftError(
        'Refused',
        `${describe(change)} only ${healthyCount} of ${voters.length} voters are in reach and hold the log, no majority: ${missing.join(', ')} would be missing. Bring those back, or add them as learners first and promote them; force it to go on regardless`,
      )
    }
  }
}

/**
 * What several steps become: one alone is a step of its own unless an explicit end is wanted, more go through a joint
 * configuration.
 */
export function changeOf(
  changes: readonly MemberChange[],
  leave: 'auto' | 'explicit' = 'auto',
): Change {
  const [first] = changes
  if (first === undefined) throw new RaftError('Refused', 'no change of membership is named')
  if (changes.length === 1 && leave === 'auto') return first
  return { kind: 'enterJoint', changes, autoLeave: leave === 'auto' }
}

function describe(change: Change): string {
  if (change.kind === 'remove' || change.kind === 'demote') return `without member ${change.id}`
  if (change.kind === 'promote') return `with member ${change.id}`
  if (change.kind === 'add') return `with member ${change.member.id}`
  return 'during or after this change'
}
