// A record is what one write made durable: [magic u32][length u32][segment u32][crc u32][payload]. The CRC continues that of
// the record before, and the segment's number tells a record from one that a recycled file held before: neither a stale
// tail nor a stale record behind a torn one can pass for a continuation. Format 1 had no segment number.
//
// One record per synced write is what makes damage decidable: a record followed by a valid one was durable, so a fault in it
// is damage; a faulty last one was never acknowledged as durable. It also makes a write atomic, which membership
// changes rely on: an entry carrying a second change is never on disk without the commit index that covers the first, or
// else a restarted member could campaign with a membership two steps old.
import { ByteReader, ByteWriter, malformed } from '../codec/bytes.ts'
import { crc32 } from '../codec/crc32.ts'
import { readEntry, readHardState, writeEntry, writeHardState } from '../codec/entry.ts'
import type { Entry, HardState } from '../types.ts'

export interface WalWrite {
  readonly hardState: HardState
  /** The log was replaced by a snapshot that ends here; the entries follow it. */
  readonly restart: { readonly index: number; readonly term: number } | undefined
  readonly entries: readonly Entry[]
}

const RECORD_MAGIC = 0x54464152
/** Its first byte on disk. */
const MAGIC_BYTE = RECORD_MAGIC & 0xff
const LENGTH_AT = 4
const SEQUENCE_AT = 8
const CRC_BYTES = 4
export const RECORD_HEADER_BYTES = 16
/** In format 1. */
const HEADER_BYTES_1 = 12
/** Above anything the writer produces; a length beyond it is damage. */
export const MAX_RECORD_BYTES = 256 * 1024 * 1024

export function encodeWrite(write: WalWrite): Uint8Array {
  let bytes = 64
  for (const entry of write.entries) bytes += entry.data.length + 24
  const writer = new ByteWriter(bytes)
  writeHardState(writer, write.hardState)
  writer.byte(write.restart === undefined ? 0 : 1)
  if (write.restart !== undefined) {
    writer.uint(write.restart.index)
    writer.uint(write.restart.term)
  }
  writer.uint(write.entries.length)
  for (const entry of write.entries) writeEntry(writer, entry)
  return writer.finish()
}

/** @throws RaftError `Corrupt` */
export function decodeWrite(payload: Uint8Array): WalWrite {
  const reader = new ByteReader(payload)
  const hardState = readHardState(reader)
  const restart = reader.bool() ? { index: reader.uint(), term: reader.uint() } : undefined
  const entries = Array.from({ length: reader.count(4) }, () => readEntry(reader))
  for (const [i, entry] of entries.entries())
    if (entry.index !== (entries[0] as Entry).index + i)
      throw malformed('entries do not follow each other')
  reader.end()
  return { hardState, restart, entries }
}

/** How the records of one segment are framed: by its number, undefined in a segment of format 1. */
export type Framing = number | undefined

export interface Framed {
  readonly payload: Uint8Array
  /** Where the record begins, and where the next one would. */
  readonly offset: number
  readonly next: number
  /** The seed of the next record. */
  readonly crc: number
}

/** @returns the framed record and its CRC, the seed of the next record */
export function frame(
  payload: Uint8Array,
  sequence: number,
  seed: number,
): { record: Uint8Array; crc: number } {
  const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length)
  const view = new DataView(record.buffer)
  view.setUint32(0, RECORD_MAGIC, true)
  view.setUint32(LENGTH_AT, payload.length, true)
  view.setUint32(SEQUENCE_AT, sequence, true)
  record.set(payload, RECORD_HEADER_BYTES)
  const crcAt = RECORD_HEADER_BYTES - CRC_BYTES
  const crc = checksum(record.subarray(LENGTH_AT, crcAt), payload, seed)
  view.setUint32(crcAt, crc, true)
  return { record, crc }
}

/** @returns the record at `offset`, undefined when there is no valid one */
export function unframe(
  file: Uint8Array,
  offset: number,
  seed: number,
  framing: Framing,
): Framed | undefined {
  const head = headerAt(file, offset, framing)
  if (head === undefined) return undefined
  const payload = file.subarray(head.start, head.end)
  if (head.end > file.length || head.end - head.start > MAX_RECORD_BYTES) return undefined
  if (
    checksum(file.subarray(offset + LENGTH_AT, head.start - CRC_BYTES), payload, seed) !== head.crc
  )
    return undefined
  return { payload, offset, next: head.end, crc: head.crc }
}

/**
 * The first valid record behind a faulty one at `offset`: when there is one, the fault is damage and not a torn write.
 * The faulty record's checksum, the seed of its successor, is either as stored or as its payload says.
 */
export function recordBehind(
  file: Uint8Array,
  offset: number,
  seed: number,
  framing: Framing,
): Framed | undefined {
  const seeds = new Set<number>([seed])
  const faulty = fieldsAt(file, offset, framing)
  if (faulty !== undefined) {
    seeds.add(faulty.crc)
    if (faulty.end <= file.length)
      seeds.add(
        checksum(
          file.subarray(offset + LENGTH_AT, faulty.start - CRC_BYTES),
          file.subarray(faulty.start, faulty.end),
          seed,
        ),
      )
  }
  for (let at = nextMagic(file, offset + 1); at >= 0; at = nextMagic(file, at + 1)) {
    const head = headerAt(file, at, framing)
    if (head === undefined) continue
    for (const candidate of seeds) {
      const found = unframe(file, at, candidate, framing)
      if (found !== undefined) return found
    }
    // Behind several faulty records the seed is lost, yet each stored checksum names the seed of the next record.
    seeds.add(head.crc)
  }
  return undefined
}

function nextMagic(file: Uint8Array, from: number): number {
  for (let at = file.indexOf(MAGIC_BYTE, from); at >= 0; at = file.indexOf(MAGIC_BYTE, at + 1))
    if (at + 4 <= file.length && viewOf(file, at, 4).getUint32(0, true) === RECORD_MAGIC) return at
  return -1
}

interface Fields {
  readonly start: number
  readonly end: number
  readonly crc: number
}

function headerAt(file: Uint8Array, offset: number, framing: Framing): Fields | undefined {
  const fields = fieldsAt(file, offset, framing)
  if (fields === undefined) return undefined
  const view = viewOf(file, offset, fields.start - offset)
  if (view.getUint32(0, true) !== RECORD_MAGIC) return undefined
  return framing !== undefined && view.getUint32(SEQUENCE_AT, true) !== framing ? undefined : fields
}

/** What would be in a header there, whether it is one or not. */
function fieldsAt(file: Uint8Array, offset: number, framing: Framing): Fields | undefined {
  const bytes = framing === undefined ? HEADER_BYTES_1 : RECORD_HEADER_BYTES
  const start = offset + bytes
  if (offset < 0 || start > file.length) return undefined
  const view = viewOf(file, offset, bytes)
  const end = start + view.getUint32(LENGTH_AT, true)
  return { start, end, crc: view.getUint32(bytes - CRC_BYTES, true) }
}

function viewOf(file: Uint8Array, offset: number, bytes: number): DataView {
  return new DataView(file.buffer, file.byteOffset + offset, bytes)
}

function checksum(head: Uint8Array, payload: Uint8Array, seed: number): number {
  return crc32(payload, crc32(head, seed))
}
