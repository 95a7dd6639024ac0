import type { Change, ChangeOutcome } from '../core/membership.ts'
import type { ProposeOutcome, Raft } from '../core/raft.ts'
import { RaftError } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { Entry } from '../types.ts'
import type { DiskSpace } from './disk-space.ts'
import type { Forwards } from './forwards.ts'
import type { Leadership } from './leadership.ts'
import type { Loop } from './loop.ts'
import { PendingProposals } from './pending.ts'

/** What was appended here and waits to be applied: the caller's entries, and changes of membership. */
export class Proposals {
  readonly #settings: Settings
  readonly #raft: Raft
  readonly #loop: Loop
  readonly #leadership: Leadership
  readonly #forwards: Forwards
  readonly #disk: DiskSpace
  readonly #entries = new PendingProposals<unknown>()
  readonly #changes = new PendingProposals<ChangeOutcome>()

  constructor(
    settings: Settings,
    raft: Raft,
    loop: Loop,
    leadership: Leadership,
    forwards: Forwards,
    disk: DiskSpace,
  ) {
    this.#settings = settings
    this.#raft = raft
    this.#loop = loop
    this.#leadership = leadership
    this.#forwards = forwards
    this.#disk = disk
  }

  get size(): number {
    return this.#entries.size + this.#forwards.size
  }

  async propose(
    data: Uint8Array,
    options: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<{ index: number; result: unknown }> {
    this.#loop.mustRun()
    const { maxEntryBytes, maxPending } = this.#settings
    if (data.length > maxEntryBytes)
      throw new RaftError('TooLarge', `a proposal of ${data.length} bytes exceeds ${maxEntryBytes}`)
    if (options.signal?.aborted === true)
      throw new RaftError('ProposalDropped', 'aborted before it was proposed')
    if (this.size >= maxPending)
      throw new RaftError('ProposalDropped', `${maxPending} proposals are waiting already`)
    // Another leader may have room.
    if (this.#leadership.leads()) this.#disk.mustSuffice()
    const deadlineMs = this.#loop.deadline(options.timeoutMs)
    const { forwardProposals } = this.#settings
    if (forwardProposals && !this.#leadership.leads() && this.#raft.state.leader !== 0)
      return this.#forward(data, deadlineMs, options.signal)
    const { index, term } = this.#appended(this.#raft.propose(data))
    const result = await this.#entries.wait(index, term, deadlineMs, options.signal)
    return { index, result }
  }

  /** The leader's answer goes out before the entry does, so the wait begins in time unless messages overtake each other. */
  async #forward(
    data: Uint8Array,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ index: number; result: unknown }> {
    const { index, term } = await this.#forwards.ask(data, deadlineMs)
    if (index <= this.#raft.state.log.applied)
      throw new RaftError('OutcomeUnknown', `entry ${index} was applied before its place was known`)
    const result = await this.#entries.wait(index, term, deadlineMs, signal)
    return { index, result }
  }

  proposeChange(change: Change): Promise<ChangeOutcome> {
    const { index, term } = this.#appended(this.#raft.proposeChange(change))
    return this.#changes.wait(index, term, this.#loop.deadline(undefined))
  }

  /**
   * @param results of the state machine, one a normal entry
   * @param outcome of the last entry, when that is a change of membership
   */
  applied(
    entries: readonly Entry[],
    normal: readonly Entry[],
    results: readonly unknown[],
    outcome: ChangeOutcome | undefined,
  ): void {
    for (const [i, entry] of normal.entries())
      this.#entries.applied(entry.index, entry.term, results[i])
    const last = entries.at(-1)
    if (last !== undefined && outcome !== undefined)
      this.#changes.applied(last.index, last.term, outcome)
  }

  expire(nowMs: number): void {
    this.#forwards.expire(nowMs)
    this.#entries.expire(nowMs)
    this.#changes.expire(nowMs)
  }

  failAll(error: () => RaftError): void {
    this.#forwards.failAll(error)
    this.#entries.failAll(error)
    this.#changes.failAll(error)
  }

  #appended(outcome: ProposeOutcome): { index: number; term: number } {
    if ('index' in outcome) {
      this.#loop.schedule()
      return outcome
    }
    switch (outcome.refused) {
      case 'notLeader':
        throw this.#leadership.notLeader()
      case 'transferring':
        throw new RaftError('ProposalDropped', 'the leadership is being handed over; try again')
      case 'full':
        throw new RaftError('ProposalDropped', 'too much waits to be committed; try again later')
      case 'pending':
        throw new RaftError('Refused', 'another change of membership is not applied yet')
    }
  }
}
