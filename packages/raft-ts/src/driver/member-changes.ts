import { applyChange, type Change } from '../core/membership.ts'
import { majority } from '../core/quorum.ts'
import type { Raft } from '../core/raft.ts'
import { RaftError } from '../errors.ts'
import type { Contacts } from './contacts.ts'
import type { Leadership } from './leadership.ts'
import type { Loop } from './loop.ts'
import type { Proposals } from './proposals.ts'

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

  /** @param before waits for, or refuses on, what only the leader knows */
  change(change: Change, before?: () => Promise<void> | void): Promise<void> {
    const result = this.#queue.then(() => this.#run(change, before))
    this.#queue = result.catch(() => undefined)
    return result
  }

  promote(id: number, timeoutMs: number | undefined): Promise<void> {
    return this.change({ kind: 'promote', id }, async () => {
      const goal = this.#raft.state.log.committed
      const behind = (): number => goal - (this.#raft.state.progress.get(id)?.match ?? 0)
      await this.#loop.until(
        () => this.#leadership.leads() && behind() <= 0,
        timeoutMs,
        () =>
          new RaftError(
            'Refused',
            `member ${id} has not caught up: ${behind()} entries are missing`,
          ),
      )
    })
  }

  /** Demotes or removes a voter, unless those that stay and are in reach would be no majority. */
  withdraw(kind: 'demote' | 'remove', id: number, force: boolean | undefined): Promise<void> {
    return this.change({ kind, id }, () => {
      if (force !== true) this.#keepsQuorum(id)
    })
  }

  async #run(change: Change, before?: () => Promise<void> | void): Promise<void> {
    this.#loop.mustRun()
    if (!this.#leadership.leads()) throw this.#leadership.notLeader()
    const check = applyChange(this.#raft.state.membership, change)
    if (check.refused !== undefined) throw new RaftError('Refused', check.refused)
    await before?.()
    await this.#loop.until(
      () => {
        const { log, pendingConfigIndex } = this.#raft.state
        return !this.#leadership.leads() || log.applied >= pendingConfigIndex
      },
      undefined,
      () => new RaftError('Timeout', 'another change of membership is not applied yet'),
    )
    const outcome = await this.#proposals.proposeChange(change)
    if (outcome.refused !== undefined) throw new RaftError('Refused', outcome.refused)
  }

  #keepsQuorum(id: number): void {
    const { voters } = this.#raft.state
    const left = voters.filter(v => v !== id)
    const reachable = left.filter(v => this.#contacts.inReach(v)).length
    if (left.length === voters.length || reachable >= majority(left.length)) return
    throw new RaftError(
      'Refused',
      `without member ${id} only ${reachable} of ${left.length} voters are in reach, no majority; force it to go on regardless`,
    )
  }
}
