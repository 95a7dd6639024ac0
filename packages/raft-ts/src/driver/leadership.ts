import { votersOf } from '../core/membership.ts'
import type { Raft } from '../core/raft.ts'
import { RaftError } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { Contacts } from './contacts.ts'
import type { Loop } from './loop.ts'

/** Who leads, how this node comes to lead, and how it hands over. */
export class Leadership {
  readonly #settings: Settings
  readonly #raft: Raft
  readonly #loop: Loop
  readonly #contacts: Contacts
  #ledTerm = 0

  constructor(settings: Settings, raft: Raft, loop: Loop, contacts: Contacts) {
    this.#settings = settings
    this.#raft = raft
    this.#loop = loop
    this.#contacts = contacts
  }

  leads(): boolean {
    return this.#raft.state.role === 'leader'
  }

  notLeader(): RaftError {
    const { leader } = this.#raft.state
    const where = leader === 0 ? 'there is none at present' : `member ${leader} is`
    return new RaftError(
      'NotLeader',
      `this member is not the leader, ${where}`,
      leader === 0 ? {} : { leader },
    )
  }

  campaign(): void {
    if (this.#loop.isStopped() || this.leads()) return
    this.#raft.campaign()
    this.#loop.schedule()
  }

  /** The only voter has nobody to wait for. */
  leadAlone(): void {
    const s = this.#raft.state
    if (s.role !== 'follower' || s.voters.length !== 1 || !s.promotable || s.promised) return
    this.#raft.campaign()
    this.#loop.schedule()
  }

  /** The connection to `leader` broke. One that lives shows itself soon; from another we take over. */
  doubt(leader: number): void {
    const { state } = this.#raft
    if (state.leader !== leader || state.role !== 'follower') return
    const { random, heartbeatMs } = this.#settings
    const lostAtMs = this.#loop.nowMs
    // A leader that lives shows itself within a heartbeat; the rest keeps two that doubt from campaigning at once.
    this.#loop.once('doubt', (1 + random()) * heartbeatMs, () => {
      const s = this.#raft.state
      const heard = this.#contacts.heardSince(leader, lostAtMs)
      if (s.leader !== leader || s.role !== 'follower' || heard) return
      this.#raft.forgetLeader()
      this.campaign()
    })
  }

  /** @returns whether a leadership of ours has ended since the last call */
  noteEnd(): boolean {
    const { role, term } = this.#raft.state
    const ledTerm = role === 'leader' ? term : 0
    const ended = this.#ledTerm !== 0 && ledTerm !== this.#ledTerm
    this.#ledTerm = ledTerm
    return ended
  }

  /** The voter in reach that has most of the log. */
  heir(): number | undefined {
    return this.heirs()[0]
  }

  /** The other voters in reach, those that have most of the log first. */
  heirs(): number[] {
    const s = this.#raft.state
    // Not somebody whom the change under way is about to take the vote from.
    const staying = votersOf(s.membership)
    const reachable = staying.filter(id => id !== s.id && this.#contacts.inReach(id))
    const matchOf = (id: number): number => s.progress.get(id)?.match ?? 0
    return reachable.toSorted((a, b) => matchOf(b) - matchOf(a))
  }

  /** Our disk has written nothing for so long, while the others go on without it: one of them leads better. */
  yieldToDisk(stalledMs: number): void {
    const { metrics, log } = this.#settings
    metrics?.diskStalled?.(stalledMs / 1000)
    const heir = this.heir()
    const { stable, committed } = this.#raft.state.log
    log?.warn('the disk stalls; handing over the leadership', {
      stalledMs,
      durableIndex: stable,
      commitIndex: committed,
      to: heir,
    })
    if (heir !== undefined) this.#raft.transferTo(heir)
  }

  async transfer(to: number | undefined, timeoutMs: number | undefined): Promise<void> {
    this.#loop.mustRun()
    if (!this.leads()) throw this.notLeader()
    const target = to ?? this.heir()
    if (target === this.#settings.id) return
    if (target === undefined || !this.#raft.transferTo(target))
      throw new RaftError(
        'Refused',
        target === undefined ? 'there is no other voter in reach' : `${target} is no voter`,
      )
    this.#loop.schedule()
    await this.#loop.until(
      () => {
        if (this.leads() && this.#raft.state.transferTo !== target)
          throw new RaftError('Timeout', `member ${target} did not take over`)
        return this.#raft.state.leader !== 0 && !this.leads()
      },
      timeoutMs,
      () => new RaftError('Timeout', `member ${target} did not take over`),
    )
  }

  /** Before a stop: tries to leave a leader behind, for one election timeout. */
  async handOver(): Promise<void> {
    const target = this.heir()
    if (target === undefined || !this.#raft.transferTo(target)) return
    this.#loop.schedule()
    await this.#loop.until(
      () => !this.leads() || this.#raft.state.transferTo === 0,
      this.#settings.electionTimeoutMs,
      () => new RaftError('Timeout', `member ${target} did not take over before the stop`),
    )
  }
}
