import type { Entry } from '../types.ts'
import { entryBytes } from '../types.ts'

/** What may be in flight to one follower: appends, and bytes of their entries. */
export interface WindowLimits {
  readonly maxInflight: number
  readonly maxInflightBytes: number
}

/** Appends sent and not yet answered, oldest first; bounded by count and by bytes. */
class Inflights {
  readonly #limits: WindowLimits
  #queue: { lastIndex: number; bytes: number }[] = []
  #bytes = 0

  constructor(limits: WindowLimits) {
    this.#limits = limits
  }

  get count(): number {
    return this.#queue.length
  }

  get full(): boolean {
    return (
      this.#queue.length >= this.#limits.maxInflight || this.#bytes >= this.#limits.maxInflightBytes
    )
  }

  add(lastIndex: number, bytes: number): void {
    this.#queue.push({ lastIndex, bytes })
    this.#bytes += bytes
  }

  freeThrough(index: number): void {
    let free = 0
    for (const { lastIndex, bytes } of this.#queue) {
      if (lastIndex > index) break
      this.#bytes -= bytes
      free++
    }
    if (free > 0) this.#queue.splice(0, free)
  }

  reset(): void {
    this.#queue = []
    this.#bytes = 0
  }
}

/** See `Progress`. */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/**
 * What a leader knows of one member's log, after etcd-raft's tracker.
 *
 * `probe`: where the logs agree is unknown, so one append per answer or heartbeat.
 * `replicate`: appends are sent ahead of the answers, as far as the window allows.
 * `snapshot`: a snapshot is on its way, nothing else is sent.
 */
export class Progress {
  match = 0
  next: number
  state: ProgressState = 'probe'
  /** A probe is out; wait for its answer or for the next heartbeat's. */
  paused = false
  /** Send one append even if there is nothing new or the window is full: its answer tells what was lost. */
  nudged = false
  /** Heard from since the last check of the quorum. */
  active = false
  /** The highest commit index this member was told of. */
  sentCommit = 0
  snapshotIndex = 0
  readonly #inflights: Inflights

  constructor(next: number, limits: WindowLimits) {
    this.next = next
    this.#inflights = new Inflights(limits)
  }

  get inflight(): number {
    return this.#inflights.count
  }

  canSend(): boolean {
    if (this.state === 'probe') return !this.paused
    if (this.state === 'snapshot') return false
    return !this.#inflights.full
  }

  becomeProbe(): void {
    this.next = Math.max(this.match, this.state === 'snapshot' ? this.snapshotIndex : 0) + 1
    this.#enter('probe')
  }

  becomeReplicate(): void {
    this.#enter('replicate')
    this.next = this.match + 1
  }

  becomeSnapshot(index: number): void {
    this.#enter('snapshot')
    this.snapshotIndex = index
  }

  /** Undelivered: look for the agreement from where it was known before. */
  snapshotSent(delivered: boolean): void {
    if (!delivered) this.snapshotIndex = 0
    this.becomeProbe()
    this.paused = true
  }

  sent(entries: readonly Entry[], commit: number): void {
    this.sentCommit = commit
    this.nudged = false
    if (this.state === 'probe') this.paused = true
    const last = entries.at(-1)
    if (this.state !== 'replicate' || last === undefined) return
    this.next = last.index + 1
    let bytes = 0
    for (const entry of entries) bytes += entryBytes(entry)
    this.#inflights.add(last.index, bytes)
  }

  /** @returns whether the answer told anything new */
  acknowledge(index: number): boolean {
    this.#inflights.freeThrough(index)
    if (index + 1 > this.next) this.next = index + 1
    if (index <= this.match) return false
    this.match = index
    this.paused = false
    return true
  }

  /**
   * The member refused an append after `rejected`; its log may agree at `hint`.
   *
   * @returns false when the refusal is an old one and must be ignored
   */
  reject(rejected: number, hint: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false
      this.becomeProbe()
      return true
    }
    if (this.next - 1 !== rejected) return false
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1)
    this.paused = false
    return true
  }

  #enter(state: ProgressState): void {
    this.state = state
    this.paused = false
    this.sentCommit = 0
    this.#inflights.reset()
  }
}
