import { ByteReader, ByteWriter } from '../codec/bytes.ts'
import { crc32 } from '../codec/crc32.ts'
import { readHardState, writeHardState } from '../codec/entry.ts'
import { WalCorruptError } from '../errors.ts'
import type { HardState } from '../types.ts'
import { hasValidSuccessor, RECORD_MAGIC, unframe } from './record.ts'

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

export interface Segment {
  readonly header: SegmentHeader
  readonly payloads: readonly Uint8Array[]
  /** CRC after the last valid record, and where it ends. */
  readonly crc: number
  readonly end: number
  readonly torn: boolean
}

const MAGIC = new TextEncoder().encode('raftwal1')
const LENGTH_BYTES = 1

export function segmentName(sequence: number): string {
  return `${String(sequence).padStart(10, '0')}.wal`
}

export function sequenceOf(name: string): number | undefined {
  const match = /^(\d{10})\.wal$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** [magic 8][length 1][fields][crc 4] */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const fields = new ByteWriter()
  fields.uint(header.sequence)
  fields.uint(header.id)
  fields.uint(header.seed)
  writeHardState(fields, header.hardState)
  fields.uint(header.lastIndex)
  fields.uint(header.lastTerm)
  const out = new ByteWriter()
  out.raw(MAGIC)
  out.byte(fields.length)
  out.raw(fields.finish())
  const body = out.finish().slice()
  const crc = new Uint8Array(4)
  new DataView(crc.buffer).setUint32(0, crc32(body), true)
  return Uint8Array.from([...body, ...crc])
}

/**
 * Reads a segment.
 *
 * @param last a bad end is cut only in the last segment; elsewhere, or before a valid record, it is damage
 * @returns undefined when not even the header was finished, which only a crash while creating the last segment explains
 * @throws WalCorruptError
 */
export function readSegment(path: string, file: Uint8Array, last: boolean): Segment | undefined {
  const parsed = parseHeader(file)
  if (parsed === undefined) {
    if (last && !holdsRecord(file)) return undefined
    throw new WalCorruptError(path, 0, 'the segment header is not valid')
  }
  const payloads: Uint8Array[] = []
  let crc = parsed.header.seed
  let offset = parsed.end
  while (offset < file.length) {
    const record = unframe(file, offset, crc)
    if (record === undefined) {
      if (!last) throw new WalCorruptError(path, offset, 'an invalid record in a finished segment')
      if (hasValidSuccessor(file, offset, crc))
        throw new WalCorruptError(path, offset, 'an invalid record before valid ones')
      return { header: parsed.header, payloads, crc, end: offset, torn: true }
    }
    payloads.push(record.payload)
    crc = record.crc
    offset = record.next
  }
  return { header: parsed.header, payloads, crc, end: offset, torn: false }
}

function parseHeader(file: Uint8Array): { header: SegmentHeader; end: number } | undefined {
  const length = file[MAGIC.length]
  if (length === undefined || MAGIC.some((byte, i) => file[i] !== byte)) return undefined
  const start = MAGIC.length + LENGTH_BYTES
  const end = start + length + 4
  if (end > file.length) return undefined
  const stored = new DataView(file.buffer, file.byteOffset + end - 4, 4).getUint32(0, true)
  if (crc32(file.subarray(0, end - 4)) !== stored) return undefined
  const fields = new ByteReader(file.subarray(start, end - 4))
  const header = {
    sequence: fields.uint(),
    id: fields.uint(),
    seed: fields.uint(),
    hardState: readHardState(fields),
    lastIndex: fields.uint(),
    lastTerm: fields.uint(),
  }
  return { header, end }
}

/** A header in ruins with records behind it is damage, not a crash while creating the file. */
function holdsRecord(file: Uint8Array): boolean {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  for (let at = 0; at + 4 <= file.length; at++)
    if (view.getUint32(at, true) === RECORD_MAGIC) return true
  return false
}
