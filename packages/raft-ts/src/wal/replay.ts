import { WalCorruptError } from '../errors.ts'
import type { Encryption } from '../fs.ts'
import type { Entry, HardState } from '../types.ts'
import { decodeWrite, type Framed, type WalWrite } from './record.ts'
import type { ParsedHeader } from './segment.ts'

interface Position {
  readonly index: number
  readonly term: number
}

/** What records, applied in order, amount to. */
export interface Replayed {
  /** Those that were begun, in order. `lastIndex`: the highest index in it, 0 when there is none. */
  readonly segments: readonly SegmentSummary[]
  readonly hardState: HardState
  /** What the first entry follows, as far as the remaining segments tell. */
  readonly base: Position
  readonly entries: readonly Entry[]
  readonly records: number
}

export interface SegmentSummary {
  readonly sequence: number
  readonly version: number
  readonly lastIndex: number
  /** Names of the keys that records in it are sealed with. */
  readonly keys: ReadonlySet<string>
}

/** Applies records in order to what becomes the log. */
export class Replay {
  readonly #encryption: Encryption | undefined
  #segments: SegmentSummary[] = []
  #hardState: HardState = { term: 0, vote: 0, commit: 0 }
  #base: Position = { index: 0, term: 0 }
  #entries: Entry[] = []
  #records = 0

  constructor(encryption: Encryption | undefined) {
    this.#encryption = encryption
  }

  /** @throws WalCorruptError for a record that cannot be opened, or does not follow the ones before */
  segment(path: string, { header, version }: ParsedHeader, records: readonly Framed[]): void {
    if (this.#segments.length === 0) {
      this.#base = { index: header.lastIndex, term: header.lastTerm }
      this.#hardState = header.hardState
    }
    let lastIndex = 0
    const keys = new Set<string>()
    const { sequence } = header
    this.#segments.push({ sequence, version, lastIndex, keys })
    for (const { payload, offset } of records) {
      const write = this.#decode(path, payload, offset)
      this.#append(path, offset, write)
      this.#hardState = write.hardState
      this.#records++
      lastIndex = Math.max(lastIndex, lastOf(write))
      const key = this.#encryption?.keyOf?.(payload)
      if (key !== undefined) keys.add(key)
      this.#segments[this.#segments.length - 1] = { sequence, version, lastIndex, keys }
    }
  }

  count(records: readonly Framed[]): void {
    this.#records += records.length
  }

  /** The highest index a record speaks of; undefined when it cannot be opened. */
  lastIndexOf(payload: Uint8Array): number | undefined {
    try {
      return lastOf(this.#open(payload))
    } catch {
      return undefined
    }
  }

  result(): Replayed {
    return {
      segments: this.#segments,
      hardState: this.#hardState,
      base: this.#base,
      entries: this.#entries,
      records: this.#records,
    }
  }

  #open(payload: Uint8Array): WalWrite {
    return decodeWrite(this.#encryption === undefined ? payload : this.#encryption.open(payload))
  }

  #decode(path: string, payload: Uint8Array, offset: number): WalWrite {
    try {
      return this.#open(payload)
    } catch (error) {
      const detail = `record ${this.#records} cannot be opened: ${String(error)}`
      throw new WalCorruptError(path, offset, detail)
    }
  }

  #append(path: string, offset: number, { restart, entries }: WalWrite): void {
    const base = restart ?? this.#base
    const kept = restart === undefined ? this.#entries.length : 0
    const first = entries[0]
    const keep = first === undefined ? kept : first.index - base.index - 1
    if (keep > kept)
      throw new WalCorruptError(path, offset, `entry ${first?.index ?? 0} leaves a gap in the log`)
    if (restart !== undefined) {
      this.#base = restart
      this.#entries = []
    }
    if (first === undefined) return
    if (keep < 0) {
      // Overwrites what deleted segments held. What it follows is unknown but applied, so it is covered by a snapshot.
      this.#base = { index: first.index - 1, term: 0 }
      this.#entries = []
    } else this.#entries.length = keep
    for (const entry of entries) this.#entries.push(entry)
  }
}

function lastOf({ restart, entries }: WalWrite): number {
  return Math.max(restart?.index ?? 0, entries.at(-1)?.index ?? 0)
}
