import type { Raft } from '../core/raft.ts'
import { RaftError } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { SnapshotMeta } from '../types.ts'
import type { SnapshotStore } from '../wal/snapshot-store.ts'
import type { Wal } from '../wal/wal.ts'
import type { Loop } from './loop.ts'

/** After a failure, in election timeouts: the first wait, doubled with each further failure, and the longest. */
const FIRST_BACKOFF = 1
const MAX_BACKOFF = 64

/** Takes snapshots of our own state machine when the log has grown, and forgets what they cover. */
export class OwnSnapshots {
  readonly #settings: Settings
  readonly #raft: Raft
  readonly #loop: Loop
  readonly #store: SnapshotStore
  readonly #wal: Wal
  readonly #failed: (error: unknown) => void
  #running: Promise<void> | undefined
  #failures = 0
  #notBeforeMs = 0

  constructor(
    settings: Settings,
    raft: Raft,
    loop: Loop,
    storage: { store: SnapshotStore; wal: Wal },
    failed: (error: unknown) => void,
  ) {
    this.#settings = settings
    this.#raft = raft
    this.#loop = loop
    this.#store = storage.store
    this.#wal = storage.wal
    this.#failed = failed
  }

  /** Resolves when no snapshot is being taken. */
  async idle(): Promise<void> {
    await this.#running
  }

  takeWhenDue(): void {
    const { log, membership } = this.#raft.state
    const term = log.termAt(log.applied)
    if (this.#running !== undefined || this.#loop.state !== 'running') return
    if (!this.#isDue() || term === undefined || this.#loop.nowMs < this.#notBeforeMs) return
    const meta = { index: log.applied, term, membership }
    // Captured within this turn, before anything more is applied.
    const data = this.#settings.stateMachine.snapshot()
    this.#running = this.#take(meta, data)
      .then(
        () => {
          this.#failures = 0
        },
        (error: unknown) => {
          if (error instanceof RaftError && error.code === 'DiskFailed') this.#failed(error)
          else this.#backOff(error)
        },
      )
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Drops log files that hold nothing beyond the snapshot. */
  release(meta: SnapshotMeta): void {
    this.#wal.release(meta.index).catch((error: unknown) => this.#failed(error))
  }

  #isDue(): boolean {
    const { log, snapshot } = this.#raft.state
    const { snapshotEntries, snapshotLogBytes } = this.#settings
    const fresh = log.applied - (snapshot?.index ?? 0)
    return fresh >= snapshotEntries || (log.bytes >= snapshotLogBytes && fresh > 0)
  }

  /** The log goes on growing meanwhile, which is the lesser evil than encoding the whole state at every turn. */
  #backOff(error: unknown): void {
    const { electionTimeoutMs, log } = this.#settings
    const factor = Math.min(FIRST_BACKOFF * 2 ** this.#failures++, MAX_BACKOFF)
    const retryMs = factor * electionTimeoutMs
    this.#notBeforeMs = this.#loop.nowMs + retryMs
    log?.error('could not take a snapshot; the log grows until one succeeds', {
      error: String(error),
      failures: this.#failures,
      retryMs,
    })
  }

  async #take(meta: SnapshotMeta, captured: Uint8Array | Promise<Uint8Array>): Promise<void> {
    const data = await captured
    const { maxSnapshotBytes, snapshotTailEntries, snapshotLogBytes } = this.#settings
    if (data.length > maxSnapshotBytes)
      throw new RaftError(
        'TooLarge',
        `a snapshot of ${data.length} bytes exceeds ${maxSnapshotBytes}`,
      )
    if (this.#loop.isStopped()) return
    await this.#store.save({ meta, data })
    if (this.#loop.isStopped()) return
    this.#raft.compact(meta, snapshotTailEntries, snapshotLogBytes / 4)
    this.#settings.metrics?.snapshot?.('taken', data.length)
    this.release(meta)
  }
}
