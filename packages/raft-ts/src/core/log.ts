import { invariant } from '../errors.ts'
import type { Entry } from '../types.ts'
import { entryBytes } from '../types.ts'

/**
 * The log in memory: everything after the compaction point.
 *
 *     base ≤ applied ≤ min(committed, stable) and stable ≤ written ≤ lastIndex
 *
 * `written` was handed to the storage, `stable` is known to be durable. Storage answers in the order it was asked, so an
 * answer is named by the number of its write; a truncation lowers what older writes can vouch for. That closes the
 * hole of an overwritten entry being taken for its successor with the same index.
 */
export class RaftLog {
  committed: number
  applied: number
  #base: { readonly index: number; readonly term: number }
  #entries: Entry[]
  #bytes = 0
  #written: number
  #stable: number
  #handedOut: number
  /** Of entries handed out to be applied that are not applied yet. */
  #unappliedBytes = 0
  #writes: { readonly number: number; last: number }[] = []

  constructor(base: { index: number; term: number }, entries: readonly Entry[], committed: number) {
    this.#base = base
    this.#entries = [...entries]
    for (const entry of entries) this.#bytes += entryBytes(entry)
    this.applied = base.index
    this.#handedOut = base.index
    this.committed = Math.max(committed, base.index)
    this.#written = this.lastIndex
    this.#stable = this.lastIndex
    invariant(
      this.committed <= this.lastIndex,
      `commit index ${committed} beyond the log's end ${this.lastIndex}`,
    )
  }

  get firstIndex(): number {
    return this.#base.index + 1
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#base.term
  }

  get stable(): number {
    return this.#stable
  }

  /** Memory held by entries, committed or not. */
  get bytes(): number {
    return this.#bytes
  }

  /** @returns the term at `index`, undefined when compacted away or beyond the end */
  termAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term
    return this.#entries[index - this.firstIndex]?.term
  }

  entryAt(index: number): Entry | undefined {
    return this.#entries[index - this.firstIndex]
  }

  /** Entries from `from` on, at least one if there is one, then as many as `maxBytes` and `maxCount` allow. */
  slice(from: number, to: number, maxBytes: number, maxCount = Number.POSITIVE_INFINITY): Entry[] {
    const out: Entry[] = []
    let bytes = 0
    for (let index = from; index <= to && out.length < maxCount; index++) {
      const entry = this.entryAt(index)
      if (entry === undefined) break
      bytes += entryBytes(entry)
      if (out.length > 0 && bytes > maxBytes) break
      out.push(entry)
    }
    return out
  }

  /** raft.pdf §5.4.1: the later last term wins, then the longer log. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /** Appends behind the end, or over a conflicting end. Committed entries are never overwritten. */
  append(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    invariant(first.index > this.committed, `entry ${first.index} would overwrite a committed one`)
    invariant(
      first.index <= this.lastIndex + 1,
      `entry ${first.index} leaves a gap after ${this.lastIndex}`,
    )
    if (first.index <= this.lastIndex) this.#truncateFrom(first.index)
    for (const entry of entries) {
      this.#entries.push(entry)
      this.#bytes += entryBytes(entry)
    }
  }

  /**
   * raft.pdf §5.3: accepts entries that follow `prevIndex`/`prevTerm`; skips those already present, overwrites from the
   * first conflict on.
   *
   * @returns the last index that now matches the sender's log, undefined when the logs do not meet
   */
  appendAfter(prevIndex: number, prevTerm: number, entries: readonly Entry[]): number | undefined {
    if (this.termAt(prevIndex) !== prevTerm) return undefined
    const fresh = entries.findIndex(
      e => e.index >= this.firstIndex && this.termAt(e.index) !== e.term,
    )
    if (fresh >= 0) this.append(entries.slice(fresh))
    return prevIndex + entries.length
  }

  /**
   * The largest index up to `index` whose term is not above `term`: where the logs may agree at best. Both ends use it,
   * so a round trip skips a whole term.
   *
   * @returns term 0 when that place is compacted away
   */
  conflictBefore(index: number, term: number): { index: number; term: number } {
    let at = Math.min(index, this.lastIndex)
    for (; at > 0; at--) {
      const here = this.termAt(at)
      if (here === undefined) return { index: at, term: 0 }
      if (here <= term) return { index: at, term: here }
    }
    return { index: 0, term: 0 }
  }

  commitTo(index: number): boolean {
    if (index <= this.committed) return false
    invariant(
      index <= this.lastIndex,
      `commit index ${index} beyond the log's end ${this.lastIndex}`,
    )
    this.committed = index
    return true
  }

  hasUnwritten(): boolean {
    return this.#written < this.lastIndex
  }

  /** Hands what is not yet on its way to the storage to write `number`. */
  takeUnwritten(number: number): Entry[] {
    const entries = this.#entries.slice(this.#written + 1 - this.firstIndex)
    this.#written = this.lastIndex
    if (entries.length > 0) this.#writes.push({ number, last: this.lastIndex })
    return entries
  }

  /** Write `number` and all before it are durable. */
  writeDone(number: number): void {
    while (this.#writes[0] !== undefined && this.#writes[0].number <= number) {
      this.#stable = Math.max(this.#stable, this.#writes[0].last)
      this.#writes.shift()
    }
  }

  /** @param maxUnappliedBytes nothing more is handed out while so much is still being applied */
  hasCommitted(maxUnappliedBytes = Number.POSITIVE_INFINITY): boolean {
    return (
      this.#unappliedBytes < maxUnappliedBytes &&
      this.applied >= this.#base.index &&
      this.#handedOut < Math.min(this.committed, this.#stable)
    )
  }

  /** The next entries to apply. Ends with a config entry if there is one, so that it takes effect before what follows. */
  takeCommitted(maxBytes: number, maxCount: number): Entry[] {
    const to = Math.min(this.committed, this.#stable)
    const entries = this.slice(this.#handedOut + 1, to, maxBytes, maxCount)
    const config = entries.findIndex(e => e.kind === 'config')
    if (config >= 0) entries.length = config + 1
    this.#handedOut += entries.length
    for (const entry of entries) this.#unappliedBytes += entryBytes(entry)
    return entries
  }

  appliedTo(index: number): void {
    invariant(index >= this.applied && index <= this.#handedOut, `applied ${index} out of order`)
    for (let at = Math.max(this.applied + 1, this.firstIndex); at <= index; at++)
      this.#unappliedBytes -= entryBytes(this.entryAt(at) as Entry)
    this.applied = index
  }

  hasUnappliedConfig(): boolean {
    const from = Math.max(this.applied + 1, this.firstIndex)
    for (let index = from; index <= this.committed; index++)
      if (this.entryAt(index)?.kind === 'config') return true
    return false
  }

  /** The index before the longest tail, ending at `index`, within both limits. */
  tailBefore(index: number, maxEntries: number, maxBytes: number): number {
    let bytes = 0
    let at = index
    for (; at >= this.firstIndex && index - at < maxEntries; at--) {
      bytes += entryBytes(this.entryAt(at) as Entry)
      if (bytes > maxBytes) break
    }
    return at
  }

  /** Forgets entries up to `index`, which a snapshot covers. */
  compact(index: number): void {
    const term = this.termAt(index)
    if (index <= this.#base.index || term === undefined) return
    invariant(index <= this.applied, `compaction of unapplied entry ${index}`)
    const dropped = this.#entries.slice(0, index - this.#base.index)
    for (const entry of dropped) this.#bytes -= entryBytes(entry)
    this.#entries = this.#entries.slice(dropped.length)
    this.#base = { index, term }
  }

  /** Replaces the whole log by a snapshot, which counts as stable once its own write is done. */
  restore(index: number, term: number, number: number): void {
    this.#base = { index, term }
    this.#entries = []
    this.#bytes = 0
    this.committed = index
    this.#written = index
    this.#handedOut = index
    this.#unappliedBytes = 0
    this.#stable = 0
    this.#writes = [{ number, last: index }]
  }

  #truncateFrom(index: number): void {
    for (const entry of this.#entries.slice(index - this.firstIndex))
      this.#bytes -= entryBytes(entry)
    this.#entries.length = index - this.firstIndex
    this.#written = Math.min(this.#written, index - 1)
    this.#stable = Math.min(this.#stable, index - 1)
    for (const write of this.#writes) write.last = Math.min(write.last, index - 1)
  }
}
