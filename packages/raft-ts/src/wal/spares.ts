import type { RaftFile, RaftFs } from '../fs.ts'
import { segmentName } from './segment.ts'

/** Zeros written and synced at a time: small enough that an append beside it does not wait long for the disk. */
const STEP_BYTES = 1024 * 1024
/** Segments that were released and wait to be used again. */
const MAX_POOL = 2
const POOLED = /^\d{10}\.spare$/

export interface SpareOptions {
  readonly fs: RaftFs
  readonly dir: string
  readonly segmentBytes: number
}

/**
 * Makes segments ahead of need, so that beginning one costs the log neither blocks to allocate nor a sync: a file under
 * its final name with all its bytes there, zeros or those of a segment that was released. One is made at a time.
 */
export class Spares {
  readonly #options: SpareOptions
  readonly #pool: string[]
  #prepared: number | undefined
  #making: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #ended = false

  private constructor(options: SpareOptions, pool: string[], prepared: number | undefined) {
    this.#options = options
    this.#pool = pool
    this.#prepared = prepared
  }

  /** Takes up what an earlier life left. @param prepared the segment that recovery found not begun */
  static async open(options: SpareOptions, prepared: number | undefined): Promise<Spares> {
    const { fs, dir } = options
    const names = await fs.readdir(dir)
    for (const name of names) if (name.endsWith('.tmp')) await fs.remove(`${dir}/${name}`)
    // The name of the prepared segment may be known to the kernel only.
    await fs.syncDir(dir)
    return new Spares(options, names.filter(name => POOLED.test(name)).toSorted(), prepared)
  }

  /** Begins to make the segment in the background, unless it is there or under way. */
  prepare(sequence: number): void {
    if (this.#prepared !== undefined || this.#making !== undefined || this.#ended) return
    this.#making = this.#make(sequence)
      .then(
        made => {
          if (made) this.#prepared = sequence
        },
        (error: unknown) => {
          this.#failure = { error }
        },
      )
      .finally(() => {
        this.#making = undefined
      })
  }

  /**
   * The segment's file, to be written from its beginning. Waits for it when it is still being made.
   *
   * @throws what the disk said
   */
  async take(sequence: number): Promise<RaftFile> {
    this.prepare(sequence)
    await this.#making
    const { fs, dir } = this.#options
    const path = `${dir}/${segmentName(sequence)}`
    if (this.#prepared === sequence) {
      this.#prepared = undefined
      return fs.open(path, 'update')
    }
    this.check()
    // No room for a whole segment: the log goes on in a file that grows, for as long as it can.
    this.#failure = undefined
    const file = await fs.open(path, 'create')
    await fs.syncDir(dir)
    return file
  }

  /** @throws the failure of a segment made in the background, unless only the space for it was missing */
  check(): void {
    if (this.#failure !== undefined && !isNoSpace(this.#failure.error)) throw this.#failure.error
  }

  /** Puts a segment's file aside to be used again, or removes it. Not durable before the directory is synced. */
  async recycle(sequence: number, isUsable: boolean): Promise<void> {
    const { fs, dir } = this.#options
    const name = segmentName(sequence)
    if (!isUsable || this.#pool.length >= MAX_POOL) return fs.remove(`${dir}/${name}`)
    const pooled = name.replace(/wal$/, 'spare')
    await fs.rename(`${dir}/${name}`, `${dir}/${pooled}`)
    this.#pool.push(pooled)
  }

  /** Stops making segments; what is half made is left for the next start to remove. */
  async end(): Promise<void> {
    this.#ended = true
    await this.#making
  }

  /** @returns false when it was given up because of end() */
  async #make(sequence: number): Promise<boolean> {
    const { fs, dir } = this.#options
    const path = `${dir}/${segmentName(sequence)}`
    const pooled = this.#pool.shift()
    if (pooled !== undefined) await fs.rename(`${dir}/${pooled}`, path)
    else {
      const temporary = `${dir}/${segmentName(sequence)}.tmp`
      try {
        if (!(await this.#fill(temporary))) return false
      } catch (error) {
        await fs.remove(temporary).catch(() => undefined)
        throw error
      }
      await fs.rename(temporary, path)
    }
    await fs.syncDir(dir)
    return true
  }

  async #fill(path: string): Promise<boolean> {
    const { fs, segmentBytes } = this.#options
    const file = await fs.open(path, 'create')
    try {
      for (let at = 0; at < segmentBytes && !this.#ended; at += STEP_BYTES) {
        await file.zero(at, Math.min(at + STEP_BYTES, segmentBytes))
        await file.sync()
      }
    } finally {
      await file.close()
    }
    return !this.#ended
  }
}

/** The disk is well but full: what was not written is known not to be there, and may be tried again. */
export function isNoSpace(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code
  return code === 'ENOSPC' || code === 'EDQUOT'
}
