import { WalCorruptError } from '../errors.ts'
import type { Encryption, RaftFs } from '../fs.ts'
import { Replay, type Replayed } from './replay.ts'
import { type Framed, recordBehind } from './record.ts'
import {
  framingOf,
  holdsRecords,
  type ParsedHeader,
  parseHeader,
  readRecords,
  segmentName,
  type SegmentRecords,
  sequenceOf,
} from './segment.ts'

/** What a log directory holds. */
export interface Recovered extends Replayed {
  /** Where writing goes on: the last segment that was begun, its valid size and CRC. */
  readonly tail: Tail | undefined
  /** The segment that was made ahead of need and not begun. */
  readonly prepared: number | undefined
  /** Only with `salvage`: what stopped the reading. */
  readonly damage: Damage | undefined
}

export interface Tail {
  readonly sequence: number
  readonly version: number
  readonly size: number
  readonly crc: number
}

export interface Damage {
  readonly error: WalCorruptError
  /** The segment that is cut at `error.offset`; those before it are whole. */
  readonly sequence: number
  /** What lies behind and would be lost: the highest index of an entry there, 0 when none can be read. */
  readonly lastIndex: number
}

export interface ReadOptions {
  readonly id?: number
  readonly encryption?: Encryption | undefined
  /** Check the framing and count the records, which needs no key. */
  readonly countOnly?: boolean
  /** Stop at the first damage instead of throwing, and say what it is. */
  readonly salvage?: boolean
}

/**
 * Reads the log without changing it.
 *
 * @throws WalCorruptError when anything but the very end is damaged or missing
 * @throws WalVersionError when a later version wrote it
 */
export async function readLog(
  fs: RaftFs,
  dir: string,
  options: ReadOptions = {},
): Promise<Recovered> {
  const reader = new LogReader(dir, options)
  const files = (await fs.readdir(dir)).map(sequenceOf).filter(s => s !== undefined)
  for (const sequence of files.toSorted((a, b) => a - b)) {
    const path = `${dir}/${segmentName(sequence)}`
    const file = await fs.readFile(path)
    if (!reader.isDamaged()) reader.attempt(sequence, () => reader.next(path, sequence, file))
    if (reader.isDamaged()) reader.behind(path, file)
  }
  if (!reader.isDamaged()) reader.attempt(undefined, () => reader.end())
  return reader.result()
}

interface Begun {
  readonly path: string
  readonly sequence: number
  readonly parsed: ParsedHeader
  readonly records: SegmentRecords
  readonly file: Uint8Array
}

/** Takes segments in order. A segment is judged when the next one is seen: only the last that was begun may end badly. */
class LogReader {
  readonly #dir: string
  readonly #options: ReadOptions
  readonly #replay: Replay
  #last: Begun | undefined
  #prepared: { sequence: number; reason: string } | undefined
  #damage: { error: WalCorruptError; sequence: number } | undefined
  #lostIndex = 0

  constructor(dir: string, options: ReadOptions) {
    this.#dir = dir
    this.#options = options
    this.#replay = new Replay(options.encryption)
  }

  isDamaged(): boolean {
    return this.#damage !== undefined
  }

  next(path: string, sequence: number, file: Uint8Array): void {
    const before = this.#prepared?.sequence ?? this.#last?.sequence
    if (before !== undefined && before + 1 !== sequence)
      throw new WalCorruptError(path, 0, `segment ${segmentName(before + 1)} is missing`)
    const parsed = parseHeader(path, file)
    if (parsed === undefined || parsed.header.sequence < sequence)
      return this.#notBegun(path, sequence, file, parsed)
    if (parsed.header.sequence > sequence)
      throw new WalCorruptError(path, 0, `the segment calls itself ${parsed.header.sequence}`)
    if (this.#prepared !== undefined)
      throw new WalCorruptError(this.#path(this.#prepared.sequence), 0, this.#prepared.reason)
    const { id, seed } = parsed.header
    if (this.#options.id !== undefined && id !== this.#options.id)
      throw new WalCorruptError(
        path,
        0,
        `the log belongs to member ${id}, not to ${this.#options.id}`,
      )
    if (this.#last !== undefined && this.#last.records.crc !== seed)
      throw this.#invalid(this.#last, 'an invalid record in a finished segment')
    const records = readRecords(file, parsed)
    this.#last = { path, sequence, parsed, records, file }
    if (this.#options.countOnly === true) this.#replay.count(records.records)
    else this.#replay.segment(path, parsed, records.records)
  }

  /** Nothing follows: what ends badly now was never acknowledged, unless valid records lie behind. */
  end(): void {
    const last = this.#last
    if (last === undefined) return
    const { end, crc } = last.records
    if (recordBehind(last.file, end, crc, framingOf(last.parsed)) !== undefined)
      throw this.#invalid(last, 'an invalid record before valid ones')
  }

  /** Does `work`, which reads the segment `sequence`; keeps what is damaged there when that is wanted. */
  attempt(sequence: number | undefined, work: () => void): void {
    try {
      work()
    } catch (error) {
      if (!(error instanceof WalCorruptError) || this.#options.salvage !== true) throw error
      const at = sequenceOf(error.file.slice(this.#dir.length + 1)) ?? sequence ?? 0
      this.#damage = { error, sequence: at }
      if (this.#last !== undefined && at === this.#last.sequence)
        this.behind(this.#last.path, this.#last.file)
    }
  }

  /** Looks for entries behind the damage, to say what is lost. */
  behind(path: string, file: Uint8Array): void {
    const error = this.#damage?.error
    if (error === undefined) return
    const parsed = parseHeader(path, file)
    if (parsed === undefined) return
    const framing = framingOf(parsed)
    const from = path === error.file ? error.offset : parsed.end - 1
    const seed = path === error.file ? 0 : parsed.header.seed
    let found: Framed | undefined = recordBehind(file, from, seed, framing)
    while (found !== undefined) {
      const lastIndex = this.#replay.lastIndexOf(found.payload)
      this.#lostIndex = Math.max(this.#lostIndex, lastIndex ?? 0)
      found = recordBehind(file, found.next - 1, found.crc, framing)
    }
  }

  result(): Recovered {
    const { parsed, records, sequence } = this.#last ?? {}
    const tail =
      parsed === undefined || records === undefined || sequence === undefined
        ? undefined
        : { sequence, version: parsed.version, size: records.end, crc: records.crc }
    return {
      ...this.#replay.result(),
      tail,
      prepared: this.#prepared?.sequence,
      damage: this.#damage && { ...this.#damage, lastIndex: this.#lostIndex },
    }
  }

  #notBegun(
    path: string,
    sequence: number,
    file: Uint8Array,
    parsed: ParsedHeader | undefined,
  ): void {
    const recycled = parsed !== undefined && parsed.version > 1
    const seed = this.#last?.records.crc ?? 0
    const reason = recycled
      ? `the segment calls itself ${parsed.header.sequence}`
      : 'the segment header is not valid'
    if (this.#prepared !== undefined || holdsRecords(file, sequence, seed, recycled))
      throw new WalCorruptError(path, 0, reason)
    this.#prepared = { sequence, reason }
  }

  #invalid(at: Begun, detail: string): WalCorruptError {
    return new WalCorruptError(at.path, at.records.end, detail)
  }

  #path(sequence: number): string {
    return `${this.#dir}/${segmentName(sequence)}`
  }
}
