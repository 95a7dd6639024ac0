import { RaftError } from '../errors.ts'
import type { Encryption, RaftFile, RaftFs } from '../fs.ts'
import type { HardState } from '../types.ts'
import { encodeWrite, frame, type WalWrite } from './record.ts'
import { readLog, type Recovered } from './recovery.ts'
import { encodeSegmentHeader, segmentName } from './segment.ts'

export interface WalOptions {
  readonly fs: RaftFs
  readonly dir: string
  /** The member the log belongs to. */
  readonly id: number
  readonly segmentBytes: number
  readonly encryption?: Encryption | undefined
  /** Told of each sync: its duration needs a clock. */
  readonly onSync?: ((seconds: number) => void) | undefined
  readonly onWritten?: ((bytes: number) => void) | undefined
  readonly monotonicMs: () => number
}

/**
 * The write-ahead log: segments of records, one record and one sync per `append`. Calls must not overlap.
 * After a rejected call nothing on disk is certain any more and the process has to end (a failed fsync is not repeatable).
 */
export class Wal {
  readonly #options: WalOptions
  #segments: { sequence: number; lastIndex: number }[]
  #file: RaftFile | undefined
  #size: number
  #crc: number
  #hardState: HardState
  #lastIndex: number
  #lastTerm: number

  private constructor(options: WalOptions, found: Recovered) {
    this.#options = options
    this.#segments = found.segments.map(s => ({ ...s }))
    this.#size = found.tail?.size ?? 0
    this.#crc = found.tail?.crc ?? 0
    this.#hardState = found.hardState
    this.#lastIndex = found.entries.at(-1)?.index ?? found.base.index
    this.#lastTerm = found.entries.at(-1)?.term ?? found.base.term
  }

  /**
   * Opens the log in an existing directory, cuts off a torn end, and leaves it ready for `append`.
   *
   * @throws WalCorruptError
   */
  static async open(options: WalOptions): Promise<{ wal: Wal; found: Recovered }> {
    const { fs, dir } = options
    const found = await readLog(fs, dir, options)
    if (found.unfinished !== undefined) {
      await fs.remove(found.unfinished)
      await fs.syncDir(dir)
    }
    const wal = new Wal(options, found)
    if (found.tail === undefined) {
      await wal.#begin()
      return { wal, found }
    }
    const path = `${dir}/${segmentName(found.tail.sequence)}`
    if (found.tail.torn) await fs.truncate(path, found.tail.size)
    wal.#file = await fs.open(path, 'append')
    await wal.#file.sync()
    return { wal, found }
  }

  /** Resolves when the write is durable. */
  async append(write: WalWrite): Promise<void> {
    if (this.#size >= this.#options.segmentBytes) await this.#roll()
    const plain = encodeWrite(write)
    const { encryption } = this.#options
    const { record, crc } = frame(
      encryption === undefined ? plain : encryption.seal(plain),
      this.#crc,
    )
    const file = this.#open()
    await file.write(record)
    const startMs = this.#options.monotonicMs()
    await file.sync()
    this.#options.onSync?.((this.#options.monotonicMs() - startMs) / 1000)
    this.#options.onWritten?.(record.length)
    this.#crc = crc
    this.#size += record.length
    this.#note(write)
  }

  /** Deletes segments that hold nothing above `index`, never the one being written. */
  async release(index: number): Promise<void> {
    const { fs, dir } = this.#options
    let removed = 0
    while (this.#segments.length > 1 && (this.#segments[0]?.lastIndex ?? 0) <= index) {
      const { sequence } = this.#segments.shift() as { sequence: number }
      await fs.remove(`${dir}/${segmentName(sequence)}`)
      removed++
    }
    if (removed > 0) await fs.syncDir(dir)
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  #note(write: WalWrite): void {
    this.#hardState = write.hardState
    const last = write.entries.at(-1) ?? write.restart
    if (last === undefined) return
    this.#lastIndex = last.index
    this.#lastTerm = last.term
    const segment = this.#segments.at(-1)
    if (segment !== undefined) segment.lastIndex = Math.max(segment.lastIndex, last.index)
  }

  async #roll(): Promise<void> {
    await this.close()
    await this.#begin()
  }

  /** The header is durable before any record: a segment without one was never used. */
  async #begin(): Promise<void> {
    const { fs, dir, id } = this.#options
    const sequence = (this.#segments.at(-1)?.sequence ?? 0) + 1
    const header = encodeSegmentHeader({
      sequence,
      id,
      seed: this.#crc,
      hardState: this.#hardState,
      lastIndex: this.#lastIndex,
      lastTerm: this.#lastTerm,
    })
    const file = await fs.open(`${dir}/${segmentName(sequence)}`, 'create')
    await file.write(header)
    await file.sync()
    await fs.syncDir(dir)
    this.#file = file
    this.#size = header.length
    this.#segments.push({ sequence, lastIndex: 0 })
  }

  #open(): RaftFile {
    if (this.#file === undefined) throw new RaftError('Stopped', 'the log is closed')
    return this.#file
  }
}
