// One core with a disk that keeps what was written, and loses with a crash what was not.
import { RaftLog } from '../../src/core/log.ts'
import { Raft, type Ready } from '../../src/core/raft.ts'
import type { CoreConfig } from '../../src/core/state.ts'
import type { Entry, HardState, Membership, Message, SnapshotMeta } from '../../src/types.ts'
import { entryText, membershipText, readyText, roleText } from './format.ts'

export type Settings = Omit<CoreConfig, 'id' | 'random'>

interface Disk {
  hardState: HardState
  /** What the log follows on: a snapshot, or nothing but the members that were there from the start. */
  base: SnapshotMeta
  entries: readonly Entry[]
}

export class Member {
  readonly id: number
  raft: Raft
  up = true
  /** Writes wait for `finishWrite`. */
  slowDisk = false
  /** What was committed waits for `applyNext`. */
  slowApply = false
  /** What `random` gives the core: where in the range of election timeouts it falls. */
  chance: number
  readonly #settings: Settings
  readonly #say: (line: string) => void
  readonly #post: (m: Message) => void
  readonly #onApply: (entry: Entry) => void
  readonly #disk: Disk
  #writes: Ready[] = []
  #toApply: (readonly Entry[])[] = []
  #handed: HardState
  #role = ''
  #members = ''
  #history: { index: number; membership: Membership }[] = []

  constructor(
    id: number,
    settings: Settings,
    start: Disk,
    out: {
      say: (line: string) => void
      post: (m: Message) => void
      onApply: (entry: Entry) => void
    },
  ) {
    this.id = id
    // Just below round numbers, so that a timeout of 110 ms has passed after eleven ticks of 10 ms.
    this.chance = (id % 10) / 10 - 0.01
    this.#settings = settings
    this.#say = out.say
    this.#post = out.post
    this.#onApply = out.onApply
    this.#disk = start
    this.#handed = start.hardState
    this.raft = this.#boot()
  }

  /** Takes all that the core has to give: writes, messages, entries to apply. */
  ready(): boolean {
    let any = false
    for (let ready = this.raft.ready(); ready !== undefined; ready = this.raft.ready()) {
      any = true
      this.#say(readyText(this.id, ready, this.#handed, this.slowDisk))
      this.#handed = ready.hardState
      for (const m of ready.messages) this.#post(m)
      for (const read of ready.reads) this.#say(`  read ${read.context} at ${read.index}`)
      if (ready.committed.length > 0) this.#toApply.push(ready.committed)
      if (!this.slowApply) while (this.applyNext());
      this.#writes.push(ready)
      if (!this.slowDisk) while (this.finishWrite());
      this.#passOn()
    }
    return any
  }

  /** The oldest write is durable now. @returns false when there is none */
  finishWrite(): boolean {
    const ready = this.#writes.shift()
    if (ready === undefined) return false
    if (ready.mustSync) {
      if (this.slowDisk) this.#say(`${this.id} write #${ready.write} done`)
      this.#disk.hardState = ready.hardState
      if (ready.snapshot !== undefined) {
        this.#disk.base = ready.snapshot.meta
        this.#disk.entries = []
      }
      const first = ready.entries[0]?.index ?? Number.POSITIVE_INFINITY
      this.#disk.entries = [...this.#disk.entries.filter(e => e.index < first), ...ready.entries]
    }
    this.raft.written(ready.write)
    if (ready.snapshot !== undefined) {
      this.raft.snapshotApplied(ready.snapshot.meta)
      this.#remember(ready.snapshot.meta.index)
    }
    for (const m of ready.afterWrite) this.#post(m)
    this.observe()
    this.#passOn()
    return true
  }

  /** What has nothing to make durable waits only for the writes before it. */
  #passOn(): void {
    if (this.#writes[0]?.mustSync === false) this.finishWrite()
  }

  /** @returns false when nothing waits to be applied */
  applyNext(): boolean {
    const entries = this.#toApply.shift()
    if (entries === undefined) return false
    for (const entry of entries) this.#onApply(entry)
    this.#say(
      `${this.slowApply ? `${this.id} applies` : '  apply'} ${entries.map(entryText).join(', ')}`,
    )
    const outcome = this.raft.applied(entries)
    if (outcome?.refused !== undefined) this.#say(`  refused: ${outcome.refused}`)
    this.#remember(this.raft.state.log.applied)
    this.observe()
    return true
  }

  step(m: Message): void {
    this.raft.step(m)
    this.observe()
  }

  /** Power fails: what was not written is gone, and so is what would have left after it. */
  crash(): void {
    this.up = false
    this.#writes = []
    this.#toApply = []
  }

  restart(): void {
    this.crash()
    this.up = true
    this.raft = this.#boot()
  }

  /** Takes a snapshot of our own at an applied index, and keeps `tail` entries before it. */
  compact(index: number, tail: number): void {
    const { log } = this.raft.state
    const term = log.termAt(index)
    const known = this.#history.findLast(h => h.index <= index)
    if (term === undefined || known === undefined || index > log.applied)
      throw new Error(`${this.id} has not applied ${index}`)
    const meta = { index, term, membership: known.membership }
    this.#disk.base = meta
    this.#disk.entries = this.#disk.entries.filter(e => e.index > index)
    this.raft.compact(meta, tail, Number.POSITIVE_INFINITY)
  }

  /** Says what became different: role, term, leader, members. */
  observe(): void {
    const s = this.raft.state
    const role = roleText(s)
    const members = membershipText(s.membership)
    if (members !== this.#members) this.#say(`${this.id} has ${members}`)
    if (role !== this.#role) this.#say(`${this.id} is ${role}`)
    this.#role = role
    this.#members = members
  }

  #boot(): Raft {
    const { base, entries, hardState } = this.#disk
    const raft = new Raft(
      { ...this.#settings, id: this.id, random: () => this.chance },
      {
        log: new RaftLog(base, entries, hardState.commit),
        hardState,
        membership: base.membership,
        ...(base.index > 0 ? { snapshot: base } : {}),
      },
    )
    this.#handed = { ...hardState, commit: raft.state.log.committed }
    this.#role = roleText(raft.state)
    this.#members = membershipText(raft.state.membership)
    this.#history = [{ index: base.index, membership: base.membership }]
    return raft
  }

  #remember(index: number): void {
    this.#history.push({ index, membership: this.raft.state.membership })
  }
}
