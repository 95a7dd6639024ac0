import { createHash, type Hash } from 'node:crypto'
import type { SnapshotChunk } from '../types.ts'

/** What to answer to a chunk, and what has become of the snapshot. */
export interface Accepted {
  /** How many bytes are here without a gap. */
  readonly offset: number
  /** All of them, when they are complete and what was sent. */
  readonly complete?: Uint8Array
  /** They are complete and not what was sent; all are thrown away. */
  readonly refused?: string
}

/** Puts one snapshot together at a time. Memory grows with what has come, not with what was announced. */
export class SnapshotReceiver {
  readonly #maxBytes: number
  #from = 0
  #index = 0
  #total = 0
  #received = 0
  #chunks: Uint8Array[] = []
  #hash: Hash = createHash('sha256')

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @returns undefined to stay silent */
  accept(m: SnapshotChunk): Accepted | undefined {
    if (m.total > this.#maxBytes || m.offset + m.data.length > m.total || m.data.length === 0)
      return undefined
    if (m.from !== this.#from || m.index !== this.#index || m.total !== this.#total) {
      // Another snapshot begins at its beginning only; stragglers of an older one must not throw this one away.
      if (m.offset !== 0) return { offset: 0 }
      this.reset()
      this.#from = m.from
      this.#index = m.index
      this.#total = m.total
    }
    if (m.offset !== this.#received) return { offset: this.#received }
    this.#chunks.push(m.data)
    this.#received += m.data.length
    this.#hash.update(m.data)
    return this.#received < this.#total ? { offset: this.#received } : this.#completed(m)
  }

  reset(): void {
    this.#from = 0
    this.#index = 0
    this.#total = 0
    this.#received = 0
    this.#chunks = []
    this.#hash = createHash('sha256')
  }

  #completed({ from, index, total, hash }: SnapshotChunk): Accepted {
    const found = this.#hash.digest()
    const complete = new Uint8Array(total)
    let at = 0
    for (const chunk of this.#chunks) {
      complete.set(chunk, at)
      at += chunk.length
    }
    this.reset()
    if (hash !== undefined && found.equals(hash)) return { offset: total, complete }
    const sent = hash === undefined ? 'none' : Buffer.from(hash).toString('hex')
    return {
      offset: 0,
      refused: `the snapshot of entry ${index} from ${from} has hash ${found.toString('hex')}, it was sent with ${sent}; it is asked for again`,
    }
  }
}
