import type { Ready } from '../core/raft.ts'
import type { Entry } from '../types.ts'
import type { SnapshotStore } from '../wal/snapshot-store.ts'
import type { Wal } from '../wal/wal.ts'

/** One sync covers at most this much, so that a long queue does not make one huge record. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024

/**
 * Makes `Ready`s durable in their order. What gathers while the disk is busy shares the next record and its sync.
 */
export class Writer {
  readonly #wal: Wal
  readonly #store: SnapshotStore
  readonly #done: (ready: Ready) => void
  readonly #failed: (error: unknown) => void
  #queue: Ready[] = []
  #running: Promise<void> | undefined
  #dead = false

  constructor(
    wal: Wal,
    store: SnapshotStore,
    done: (ready: Ready) => void,
    failed: (error: unknown) => void,
  ) {
    this.#wal = wal
    this.#store = store
    this.#done = done
    this.#failed = failed
  }

  /** What needs no disk and waits for none is done before this returns. */
  push(ready: Ready): void {
    if (this.#dead) return
    if (!ready.mustSync && this.#running === undefined) {
      this.#done(ready)
      return
    }
    this.#queue.push(ready)
    this.#running ??= this.#run()
  }

  /** Resolves when everything pushed is durable, or the disk has failed. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** Nothing more is reported. A write under way may still reach the disk. */
  abandon(): void {
    this.#dead = true
    this.#queue = []
    this.#wal.abandon()
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#dead) await this.#group()
    } catch (error) {
      if (!this.#dead) {
        this.abandon()
        this.#failed(error)
      }
    } finally {
      this.#running = undefined
    }
  }

  async #group(): Promise<void> {
    const group = takeGroup(this.#queue)
    const last = group.at(-1) as Ready
    const snapshot = group[0]?.snapshot
    if (snapshot !== undefined) await this.#store.save(snapshot)
    if (group.some(r => r.mustSync))
      await this.#wal.append({
        hardState: last.hardState,
        restart: snapshot && { index: snapshot.meta.index, term: snapshot.meta.term },
        entries: mergeEntries(group),
      })
    for (const ready of group) if (!this.#dead) this.#done(ready)
  }
}

/** A snapshot opens a group of its own: it replaces the log that earlier writes belong to. */
function takeGroup(queue: Ready[]): Ready[] {
  let bytes = 0
  let count = 0
  for (const ready of queue) {
    if (count > 0 && ready.snapshot !== undefined) break
    for (const entry of ready.entries) bytes += entry.data.length
    if (count > 0 && bytes > MAX_GROUP_BYTES) break
    count++
  }
  return queue.splice(0, count)
}

/** Later entries replace earlier ones from their first index on. */
function mergeEntries(group: readonly Ready[]): readonly Entry[] {
  if (group.length === 1) return (group[0] as Ready).entries
  const merged: Entry[] = []
  for (const { entries } of group) {
    const first = entries[0]
    const start = merged[0]
    if (first === undefined) continue
    if (start !== undefined) merged.length = Math.max(0, first.index - start.index)
    for (const entry of entries) merged.push(entry)
  }
  return merged
}
