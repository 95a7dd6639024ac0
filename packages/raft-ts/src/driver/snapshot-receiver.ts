import type { SnapshotChunk } from '../types.ts'

/** Puts one snapshot together at a time. Memory grows with what has come, not with what was announced. */
export class SnapshotReceiver {
  readonly #maxBytes: number
  #from = 0
  #index = 0
  #total = 0
  #received = 0
  #chunks: Uint8Array[] = []

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @returns how many bytes are here without a gap, and all of them when they are complete; undefined to stay silent */
  accept(m: SnapshotChunk): { offset: number; complete?: Uint8Array } | undefined {
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
    if (m.offset === this.#received) {
      this.#chunks.push(m.data)
      this.#received += m.data.length
    }
    if (this.#received < this.#total) return { offset: this.#received }
    const complete = new Uint8Array(this.#total)
    let at = 0
    for (const chunk of this.#chunks) {
      complete.set(chunk, at)
      at += chunk.length
    }
    this.reset()
    return { offset: m.total, complete }
  }

  reset(): void {
    this.#from = 0
    this.#index = 0
    this.#total = 0
    this.#received = 0
    this.#chunks = []
  }
}
