// A backup of a cluster's state as a file: two lines of text, a StoreSnapshot, and an end that proves both.
//   skein-backup 1\n · header as JSON\n · body · "skeinend" · length of the body (8 bytes, big-endian) · SHA-256 of all before
import { createHash, type Hash } from 'node:crypto'
import { StatusError } from '../runtime/errors.ts'

const MAGIC = 'skein-backup'
const VERSION = 1
const END = Buffer.from('skeinend')
const LENGTH_BYTES = 8
const HASH_BYTES = 32
const END_BYTES = END.length + LENGTH_BYTES + HASH_BYTES
/** Longer text than any header before the first two line ends is no backup. */
const MAX_HEADER_BYTES = 64 * 1024

/** What a backup says of itself, readable with `head -2`. */
export interface BackupHeader {
  readonly clusterId: string
  readonly clusterName: string
  /** Version of the store that the body is; every write acknowledged before the backup began is in it. */
  readonly index: number
  readonly term: number
  /** Unix ms. */
  readonly createdAtMs: number
  /** Of the manager that wrote it. */
  readonly skeinVersion: string
}

/** Frames a body that comes in pieces: each call returns the bytes to write next. */
export class BackupFramer {
  readonly #hash: Hash = createHash('sha256')
  #bodyBytes = 0

  begin(header: BackupHeader): Uint8Array {
    return this.#hashed(Buffer.from(`${MAGIC} ${VERSION}\n${JSON.stringify(header)}\n`))
  }

  body(part: Uint8Array): Uint8Array {
    this.#bodyBytes += part.length
    return this.#hashed(part)
  }

  end(): Uint8Array {
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeBigUInt64BE(BigInt(this.#bodyBytes))
    this.#hash.update(END).update(length)
    return Buffer.concat([END, length, this.#hash.digest()])
  }

  #hashed(bytes: Uint8Array): Uint8Array {
    this.#hash.update(bytes)
    return bytes
  }
}

/**
 * A whole backup, checked from its first byte to its last.
 *
 * @throws StatusError InvalidArgument when it is none, FailedPrecondition when a later release wrote it, DataLoss when it
 *   is cut short or was altered
 */
export function readBackup(bytes: Uint8Array): { header: BackupHeader; body: Uint8Array } {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const firstEnd = file.subarray(0, MAX_HEADER_BYTES).indexOf('\n')
  const [magic, version] = firstEnd < 0 ? [] : file.toString('utf8', 0, firstEnd).split(' ')
  if (magic !== MAGIC) throw new StatusError('InvalidArgument', 'this is not a backup of Skein')
  if (Number(version) !== VERSION) {
    throw new StatusError(
      'FailedPrecondition',
      `this backup has version ${version} and this release reads ${VERSION}; restore it with the release that wrote it, or a later one`,
    )
  }
  const headerEnd = file.subarray(0, MAX_HEADER_BYTES).indexOf('\n', firstEnd + 1)
  const bodyStart = headerEnd + 1
  const bodyEnd = file.length - END_BYTES
  const end = file.subarray(Math.max(0, bodyEnd))
  if (headerEnd < 0 || bodyEnd < bodyStart || !end.subarray(0, END.length).equals(END)) {
    throw new StatusError(
      'DataLoss',
      'this backup is cut short: its end is missing; take another copy',
    )
  }
  const hash = createHash('sha256').update(file.subarray(0, -HASH_BYTES)).digest()
  const length = Number(end.readBigUInt64BE(END.length))
  if (!hash.equals(end.subarray(-HASH_BYTES)) || length !== bodyEnd - bodyStart) {
    throw new StatusError(
      'DataLoss',
      'this backup was altered: its hash is wrong; take another copy',
    )
  }
  const text = file.toString('utf8', firstEnd + 1, headerEnd)
  return { header: JSON.parse(text) as BackupHeader, body: file.subarray(bodyStart, bodyEnd) }
}
