import { createHash, type Hash } from 'node:crypto'
import type { SnapshotChunk, SnapshotChunkResponse } from '../types.ts'

interface Transfer {
  readonly index: number
  readonly bytes: Uint8Array
  acked: number
  sent: number
  progressMs: number
  /** Of the first `hashed` bytes: taken along the way, since a big snapshot at once would hold everybody up. */
  readonly hash: Hash
  hashed: number
  digest: Uint8Array | undefined
}

const WINDOW_CHUNKS = 4
/** Retries without any progress before a transfer is given up. */
const MAX_SILENT_RETRIES = 10

/** Sizes in bytes, times in milliseconds. */
export interface SnapshotSenderDeps {
  readonly chunkBytes: number
  readonly retryMs: number
  /** The newest snapshot as it travels; rejects when it has just been replaced. */
  load(): Promise<{ index: number; bytes: Uint8Array }>
  send(chunk: Omit<SnapshotChunk, 'from' | 'term'>): void
  finished(to: number, delivered: boolean): void
  nowMs(): number
}

/** Sends snapshots in chunks, a few in flight; goes on after a loss from the last byte the receiver holds. */
export class SnapshotSender {
  readonly #deps: SnapshotSenderDeps
  #transfers = new Map<number, Transfer | 'loading'>()
  #generation = 0

  constructor(deps: SnapshotSenderDeps) {
    this.#deps = deps
  }

  start(to: number): void {
    if (this.#transfers.has(to)) return
    this.#transfers.set(to, 'loading')
    const generation = this.#generation
    this.#deps.load().then(
      ({ index, bytes }) => {
        if (generation !== this.#generation || this.#transfers.get(to) !== 'loading') return
        const transfer = newTransfer(index, bytes, this.#deps.nowMs())
        this.#transfers.set(to, transfer)
        this.#fill(to, transfer)
      },
      () => {
        if (generation === this.#generation) this.abort(to)
      },
    )
  }

  onResponse(m: SnapshotChunkResponse): void {
    const transfer = this.#transfers.get(m.from)
    if (transfer === undefined || transfer === 'loading' || transfer.index !== m.index) return
    if (m.offset > transfer.bytes.length) return
    // It has lost, or refused, what it held. The core will ask for the snapshot again, which is read anew then.
    if (m.offset === 0 && transfer.acked > 0) {
      this.abort(m.from)
      return
    }
    if (m.offset > transfer.acked) {
      transfer.acked = m.offset
      transfer.progressMs = this.#deps.nowMs()
    }
    if (transfer.acked >= transfer.bytes.length) {
      this.#transfers.delete(m.from)
      this.#deps.finished(m.from, true)
    } else this.#fill(m.from, transfer)
  }

  tick(nowMs: number): void {
    for (const [to, transfer] of this.#transfers) {
      if (transfer === 'loading') continue
      const silentMs = nowMs - transfer.progressMs
      if (silentMs < this.#deps.retryMs) continue
      if (silentMs > this.#deps.retryMs * MAX_SILENT_RETRIES) this.abort(to)
      else if (transfer.sent > transfer.acked) {
        transfer.sent = transfer.acked
        this.#fill(to, transfer)
      }
    }
  }

  abort(to: number): void {
    if (this.#transfers.delete(to)) this.#deps.finished(to, false)
  }

  /** We lead no longer: nobody waits for a report. */
  clear(): void {
    this.#generation++
    this.#transfers.clear()
  }

  #fill(to: number, transfer: Transfer): void {
    const { chunkBytes } = this.#deps
    const { index, bytes } = transfer
    const limit = Math.min(bytes.length, transfer.acked + WINDOW_CHUNKS * chunkBytes)
    transfer.sent = Math.max(transfer.sent, transfer.acked)
    while (transfer.sent < limit) {
      const data = bytes.subarray(transfer.sent, Math.min(transfer.sent + chunkBytes, limit))
      const end = transfer.sent + data.length
      this.#deps.send({
        type: 'snapshotChunk',
        to,
        index,
        offset: transfer.sent,
        total: bytes.length,
        data,
        ...(end === bytes.length && { hash: digestOf(transfer) }),
      })
      hashTo(transfer, end)
      transfer.sent = end
    }
  }
}

function newTransfer(index: number, bytes: Uint8Array, progressMs: number): Transfer {
  const hash = createHash('sha256')
  return { index, bytes, acked: 0, sent: 0, progressMs, hash, hashed: 0, digest: undefined }
}

function hashTo(transfer: Transfer, end: number): void {
  if (end <= transfer.hashed) return
  transfer.hash.update(transfer.bytes.subarray(transfer.hashed, end))
  transfer.hashed = end
}

function digestOf(transfer: Transfer): Uint8Array {
  hashTo(transfer, transfer.bytes.length)
  transfer.digest ??= new Uint8Array(transfer.hash.digest())
  return transfer.digest
}
