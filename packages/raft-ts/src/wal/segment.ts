import { ByteReader, ByteWriter } from '../codec/bytes.ts'
import { crc32 } from '../codec/crc32.ts'
import { readHardState, writeHardState } from '../codec/entry.ts'
import { WalVersionError } from '../errors.ts'
import type { HardState } from '../types.ts'
import { type Framed, type Framing, recordBehind, unframe } from './record.ts'

/** What a segment says about itself, so that the ones before it can be deleted. */
export interface SegmentHeader {
  readonly sequence: number
  /** The member the log belongs to: a directory copied to another member must not vote for both. */
  readonly id: number
  /** Seed of the first record's CRC: the last CRC of the segment before. */
  readonly seed: number
  readonly hardState: HardState
  /** The end of the log when the segment was begun. */
  readonly lastIndex: number
  readonly lastTerm: number
}

export interface ParsedHeader {
  readonly version: number
  readonly header: SegmentHeader
  /** Where the first record begins. */
  readonly end: number
}

export interface SegmentRecords {
  readonly records: readonly Framed[]
  /** CRC after the last valid record, and where it ends. */
  readonly crc: number
  readonly end: number
}

/** Segments are written in this format; older ones are read. */
export const FORMAT = 2
const MAGIC = new TextEncoder().encode('raftwal')
const DIGIT_ZERO = 0x30
const FIELDS_AT = MAGIC.length + 2
const CRC_BYTES = 4

export function segmentName(sequence: number): string {
  return `${String(sequence).padStart(10, '0')}.wal`
}

export function sequenceOf(name: string): number | undefined {
  const match = /^(\d{10})\.wal$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** [magic 7][format 1][length of the fields 1][fields][crc 4]: so in every format, that a newer one can be told from damage. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const fields = new ByteWriter()
  fields.uint(header.sequence)
  fields.uint(header.id)
  fields.uint(header.seed)
  writeHardState(fields, header.hardState)
  fields.uint(header.lastIndex)
  fields.uint(header.lastTerm)
  const out = new Uint8Array(FIELDS_AT + fields.length + CRC_BYTES)
  out.set(MAGIC)
  out[MAGIC.length] = DIGIT_ZERO + FORMAT
  out[MAGIC.length + 1] = fields.length
  out.set(fields.finish(), FIELDS_AT)
  const crcAt = out.length - CRC_BYTES
  new DataView(out.buffer).setUint32(crcAt, crc32(out.subarray(0, crcAt)), true)
  return out
}

/**
 * @returns undefined when the file does not begin with a whole header
 * @throws WalVersionError when the header is whole, and of a format that came after this program
 */
export function parseHeader(path: string, file: Uint8Array): ParsedHeader | undefined {
  const length = file[MAGIC.length + 1]
  if (length === undefined || MAGIC.some((byte, i) => file[i] !== byte)) return undefined
  const end = FIELDS_AT + length + CRC_BYTES
  if (end > file.length) return undefined
  const crcAt = end - CRC_BYTES
  const stored = new DataView(file.buffer, file.byteOffset + crcAt, CRC_BYTES).getUint32(0, true)
  if (crc32(file.subarray(0, crcAt)) !== stored) return undefined
  const version = (file[MAGIC.length] as number) - DIGIT_ZERO
  if (version > FORMAT) throw new WalVersionError(path, version, FORMAT)
  const fields = new ByteReader(file.subarray(FIELDS_AT, crcAt))
  const header = {
    sequence: fields.uint(),
    id: fields.uint(),
    seed: fields.uint(),
    hardState: readHardState(fields),
    lastIndex: fields.uint(),
    lastTerm: fields.uint(),
  }
  return { version, header, end }
}

export function framingOf({ version, header }: ParsedHeader): Framing {
  return version === 1 ? undefined : header.sequence
}

/** The valid records from the header on. What follows them is zeros, a recycled file's former records, a torn write, or damage. */
export function readRecords(file: Uint8Array, parsed: ParsedHeader): SegmentRecords {
  const framing = framingOf(parsed)
  const records: Framed[] = []
  let crc = parsed.header.seed
  let end = parsed.end
  for (;;) {
    const record = unframe(file, end, crc, framing)
    if (record === undefined) return { records, crc, end }
    records.push(record)
    crc = record.crc
    end = record.next
  }
}

/**
 * Whether a file without a header of its own holds records all the same: then the header is in ruins. A write that was
 * torn in its first bytes leaves none, for header and first record are written together.
 *
 * @param seed the last CRC of the segment before
 * @param recycled the file begins with the header of the segment that it was before, which was not of format 1
 */
export function holdsRecords(
  file: Uint8Array,
  sequence: number,
  seed: number,
  recycled: boolean,
): boolean {
  const framings = recycled ? [sequence] : [sequence, undefined]
  return framings.some(framing => recordBehind(file, -1, seed, framing) !== undefined)
}
