// What a caller holds: the life of a member, and its calls handed to the parts in driver/ that answer them.
import { refuseRemoved } from './core/fence.ts'
import { decodeMessage, encodeMessage } from './codec/message.ts'
import { RaftLog } from './core/log.ts'
import { type MemberChange, NOBODY } from './core/membership.ts'
import { Raft } from './core/raft.ts'
import { Contacts } from './driver/contacts.ts'
import { DiskSpace } from './driver/disk-space.ts'
import { Forwards } from './driver/forwards.ts'
import { refusalOf } from './driver/gate.ts'
import { Leadership } from './driver/leadership.ts'
import { Loop } from './driver/loop.ts'
import { changeOf, MemberChanges } from './driver/member-changes.ts'
import { hasState, openStorage, type Opened } from './driver/open.ts'
import { OwnSnapshots } from './driver/own-snapshots.ts'
import { Proposals } from './driver/proposals.ts'
import { Reads } from './driver/reads.ts'
import { Refusals } from './driver/refusals.ts'
import { Reporter, statusOf } from './driver/reporter.ts'
import { SnapshotExchange } from './driver/snapshot-exchange.ts'
import { Turns } from './driver/turns.ts'
import { Writer } from './driver/writer.ts'
import { RaftError } from './errors.ts'
import type { RaftFs } from './fs.ts'
import { type RaftNodeOptions, type RaftStatus, type Settings, withDefaults } from './options.ts'
import type { Member, Message } from './types.ts'

/** One member of a cluster, with its disk. Opened by `RaftNode.open`, ended by `stop` or `kill`. */
export class RaftNode {
  readonly #settings: Settings
  readonly #raft: Raft
  readonly #storage: Opened
  readonly #loop: Loop
  readonly #contacts: Contacts
  readonly #leadership: Leadership
  readonly #forwards: Forwards
  readonly #disk: DiskSpace
  readonly #proposals: Proposals
  readonly #changes: MemberChanges
  readonly #reads: Reads
  readonly #refusals: Refusals
  readonly #exchange: SnapshotExchange
  readonly #snapshots: OwnSnapshots
  readonly #writer: Writer
  readonly #turns: Turns

  private constructor(settings: Settings, storage: Opened) {
    const fatal = (error: unknown): void => this.#fatal(error)
    const raft = newRaft(settings, storage)
    const loop = new Loop(settings, () => this.#turns.run(), fatal)
    const contacts = new Contacts(settings.id, settings.electionTimeoutMs, () => loop.nowMs)
    const leadership = new Leadership(settings, raft, loop, contacts)
    const refusals = new Refusals(settings)
    const disk = new DiskSpace(settings, loop, leadership)
    const firstContext = Math.floor(settings.random() * 2 ** 40)
    const forwards = new Forwards(firstContext, {
      state: raft.state,
      enabled: settings.forwardProposals,
      maxEntryBytes: settings.maxEntryBytes,
      propose: data => (disk.isLow ? { refused: 'full' } : raft.propose(data)),
      send: message => this.#turns.transmit([message]),
      refused: refusal => refusals.note(refusal),
    })
    const proposals = new Proposals(settings, raft, loop, leadership, forwards, disk)
    const reads = new Reads(firstContext, 2 * settings.heartbeatMs, c => raft.readIndex(c))
    const { wal, store } = storage
    const exchange = new SnapshotExchange(settings, raft, loop, store, refusals, messages =>
      this.#turns.transmit(messages),
    )
    const snapshots = new OwnSnapshots(settings, raft, loop, storage, fatal)
    const writer = new Writer(wal, store, ready => this.#turns.written(ready), fatal)
    const reporter = new Reporter(raft.state, () => settings.onChange?.(this.status()))
    const parts = { settings, raft, loop, leadership, proposals, reads, exchange, snapshots }
    this.#settings = settings
    this.#raft = raft
    this.#storage = storage
    this.#loop = loop
    this.#contacts = contacts
    this.#leadership = leadership
    this.#forwards = forwards
    this.#disk = disk
    this.#proposals = proposals
    this.#changes = new MemberChanges(raft, loop, contacts, leadership, proposals)
    this.#reads = reads
    this.#refusals = refusals
    this.#exchange = exchange
    this.#snapshots = snapshots
    this.#writer = writer
    this.#turns = new Turns({ ...parts, writer, reporter })
  }

  /**
   * Opens the member's directory and starts. Committed entries after the newest snapshot are applied anew.
   *
   * With `bootstrap`, which every first member gives alike, begins a new cluster. Without it, an empty directory makes a
   * joiner that waits to be contacted by a leader that has added it.
   *
   * @throws RaftError `Refused` for a bootstrap over existing state; `WalCorruptError`
   */
  static async open(
    options: RaftNodeOptions,
    start: { bootstrap?: readonly Member[] } = {},
  ): Promise<RaftNode> {
    if (!Number.isSafeInteger(options.id) || options.id <= 0)
      throw new RaftError(
        'Refused',
        `${options.id} is no member id: a positive integer below 2^53 is needed`,
      )
    const settings = withDefaults(options)
    const storage = await openStorage(settings, start.bootstrap)
    const { snapshot } = storage
    if (snapshot !== undefined) settings.stateMachine.restore(snapshot.data, snapshot.meta.index)
    const node = new RaftNode(settings, storage)
    node.#turns.start()
    node.#disk.start()
    return node
  }

  /** Whether `dir` holds a member's state, so that it must be opened without bootstrap. */
  static hasState(fs: RaftFs, dir: string): Promise<boolean> {
    return hasState(fs, dir)
  }

  /** A message as bytes for the wire, with this cluster's id. @throws RaftError `TooLarge` */
  encode(message: Message): Uint8Array {
    return encodeMessage(message, this.#settings.clusterId)
  }

  /**
   * A message from a peer as `encode` made it.
   *
   * @throws RaftError `Corrupt`, `TooLarge`, or `Refused` when it is of another cluster. It is counted and nothing has changed;
   * close the connection it came by
   */
  receive(bytes: Uint8Array): void {
    let message: Message
    try {
      message = decodeMessage(bytes, this.#settings.clusterId)
    } catch (error) {
      const wrong = error instanceof RaftError && error.code === 'Refused'
      this.#refusals.note({ reason: wrong ? 'cluster' : 'malformed', detail: String(error) })
      throw error
    }
    this.step(message)
  }

  /**
   * A message from a peer. Messages for others, and of the stopped, are ignored. What no honest member could have sent is
   * refused: counted and logged with the reason, see `RefusalReason`.
   */
  step(message: Message): void {
    if (this.#loop.isStopped()) return
    this.#settings.metrics?.message?.('received', message.type)
    if (message.to !== this.#settings.id) return
    // First of all: who was left behind and leads a term like ours must hear that it is out, and not be taken for a liar.
    if (refuseRemoved(this.#raft.state, message)) {
      this.#loop.schedule()
      return
    }
    const refusal = refusalOf(this.#raft.state, message, this.#settings)
    if (refusal !== undefined) {
      this.#refusals.note(refusal)
      return
    }
    this.#contacts.heard(message.from)
    this.#turns.noteTime()
    this.#loop.guard(() => {
      if (message.type === 'snapshotChunk') this.#exchange.onChunk(message)
      else if (message.type === 'snapshotChunkResponse') this.#exchange.onResponse(message)
      else if (message.type === 'forward') this.#forwards.onRequest(message)
      else if (message.type === 'forwardResponse') this.#forwards.onResponse(message)
      else if (message.type !== 'snapshot') this.#raft.step(message)
    })
    this.#loop.schedule()
  }

  /**
   * The transport lost its connection to `id`. A leader sends it single appends until it answers. A follower whose leader
   * it is waits one to two heartbeats for a sign of life and then campaigns, with a pre-vote; others who doubt it will grant.
   */
  reportUnreachable(id: number): void {
    if (this.#loop.isStopped()) return
    this.#raft.reportUnreachable(id)
    this.#exchange.abort(id)
    this.#leadership.doubt(id)
    this.#loop.schedule()
  }

  /**
   * Appends an entry, if this node leads, and waits until the local state machine has applied it. With `forwardProposals` a
   * follower has its leader append it; one that is not answered is `OutcomeUnknown`.
   *
   * @param options.timeoutMs default `defaultTimeoutMs`; after it the entry may still commit
   * @throws RaftError `NotLeader`, `ProposalDropped`, `TooLarge`, `Stopped`: not appended. `OutcomeUnknown`, `Timeout`: it may commit
   */
  propose(
    data: Uint8Array,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<{ index: number; result: unknown }> {
    return this.#proposals.propose(data, options)
  }

  /**
   * Resolves with an index that covers every write acknowledged anywhere before the call, once it is applied here.
   *
   * @throws RaftError `Timeout` when no leader confirms, `ProposalDropped` when too many wait, `Stopped`
   */
  async readIndex(options: { timeoutMs?: number } = {}): Promise<number> {
    this.#loop.mustRun()
    const { maxPending } = this.#settings
    if (this.#reads.size >= maxPending)
      throw new RaftError('ProposalDropped', `${maxPending} reads are waiting already`)
    const done = this.#reads.wait(this.#loop.deadline(options.timeoutMs))
    this.#loop.schedule()
    return done
  }

  /**
   * Adds a member, or updates a member's address. A new voter should come as a learner and be promoted: one that comes at
   * once counts as out of reach, and may be refused.
   *
   * @throws RaftError `Refused` with the reason
   */
  addMember(member: Member, options: { force?: boolean } = {}): Promise<void> {
    return this.#changes.change({ kind: 'add', member }, options)
  }

  /**
   * Makes a learner a voter once it holds everything committed at the time of the call.
   *
   * @throws RaftError `Refused` with the reason when it does not catch up in time
   */
  promoteMember(id: number, options: { timeoutMs?: number } = {}): Promise<void> {
    return this.#changes.change({ kind: 'promote', id }, options)
  }

  /** Makes a voter a learner: the first half of a removal that can be taken back. */
  demoteMember(id: number, options: { force?: boolean } = {}): Promise<void> {
    return this.#changes.change({ kind: 'demote', id }, options)
  }

  /** Removes a member for good. Refuses when the voters left and in reach would be no majority, unless forced. */
  removeMember(id: number, options: { force?: boolean } = {}): Promise<void> {
    return this.#changes.change({ kind: 'remove', id }, options)
  }

  /**
   * Changes several members at once, by joint consensus (raft thesis §4.3): at no time do fewer failures stop the cluster
   * than before or after. A dead voter is replaced in one step: `[{ kind: 'add', member }, { kind: 'remove', id }]`, better
   * with `promote` of a learner that holds the log already. A single change is made as such.
   *
   * @param options.leave `auto` (default): resolves when the new members alone decide. `explicit`: resolves when both the
   * old and the new ones decide, until `leaveJoint`
   * @param options.timeoutMs for learners to be promoted, to catch up
   * @throws RaftError `Refused` with the reason when either half would have no majority in reach, unless forced;
   * `OutcomeUnknown` when the leadership is lost after the begin, which the next leader then completes
   */
  async changeMembers(
    changes: readonly MemberChange[],
    options: { leave?: 'auto' | 'explicit'; force?: boolean; timeoutMs?: number } = {},
  ): Promise<void> {
    return this.#changes.change(changeOf(changes, options.leave), options)
  }

  /** Ends a joint change that was begun with `leave: 'explicit'`: the new members alone decide. */
  leaveJoint(): Promise<void> {
    return this.#changes.change({ kind: 'leaveJoint' })
  }

  /**
   * Hands the leadership to `to`, or to the voter that is most up to date. Proposals are refused meanwhile.
   *
   * @throws RaftError `NotLeader`, `Refused`, `Timeout`
   */
  transferLeadership(to?: number, options: { timeoutMs?: number } = {}): Promise<void> {
    return this.#leadership.transfer(to, options.timeoutMs)
  }

  /** Campaigns now, with a pre-vote. */
  campaign(): void {
    this.#leadership.campaign()
  }

  status(): RaftStatus {
    return statusOf(this.#raft.state, this.#contacts, this.#proposals.size)
  }

  /** Names, as `Encryption.keyOf` gives them, of the keys without which some record or the snapshot could not be read. */
  keysInUse(): ReadonlySet<string> {
    const { wal, store } = this.#storage
    return new Set([...wal.keysInUse(), ...store.keysInUse()])
  }

  /** Hands over the leadership (unless told not to), writes what is left, closes the files. Waits end with an error. */
  async stop(options: { transfer?: boolean } = {}): Promise<void> {
    if (this.#loop.state !== 'running') return
    this.#loop.state = 'stopping'
    const leadership = this.#leadership
    if (options.transfer !== false && leadership.leads() && leadership.heir() !== undefined)
      await leadership.handOver().catch((error: unknown) => this.#settings.log?.warn(String(error)))
    this.#halt('the node is stopping')
    await this.#writer.idle()
    await this.#snapshots.idle()
    const { wal } = this.#storage
    await wal.append({ hardState: this.#raft.state.hardState(), restart: undefined, entries: [] })
    await wal.close()
  }

  /** Ends at once, as a crash would: nothing more is written, sent or reported. */
  kill(): void {
    this.#writer.abandon()
    this.#halt('the node was killed')
  }

  #fatal(error: unknown): void {
    if (this.#loop.isStopped()) return
    const cause = error instanceof Error ? error : new Error(String(error))
    this.#settings.log?.error('raft cannot go on', { error: cause.message })
    this.kill()
    this.#settings.onFatal(cause)
  }

  #halt(reason: string): void {
    this.#loop.halt()
    this.#exchange.clear()
    const unknown = (): RaftError =>
      new RaftError('OutcomeUnknown', `${reason}; the entry may still commit`)
    const stopped = (): RaftError => new RaftError('Stopped', reason)
    this.#proposals.failAll(unknown)
    this.#reads.failAll(stopped)
    this.#loop.failWaits(stopped)
  }
}

function newRaft(settings: Settings, { snapshot, hardState, entries }: Opened): Raft {
  const base = { index: snapshot?.meta.index ?? 0, term: snapshot?.meta.term ?? 0 }
  return new Raft(settings, {
    log: new RaftLog(base, entries, hardState.commit),
    hardState,
    membership: snapshot?.meta.membership ?? NOBODY,
    ...(snapshot && { snapshot: snapshot.meta }),
  })
}
