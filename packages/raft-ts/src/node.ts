// The driver: feeds the core with time, messages and proposals, and does what its `Ready`s say. One turn of the core per
// microtask, so that everything that came in one task shares one append and one record.
import { RaftLog } from './core/log.ts'
import { applyChange, type Change, type ChangeOutcome, NOBODY } from './core/membership.ts'
import { majority } from './core/quorum.ts'
import { Raft, type ProposeOutcome, type Ready } from './core/raft.ts'
import { hasState, openStorage, type Opened } from './driver/open.ts'
import { Conditions, PendingProposals } from './driver/pending.ts'
import { Reads } from './driver/reads.ts'
import { SnapshotReceiver } from './driver/snapshot-receiver.ts'
import { SnapshotSender } from './driver/snapshot-sender.ts'
import { Writer } from './driver/writer.ts'
import { RaftError } from './errors.ts'
import type { RaftFs } from './fs.ts'
import { type RaftNodeOptions, type RaftStatus, type Settings, withDefaults } from './options.ts'
import type { Entry, Member, Membership, Message, SnapshotChunk, SnapshotMeta } from './types.ts'
import { decodeSnapshot, encodeSnapshot } from './wal/snapshot-store.ts'

/** Applied in one turn before others get theirs: heartbeats must leave while a long log is replayed. */
const MAX_APPLY_PER_TURN = 4096
const TICKS_PER_HEARTBEAT = 5

export class RaftNode {
  readonly #settings: Settings
  readonly #raft: Raft
  readonly #storage: Opened
  readonly #writer: Writer
  readonly #proposals = new PendingProposals<unknown>()
  readonly #changes = new PendingProposals<ChangeOutcome>()
  readonly #conditions = new Conditions()
  readonly #reads: Reads
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver
  readonly #contactMs = new Map<number, number>()
  readonly #cancels = new Map<string, () => void>()
  #lastTickMs: number
  #scheduled = false
  #state: 'running' | 'stopping' | 'stopped' = 'running'
  #ledTerm = 0
  #changeQueue: Promise<unknown> = Promise.resolve()
  #snapshotting: Promise<void> | undefined
  #reported = ''
  #reportedMembership: Membership | undefined

  private constructor(settings: Settings, storage: Opened) {
    this.#settings = settings
    this.#storage = storage
    const { snapshot, hardState, entries } = storage
    const base = { index: snapshot?.meta.index ?? 0, term: snapshot?.meta.term ?? 0 }
    this.#raft = new Raft(settings, {
      log: new RaftLog(base, entries, hardState.commit),
      hardState,
      membership: snapshot?.meta.membership ?? NOBODY,
      ...(snapshot && { snapshot: snapshot.meta }),
    })
    this.#writer = new Writer(
      storage.wal,
      storage.store,
      ready => this.#written(ready),
      error => this.#fatal(error),
    )
    this.#lastTickMs = settings.clock.monotonic()
    const firstContext = Math.floor(settings.random() * 2 ** 40)
    this.#reads = new Reads(firstContext, 2 * settings.heartbeatMs, c => this.#raft.readIndex(c))
    this.#receiver = new SnapshotReceiver(settings.maxSnapshotBytes)
    this.#sender = new SnapshotSender({
      chunkBytes: settings.snapshotChunkBytes,
      retryMs: settings.electionTimeoutMs,
      load: () => this.#loadSnapshot(),
      send: chunk => this.#transmit([{ ...chunk, from: settings.id, term: this.#raft.state.term }]),
      finished: (to, delivered) => {
        this.#raft.reportSnapshot(to, delivered)
        this.#schedule()
      },
      nowMs: () => settings.clock.monotonic(),
    })
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
    node.#start()
    return node
  }

  /** Whether `dir` holds a member's state, so that it must be opened without bootstrap. */
  static hasState(fs: RaftFs, dir: string): Promise<boolean> {
    return hasState(fs, dir)
  }

  /** A message from a peer. Messages for others, and of the stopped, are ignored. */
  step(message: Message): void {
    if (this.#state === 'stopped') return
    const { settings, raft } = { settings: this.#settings, raft: this.#raft }
    settings.metrics?.message?.('received', message.type)
    if (message.to !== settings.id) return
    this.#contactMs.set(message.from, settings.clock.monotonic())
    this.#guard(() => {
      if (message.type === 'snapshotChunk') this.#onChunk(message)
      else if (message.type === 'snapshotChunkResponse') this.#sender.onResponse(message)
      else if (message.type !== 'snapshot') raft.step(message)
    })
    this.#schedule()
  }

  /**
   * The transport lost its connection to `id`. A leader sends it single appends until it answers. A follower whose leader
   * it is waits one to two heartbeats for a sign of life and then campaigns, with a pre-vote; others who doubt it will grant.
   */
  reportUnreachable(id: number): void {
    if (this.#state === 'stopped') return
    this.#raft.reportUnreachable(id)
    this.#sender.abort(id)
    if (this.#raft.state.leader === id && this.#raft.state.role === 'follower') this.#doubt(id)
    this.#schedule()
  }

  /**
   * Appends an entry, if this node leads, and waits until the local state machine has applied it.
   *
   * @param options.timeoutMs default `defaultTimeoutMs`; after it the entry may still commit
   * @throws RaftError `NotLeader`, `ProposalDropped`, `TooLarge`, `Stopped`: not appended. `OutcomeUnknown`, `Timeout`: it may commit
   */
  async propose(
    data: Uint8Array,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<{ index: number; result: unknown }> {
    this.#mustRun()
    const { maxEntryBytes, maxPending } = this.#settings
    if (data.length > maxEntryBytes)
      throw new RaftError('TooLarge', `a proposal of ${data.length} bytes exceeds ${maxEntryBytes}`)
    if (options.signal?.aborted === true)
      throw new RaftError('ProposalDropped', 'aborted before it was proposed')
    if (this.#proposals.size >= maxPending)
      throw new RaftError('ProposalDropped', `${maxPending} proposals are waiting already`)
    const { index, term } = this.#appended(this.#raft.propose(data))
    const result = await this.#proposals.wait(
      index,
      term,
      this.#deadline(options.timeoutMs),
      options.signal,
    )
    return { index, result }
  }

  /**
   * Resolves with an index that covers every write acknowledged anywhere before the call, once it is applied here.
   *
   * @throws RaftError `Timeout` when no leader confirms, `ProposalDropped` when too many wait, `Stopped`
   */
  async readIndex(options: { timeoutMs?: number } = {}): Promise<number> {
    this.#mustRun()
    if (this.#reads.size >= this.#settings.maxPending)
      throw new RaftError(
        'ProposalDropped',
        `${this.#settings.maxPending} reads are waiting already`,
      )
    const done = this.#reads.wait(this.#deadline(options.timeoutMs))
    this.#schedule()
    return done
  }

  /** Adds a member, or updates a member's address. A new voter should come as a learner and be promoted. */
  addMember(member: Member): Promise<void> {
    return this.#change({ kind: 'add', member })
  }

  /**
   * Makes a learner a voter once it holds everything committed at the time of the call.
   *
   * @throws RaftError `Refused` with the reason when it does not catch up in time
   */
  promoteMember(id: number, options: { timeoutMs?: number } = {}): Promise<void> {
    return this.#change({ kind: 'promote', id }, async () => {
      const goal = this.#raft.state.log.committed
      const behind = (): number => goal - (this.#raft.state.progress.get(id)?.match ?? 0)
      await this.#until(
        () => this.#leads() && behind() <= 0,
        options.timeoutMs,
        () =>
          new RaftError(
            'Refused',
            `member ${id} has not caught up: ${behind()} entries are missing`,
          ),
      )
    })
  }

  /** Makes a voter a learner: the first half of a removal that can be taken back. */
  demoteMember(id: number, options: { force?: boolean } = {}): Promise<void> {
    return this.#change({ kind: 'demote', id }, () => this.#keepsQuorum(id, options.force))
  }

  /** Removes a member for good. Refuses when the voters left and in reach would be no majority, unless forced. */
  removeMember(id: number, options: { force?: boolean } = {}): Promise<void> {
    return this.#change({ kind: 'remove', id }, () => this.#keepsQuorum(id, options.force))
  }

  /**
   * Hands the leadership to `to`, or to the voter that is most up to date. Proposals are refused meanwhile.
   *
   * @throws RaftError `NotLeader`, `Refused`, `Timeout`
   */
  async transferLeadership(to?: number, options: { timeoutMs?: number } = {}): Promise<void> {
    this.#mustRun()
    if (!this.#leads()) throw this.#notLeader()
    const target = to ?? this.#heir()
    if (target === this.#settings.id) return
    if (target === undefined || !this.#raft.transferTo(target))
      throw new RaftError(
        'Refused',
        target === undefined ? 'there is no other voter in reach' : `${target} is no voter`,
      )
    this.#schedule()
    await this.#until(
      () => {
        if (this.#leads() && this.#raft.state.transferTo !== target)
          throw new RaftError('Timeout', `member ${target} did not take over`)
        return this.#raft.state.leader !== 0 && !this.#leads()
      },
      options.timeoutMs,
      () => new RaftError('Timeout', `member ${target} did not take over`),
    )
  }

  /** Campaigns now, with a pre-vote. */
  campaign(): void {
    if (this.#state === 'stopped' || this.#leads()) return
    this.#raft.campaign()
    this.#schedule()
  }

  status(): RaftStatus {
    const s = this.#raft.state
    const nowMs = this.#settings.clock.monotonic()
    const contact = (id: number): number | undefined => {
      const atMs = this.#contactMs.get(id)
      return atMs === undefined ? undefined : nowMs - atMs
    }
    const peers = [...s.progress].filter(([id]) => id !== s.id)
    return {
      id: s.id,
      term: s.term,
      role: s.role === 'follower' && !s.isVoter ? 'learner' : s.role,
      leader: s.leader === 0 ? undefined : s.leader,
      members: s.membership.members,
      firstIndex: s.log.firstIndex,
      lastIndex: s.log.lastIndex,
      commitIndex: s.log.committed,
      appliedIndex: s.log.applied,
      snapshotIndex: s.snapshot?.index ?? 0,
      pendingProposals: this.#proposals.size,
      peers: peers.map(([id, p]) => ({
        id,
        matchIndex: p.match,
        lastContactMs: contact(id),
        state: p.state,
      })),
      removed: s.removed,
    }
  }

  /** Hands over the leadership (unless told not to), writes what is left, closes the files. Waits end with an error. */
  async stop(options: { transfer?: boolean } = {}): Promise<void> {
    if (this.#state !== 'running') return
    this.#state = 'stopping'
    if (options.transfer !== false && this.#leads() && this.#heir() !== undefined)
      await this.#handOver().catch((error: unknown) => this.#settings.log?.warn(String(error)))
    this.#halt('the node is stopping')
    await this.#writer.idle()
    await this.#snapshotting
    const { wal } = this.#storage
    await wal.append({ hardState: this.#raft.state.hardState(), restart: undefined, entries: [] })
    await wal.close()
  }

  /** Ends at once, as a crash would: nothing more is written, sent or reported. */
  kill(): void {
    this.#writer.abandon()
    this.#halt('the node was killed')
  }

  // Turns

  #start(): void {
    this.#every(this.#settings.heartbeatMs / TICKS_PER_HEARTBEAT, () => this.#tick())
    this.#schedule()
  }

  #tick(): void {
    const { clock, metrics, electionTimeoutMs, heartbeatMs } = this.#settings
    const nowMs = clock.monotonic()
    const elapsedMs = nowMs - this.#lastTickMs
    this.#lastTickMs = nowMs
    metrics?.tickLag?.(Math.max(0, elapsedMs - heartbeatMs / TICKS_PER_HEARTBEAT) / 1000)
    // After a pause of ours, messages that came meanwhile get a chance before we conclude that none came.
    this.#raft.tick(Math.min(elapsedMs, electionTimeoutMs / 2))
    this.#proposals.expire(nowMs)
    this.#changes.expire(nowMs)
    this.#reads.expire(nowMs)
    this.#sender.tick(nowMs)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#state === 'stopped') return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#guard(() => this.#turn())
    })
  }

  #turn(): void {
    if (this.#state === 'stopped') return
    this.#reads.poll(this.#settings.clock.monotonic())
    let applied = 0
    for (let ready = this.#raft.ready(); ready !== undefined; ready = this.#raft.ready()) {
      this.#transmit(ready.messages)
      this.#writer.push(ready)
      for (const read of ready.reads) this.#reads.answered(read.context, read.index)
      this.#apply(ready.committed)
      applied += ready.committed.length
      if (this.#isStopped()) return
      if (applied > MAX_APPLY_PER_TURN) {
        this.#once('turn', 0, () => this.#schedule())
        break
      }
    }
    this.#leadAlone()
    this.#reads.applied(this.#raft.state.log.applied)
    this.#noteLeadership()
    this.#conditions.check(this.#settings.clock.monotonic())
    this.#maybeSnapshot()
    this.#report()
  }

  #written(ready: Ready): void {
    this.#guard(() => {
      this.#raft.written(ready.write)
      if (ready.snapshot !== undefined) {
        const { meta, data } = ready.snapshot
        this.#settings.stateMachine.restore(data, meta.index)
        this.#raft.snapshotApplied(meta)
        this.#settings.metrics?.snapshot?.('installed', data.length)
        this.#settings.log?.info('installed a snapshot', { index: meta.index, bytes: data.length })
        this.#release(meta)
      }
      this.#transmit(ready.afterWrite)
    })
    this.#schedule()
  }

  #apply(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    const startMs = this.#settings.clock.monotonic()
    const normal = entries.filter(e => e.kind === 'normal')
    const results = normal.length === 0 ? [] : this.#settings.stateMachine.apply(normal)
    const outcome = this.#raft.applied(entries)
    for (const [i, entry] of normal.entries())
      this.#proposals.applied(entry.index, entry.term, results[i])
    const last = entries.at(-1)
    if (last !== undefined && outcome !== undefined)
      this.#changes.applied(last.index, last.term, outcome)
    this.#settings.metrics?.applied?.(
      entries.length,
      (this.#settings.clock.monotonic() - startMs) / 1000,
    )
  }

  #transmit(messages: readonly Message[]): void {
    if (this.#state === 'stopped' || messages.length === 0) return
    const wire = messages.filter(m => m.type !== 'snapshot')
    for (const m of wire) this.#settings.metrics?.message?.('sent', m.type)
    if (wire.length > 0) this.#settings.send(wire)
    for (const m of messages) if (m.type === 'snapshot') this.#sender.start(m.to)
  }

  /** Waits of a leader end with its leadership: what became of the entries is for the next leader to decide. */
  #noteLeadership(): void {
    const { role, term, leader } = this.#raft.state
    const ledTerm = role === 'leader' ? term : 0
    if (ledTerm === this.#ledTerm) return
    if (this.#ledTerm !== 0) {
      const lost = (): RaftError =>
        new RaftError('OutcomeUnknown', 'leadership was lost; the entry may still commit', {
          leader,
        })
      this.#proposals.failAll(lost)
      this.#changes.failAll(lost)
      this.#sender.clear()
    }
    this.#ledTerm = ledTerm
  }

  #report(): void {
    const { onChange } = this.#settings
    const s = this.#raft.state
    const key = `${s.role} ${s.term} ${s.leader} ${s.removed}`
    if (key === this.#reported && s.membership === this.#reportedMembership) return
    this.#reported = key
    this.#reportedMembership = s.membership
    onChange?.(this.status())
  }

  // Leader changes

  /** The only voter has nobody to wait for. */
  #leadAlone(): void {
    const s = this.#raft.state
    if (s.role !== 'follower' || s.voters.length !== 1 || !s.promotable) return
    this.#raft.campaign()
    this.#schedule()
  }

  #doubt(leader: number): void {
    const { clock, random, heartbeatMs } = this.#settings
    const lostAtMs = clock.monotonic()
    // A leader that lives shows itself within a heartbeat; the rest keeps two that doubt from campaigning at once.
    this.#once('doubt', (1 + random()) * heartbeatMs, () => {
      const s = this.#raft.state
      if (
        s.leader !== leader ||
        s.role !== 'follower' ||
        (this.#contactMs.get(leader) ?? 0) > lostAtMs
      )
        return
      this.#raft.forgetLeader()
      this.campaign()
    })
  }

  #heir(): number | undefined {
    const s = this.#raft.state
    const reachable = s.voters.filter(id => id !== s.id && this.#inReach(id))
    const matchOf = (id: number): number => s.progress.get(id)?.match ?? 0
    return reachable.toSorted((a, b) => matchOf(b) - matchOf(a))[0]
  }

  async #handOver(): Promise<void> {
    const target = this.#heir()
    if (target === undefined || !this.#raft.transferTo(target)) return
    this.#schedule()
    const timeoutMs = this.#settings.electionTimeoutMs
    await this.#until(
      () => !this.#leads() || this.#raft.state.transferTo === 0,
      timeoutMs,
      () => new RaftError('Timeout', `member ${target} did not take over before the stop`),
    )
  }

  // Membership

  /** One after the other. `before` waits for, or refuses on, what only the leader knows. */
  #change(change: Change, before?: () => Promise<void> | void): Promise<void> {
    const run = async (): Promise<void> => {
      this.#mustRun()
      if (!this.#leads()) throw this.#notLeader()
      const check = applyChange(this.#raft.state.membership, change)
      if (check.refused !== undefined) throw new RaftError('Refused', check.refused)
      await before?.()
      await this.#until(
        () => !this.#leads() || this.#raft.state.log.applied >= this.#raft.state.pendingConfigIndex,
        undefined,
        () => new RaftError('Timeout', 'another change of membership is not applied yet'),
      )
      const { index, term } = this.#appended(this.#raft.proposeChange(change))
      const outcome = await this.#changes.wait(index, term, this.#deadline(undefined))
      if (outcome.refused !== undefined) throw new RaftError('Refused', outcome.refused)
    }
    const result = this.#changeQueue.then(run)
    this.#changeQueue = result.catch(() => undefined)
    return result
  }

  #keepsQuorum(id: number, force: boolean | undefined): void {
    const left = this.#raft.state.voters.filter(v => v !== id)
    const reachable = left.filter(v => this.#inReach(v)).length
    if (
      force === true ||
      left.length === this.#raft.state.voters.length ||
      reachable >= majority(left.length)
    )
      return
    throw new RaftError(
      'Refused',
      `without member ${id} only ${reachable} of ${left.length} voters are in reach, no majority; force it to go on regardless`,
    )
  }

  #inReach(id: number): boolean {
    if (id === this.#settings.id) return true
    const atMs = this.#contactMs.get(id)
    return (
      atMs !== undefined &&
      this.#settings.clock.monotonic() - atMs <= this.#settings.electionTimeoutMs
    )
  }

  // Snapshots

  #maybeSnapshot(): void {
    const { log, snapshot, membership } = this.#raft.state
    const { snapshotEntries, snapshotLogBytes } = this.#settings
    const fresh = log.applied - (snapshot?.index ?? 0)
    const due = fresh >= snapshotEntries || (log.bytes >= snapshotLogBytes && fresh > 0)
    const term = log.termAt(log.applied)
    if (!due || this.#snapshotting !== undefined || this.#state !== 'running' || term === undefined)
      return
    const meta = { index: log.applied, term, membership }
    // Captured within this turn, before anything more is applied.
    const data = this.#settings.stateMachine.snapshot()
    this.#snapshotting = this.#takeSnapshot(meta, data)
      .catch((error: unknown) => {
        this.#settings.log?.error('could not take a snapshot', { error: String(error) })
      })
      .then(() => {
        this.#snapshotting = undefined
      })
  }

  async #takeSnapshot(
    meta: SnapshotMeta,
    captured: Uint8Array | Promise<Uint8Array>,
  ): Promise<void> {
    const data = await captured
    const { maxSnapshotBytes, snapshotTailEntries, snapshotLogBytes } = this.#settings
    if (data.length > maxSnapshotBytes)
      throw new RaftError(
        'TooLarge',
        `a snapshot of ${data.length} bytes exceeds ${maxSnapshotBytes}`,
      )
    if (this.#isStopped()) return
    await this.#storage.store.save({ meta, data })
    if (this.#isStopped()) return
    this.#raft.compact(meta, snapshotTailEntries, snapshotLogBytes / 4)
    this.#settings.metrics?.snapshot?.('taken', data.length)
    this.#release(meta)
  }

  #release(meta: SnapshotMeta): void {
    this.#storage.wal.release(meta.index).catch((error: unknown) => this.#fatal(error))
  }

  async #loadSnapshot(): Promise<{ index: number; bytes: Uint8Array }> {
    const snapshot = await this.#storage.store.load()
    if (snapshot === undefined) throw new RaftError('Refused', 'there is no snapshot')
    return { index: snapshot.meta.index, bytes: encodeSnapshot(snapshot) }
  }

  #onChunk(m: SnapshotChunk): void {
    const s = this.#raft.state
    if (m.term !== s.term || m.from !== s.leader) return
    const answer = m.index <= s.log.committed ? { offset: m.total } : this.#receiver.accept(m)
    if (answer === undefined) return
    const { id: from } = this.#settings
    this.#transmit([
      {
        type: 'snapshotChunkResponse',
        from,
        to: m.from,
        term: s.term,
        index: m.index,
        offset: answer.offset,
      },
    ])
    if (!('complete' in answer) || answer.complete === undefined) return
    const snapshot = decodeSnapshot(answer.complete)
    this.#raft.step({ type: 'snapshot', from: m.from, to: from, term: m.term, snapshot })
  }

  // Small things

  #appended(outcome: ProposeOutcome): { index: number; term: number } {
    if ('index' in outcome) {
      this.#schedule()
      return outcome
    }
    switch (outcome.refused) {
      case 'notLeader':
        throw this.#notLeader()
      case 'transferring':
        throw new RaftError('ProposalDropped', 'the leadership is being handed over; try again')
      case 'full':
        throw new RaftError('ProposalDropped', 'too much waits to be committed; try again later')
      case 'pending':
        throw new RaftError('Refused', 'another change of membership is not applied yet')
    }
  }

  #leads(): boolean {
    return this.#raft.state.role === 'leader'
  }

  #notLeader(): RaftError {
    const { leader } = this.#raft.state
    const where = leader === 0 ? 'there is none at present' : `member ${leader} is`
    return new RaftError(
      'NotLeader',
      `this member is not the leader, ${where}`,
      leader === 0 ? {} : { leader },
    )
  }

  /** A call, since the state changes behind an await or a callback. */
  #isStopped(): boolean {
    return this.#state === 'stopped'
  }

  #mustRun(): void {
    if (this.#state !== 'running') throw new RaftError('Stopped', 'the raft node is stopped')
  }

  #deadline(timeoutMs: number | undefined): number {
    return this.#settings.clock.monotonic() + (timeoutMs ?? this.#settings.defaultTimeoutMs)
  }

  #until(test: () => boolean, timeoutMs: number | undefined, late: () => RaftError): Promise<void> {
    const done = this.#conditions.wait(test, this.#deadline(timeoutMs), late)
    this.#schedule()
    return done
  }

  #once(name: string, delayMs: number, fn: () => void): void {
    this.#cancels.get(name)?.()
    const cancel = this.#settings.clock.after(delayMs, () => {
      this.#cancels.delete(name)
      this.#guard(fn)
    })
    this.#cancels.set(name, cancel)
  }

  #every(intervalMs: number, fn: () => void): void {
    this.#once('tick', intervalMs, () => {
      this.#every(intervalMs, fn)
      fn()
    })
  }

  /** Whatever throws in here broke a promise of the core or of the state machine. */
  #guard(fn: () => void): void {
    try {
      fn()
    } catch (error) {
      this.#fatal(error)
    }
  }

  #fatal(error: unknown): void {
    if (this.#state === 'stopped') return
    const cause = error instanceof Error ? error : new Error(String(error))
    this.#settings.log?.error('raft cannot go on', { error: cause.message })
    this.kill()
    this.#settings.onFatal(cause)
  }

  #halt(reason: string): void {
    this.#state = 'stopped'
    for (const cancel of this.#cancels.values()) cancel()
    this.#cancels.clear()
    this.#sender.clear()
    const unknown = (): RaftError =>
      new RaftError('OutcomeUnknown', `${reason}; the entry may still commit`)
    const stopped = (): RaftError => new RaftError('Stopped', reason)
    this.#proposals.failAll(unknown)
    this.#changes.failAll(unknown)
    this.#reads.failAll(stopped)
    this.#conditions.failAll(stopped)
  }
}
