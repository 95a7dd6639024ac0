import { WalCorruptError } from '../errors.ts'
import type { Encryption, RaftFs } from '../fs.ts'
import type { Entry, HardState } from '../types.ts'
import { decodeWrite } from './record.ts'
import { readSegment, type Segment, segmentName, sequenceOf } from './segment.ts'

interface Position {
  readonly index: number
  readonly term: number
}

/** What a log directory holds. */
export interface Recovered {
  readonly segments: readonly { readonly sequence: number; readonly lastIndex: number }[]
  readonly hardState: HardState
  /** What the first entry follows, as far as the remaining segments tell. */
  readonly base: Position
  readonly entries: readonly Entry[]
  readonly records: number
  /** Where writing goes on: the last segment, its valid size and CRC. */
  readonly tail: { sequence: number; size: number; crc: number; torn: boolean } | undefined
  /** A segment whose creation was interrupted. */
  readonly unfinished: string | undefined
}

export interface ReadOptions {
  readonly id?: number
  readonly encryption?: Encryption | undefined
  /** Check the framing and count the records, which needs no key. */
  readonly countOnly?: boolean
}

/**
 * Reads the log without changing it.
 *
 * @throws WalCorruptError when anything but the very end is damaged or missing
 */
export async function readLog(
  fs: RaftFs,
  dir: string,
  options: ReadOptions = {},
): Promise<Recovered> {
  const sequences = (await fs.readdir(dir)).map(sequenceOf).filter(s => s !== undefined)
  sequences.sort((a, b) => a - b)
  const replay = new Replay()
  let previous: { segment: Segment; sequence: number } | undefined
  let unfinished: string | undefined
  for (const [i, sequence] of sequences.entries()) {
    const path = `${dir}/${segmentName(sequence)}`
    const last = i === sequences.length - 1
    const segment = readSegment(path, await fs.readFile(path), last)
    if (segment === undefined) {
      unfinished = path
      break
    }
    checkHeader(path, segment, sequence, previous, options.id)
    if (options.countOnly === true) replay.count(segment)
    else replay.segment(path, segment, options.encryption)
    previous = { segment, sequence }
  }
  const tail = previous && {
    sequence: previous.sequence,
    size: previous.segment.end,
    crc: previous.segment.crc,
    torn: previous.segment.torn,
  }
  return { ...replay.result(), tail, unfinished }
}

function checkHeader(
  path: string,
  segment: Segment,
  sequence: number,
  previous: { segment: Segment; sequence: number } | undefined,
  id: number | undefined,
): void {
  const { header } = segment
  if (header.sequence !== sequence)
    throw new WalCorruptError(path, 0, `the segment calls itself ${header.sequence}`)
  if (id !== undefined && header.id !== id)
    throw new WalCorruptError(path, 0, `the log belongs to member ${header.id}, not to ${id}`)
  if (previous === undefined) return
  if (previous.sequence + 1 !== sequence)
    throw new WalCorruptError(path, 0, `segment ${segmentName(previous.sequence + 1)} is missing`)
  if (previous.segment.crc !== header.seed)
    throw new WalCorruptError(path, 0, 'the segment does not continue the one before')
}

/** Applies records in order to what becomes the log. */
class Replay {
  #segments: { sequence: number; lastIndex: number }[] = []
  #hardState: HardState = { term: 0, vote: 0, commit: 0 }
  #base: Position = { index: 0, term: 0 }
  #entries: Entry[] = []
  #records = 0

  segment(path: string, segment: Segment, encryption: Encryption | undefined): void {
    const { header } = segment
    if (this.#segments.length === 0) {
      this.#base = { index: header.lastIndex, term: header.lastTerm }
      this.#hardState = header.hardState
    }
    let lastIndex = 0
    for (const payload of segment.payloads) {
      let write: ReturnType<typeof decodeWrite>
      try {
        write = decodeWrite(encryption === undefined ? payload : encryption.open(payload))
      } catch (error) {
        throw new WalCorruptError(
          path,
          0,
          `record ${this.#records} cannot be opened: ${String(error)}`,
        )
      }
      this.#records++
      this.#hardState = write.hardState
      if (write.restart !== undefined) {
        this.#base = write.restart
        this.#entries = []
        lastIndex = Math.max(lastIndex, write.restart.index)
      }
      this.#append(path, write.entries)
      lastIndex = Math.max(lastIndex, write.entries.at(-1)?.index ?? 0)
    }
    this.#segments.push({ sequence: header.sequence, lastIndex })
  }

  count(segment: Segment): void {
    this.#records += segment.payloads.length
  }

  result(): Omit<Recovered, 'tail' | 'unfinished'> {
    return {
      segments: this.#segments,
      hardState: this.#hardState,
      base: this.#base,
      entries: this.#entries,
      records: this.#records,
    }
  }

  #append(path: string, entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    const keep = first.index - this.#base.index - 1
    if (keep < 0) {
      // Overwrites what deleted segments held. What it follows is unknown but applied, so it is covered by a snapshot.
      this.#base = { index: first.index - 1, term: 0 }
      this.#entries = []
    } else {
      if (keep > this.#entries.length)
        throw new WalCorruptError(path, 0, `entry ${first.index} leaves a gap in the log`)
      this.#entries.length = keep
    }
    for (const entry of entries) this.#entries.push(entry)
  }
}
