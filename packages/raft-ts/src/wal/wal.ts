import { diskFailed, RaftError } from '../errors.ts'
import type { Encryption, RaftFile, RaftFs } from '../fs.ts'
import type { HardState } from '../types.ts'
import { encodeWrite, frame, RECORD_HEADER_BYTES, type WalWrite } from './record.ts'
import { readLog, type Recovered } from './recovery.ts'
import type { SegmentSummary } from './replay.ts'
import { encodeSegmentHeader, FORMAT, segmentName } from './segment.ts'
import { Spares } from './spares.ts'

export interface WalOptions {
  readonly fs: RaftFs
  readonly dir: string
  /** The member the log belongs to. */
  readonly id: number
  /** Every segment has this size from the start; a record that is larger has one of its own. */
  readonly segmentBytes: number
  readonly encryption?: Encryption | undefined
  /** Told of each sync: its duration needs a clock. */
  readonly onSync?: ((seconds: number) => void) | undefined
  readonly onWritten?: ((bytes: number) => void) | undefined
  readonly monotonicMs: () => number
}

const NO_BYTES = new Uint8Array(0)

/**
 * The write-ahead log: segments of records; one record, one write and one sync per `append`. Calls must not overlap.
 * After a rejected call nothing on disk is certain any more and the process has to end: after a failed fsync the kernel
 * may hold for written what is not, so to repeat it proves nothing.
 */
export class Wal {
  readonly #options: WalOptions
  readonly #spares: Spares
  #segments: SegmentSummary[]
  #file: RaftFile | undefined
  #closed = false
  #sequence: number
  #size: number
  #crc: number
  #hardState: HardState
  #lastIndex: number
  #lastTerm: number
  /** Of the record that is being written. */
  #key: string | undefined

  private constructor(options: WalOptions, found: Recovered, spares: Spares) {
    this.#options = options
    this.#spares = spares
    this.#segments = [...found.segments]
    this.#sequence = found.tail?.sequence ?? 0
    this.#size = found.tail?.size ?? 0
    this.#crc = found.tail?.crc ?? 0
    this.#hardState = found.hardState
    this.#lastIndex = found.entries.at(-1)?.index ?? found.base.index
    this.#lastTerm = found.entries.at(-1)?.term ?? found.base.term
  }

  /**
   * Opens the log in an existing directory and leaves it ready for `append`, which overwrites a torn end. What is in an
   * older format is read; writing goes on in a new segment.
   *
   * @throws WalCorruptError, WalVersionError
   */
  static async open(options: WalOptions): Promise<{ wal: Wal; found: Recovered }> {
    const { fs, dir } = options
    const found = await readLog(fs, dir, options)
    const wal = new Wal(options, found, await Spares.open(options, found.prepared))
    const { tail } = found
    if (tail === undefined) {
      wal.#spares.prepare(1)
      return { wal, found }
    }
    const file = await fs.open(`${dir}/${segmentName(tail.sequence)}`, 'update')
    // What a killed process had written may have been read from memory: it counts from here on, so it must be on disk.
    await file.sync()
    if (tail.version === FORMAT) wal.#file = file
    else await file.close()
    return { wal, found }
  }

  /** Resolves when the write is durable. */
  async append(write: WalWrite): Promise<void> {
    if (this.#closed) throw new RaftError('Stopped', 'the log is closed')
    this.#spares.check()
    const { encryption, segmentBytes, monotonicMs, onSync, onWritten } = this.#options
    const plain = encodeWrite(write)
    const payload = encryption === undefined ? plain : encryption.seal(plain)
    this.#key = encryption?.keyOf?.(payload)
    const bytes = RECORD_HEADER_BYTES + payload.length
    const isFull = this.#file === undefined || this.#size + bytes > segmentBytes
    const header = isFull ? await this.#cut() : NO_BYTES
    const file = this.#open()
    const { record, crc } = frame(payload, this.#sequence, this.#crc)
    let startMs = 0
    try {
      await file.write(isFull ? joined(header, record) : record, this.#size)
      startMs = monotonicMs()
      await file.sync()
    } catch (cause) {
      this.abandon()
      throw diskFailed(`${this.#options.dir}/${segmentName(this.#sequence)}`, cause)
    }
    onSync?.((monotonicMs() - startMs) / 1000)
    onWritten?.(header.length + record.length)
    this.#crc = crc
    this.#size += header.length + record.length
    this.#note(write)
    if (this.#size >= segmentBytes / 2) this.#spares.prepare(this.#sequence + 1)
  }

  /** Gives up segments that hold nothing above `index`, never the one being written. */
  async release(index: number): Promise<void> {
    const { fs, dir } = this.#options
    let released = 0
    while (this.#segments.length > 1 && (this.#segments[0]?.lastIndex ?? 0) <= index) {
      const { sequence, version } = this.#segments.shift() as SegmentSummary
      await this.#spares.recycle(sequence, version === FORMAT)
      released++
    }
    if (released > 0) await fs.syncDir(dir)
  }

  /** Names of the keys without which some record could not be read. */
  keysInUse(): Set<string> {
    const keys = new Set(this.#segments.flatMap(segment => [...segment.keys]))
    if (this.#key !== undefined) keys.add(this.#key)
    return keys
  }

  async close(): Promise<void> {
    const file = this.#file
    this.abandon()
    this.#file = undefined
    await this.#spares.end()
    await file?.close()
  }

  /** Begins nothing more, and waits for nothing. */
  abandon(): void {
    this.#closed = true
    void this.#spares.end()
  }

  #note(write: WalWrite): void {
    this.#hardState = write.hardState
    const last = write.entries.at(-1) ?? write.restart
    const { keys, lastIndex, ...segment } = this.#segments.at(-1) as SegmentSummary
    this.#segments[this.#segments.length - 1] = {
      ...segment,
      lastIndex: Math.max(lastIndex, last?.index ?? 0),
      keys: this.#key === undefined || keys.has(this.#key) ? keys : new Set([...keys, this.#key]),
    }
    if (last === undefined) return
    this.#lastIndex = last.index
    this.#lastTerm = last.term
  }

  /** @returns the header of the next segment, to be written with its first record: so a cut costs no sync of its own */
  async #cut(): Promise<Uint8Array> {
    const full = this.#file
    this.#file = undefined
    await full?.close()
    const sequence = this.#sequence + 1
    this.#file = await this.#spares.take(sequence)
    this.#sequence = sequence
    this.#size = 0
    this.#segments.push({ sequence, version: FORMAT, lastIndex: 0, keys: new Set() })
    return encodeSegmentHeader({
      sequence,
      id: this.#options.id,
      seed: this.#crc,
      hardState: this.#hardState,
      lastIndex: this.#lastIndex,
      lastTerm: this.#lastTerm,
    })
  }

  #open(): RaftFile {
    if (this.#file === undefined) throw new RaftError('Stopped', 'the log is closed')
    return this.#file
  }
}

function joined(header: Uint8Array, record: Uint8Array): Uint8Array {
  const both = new Uint8Array(header.length + record.length)
  both.set(header)
  both.set(record, header.length)
  return both
}
