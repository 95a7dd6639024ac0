// A record is what one write made durable: [magic u32][length u32][crc u32][payload]. The CRC continues that of the record
// before, so a stale tail of a file cannot pass for a continuation.
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

export const RECORD_MAGIC = 0x54464152
export const RECORD_HEADER_BYTES = 12
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

/** @returns the framed record and its CRC, the seed of the next record */
export function frame(payload: Uint8Array, seed: number): { record: Uint8Array; crc: number } {
  const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length)
  const view = new DataView(record.buffer)
  view.setUint32(0, RECORD_MAGIC, true)
  view.setUint32(4, payload.length, true)
  record.set(payload, RECORD_HEADER_BYTES)
  const crc = checksum(record.subarray(4, 8), payload, seed)
  view.setUint32(8, crc, true)
  return { record, crc }
}

/** @returns the record at `offset`, undefined when there is no valid one */
export function unframe(
  file: Uint8Array,
  offset: number,
  seed: number,
): { payload: Uint8Array; crc: number; next: number } | undefined {
  const head = headerAt(file, offset)
  if (head === undefined) return undefined
  const start = offset + RECORD_HEADER_BYTES
  const next = start + head.length
  if (head.length > MAX_RECORD_BYTES || next > file.length) return undefined
  const payload = file.subarray(start, next)
  if (checksum(file.subarray(offset + 4, offset + 8), payload, seed) !== head.crc) return undefined
  return { payload, crc: head.crc, next }
}

/**
 * Whether any valid record lies behind a faulty one at `offset`: then the fault is damage and not a torn write.
 * The faulty record's checksum, the seed of its successor, is either as stored or as its payload says.
 */
export function hasValidSuccessor(file: Uint8Array, offset: number, seed: number): boolean {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const seeds = new Set<number>()
  if (offset + RECORD_HEADER_BYTES <= file.length) {
    seeds.add(view.getUint32(offset + 8, true))
    const length = view.getUint32(offset + 4, true)
    const end = offset + RECORD_HEADER_BYTES + length
    if (end <= file.length)
      seeds.add(
        checksum(
          file.subarray(offset + 4, offset + 8),
          file.subarray(offset + RECORD_HEADER_BYTES, end),
          seed,
        ),
      )
  }
  for (let at = offset + 1; at + RECORD_HEADER_BYTES <= file.length; at++) {
    if (view.getUint32(at, true) !== RECORD_MAGIC) continue
    for (const candidate of seeds) if (unframe(file, at, candidate) !== undefined) return true
    // Behind several faulty records the seed is lost, yet each stored checksum names the seed of the next record.
    seeds.add(view.getUint32(at + 8, true))
  }
  return false
}

function headerAt(file: Uint8Array, offset: number): { length: number; crc: number } | undefined {
  if (offset + RECORD_HEADER_BYTES > file.length) return undefined
  const view = new DataView(file.buffer, file.byteOffset + offset, RECORD_HEADER_BYTES)
  if (view.getUint32(0, true) !== RECORD_MAGIC) return undefined
  return { length: view.getUint32(4, true), crc: view.getUint32(8, true) }
}

function checksum(length: Uint8Array, payload: Uint8Array, seed: number): number {
  return crc32(payload, crc32(length, seed))
}
