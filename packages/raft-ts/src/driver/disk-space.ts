import { RaftError } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { Leadership } from './leadership.ts'
import type { Loop } from './loop.ts'

/** Between two looks at the disk. In that time less is written than `minFreeBytes`: segments are made ahead of need. */
const LOOK_MS = 1000
/** Free space must exceed the mark by this much before proposals are taken again, so that the state does not flap. */
const RECOVERED = 1.25
/** A leader that is low on space hands over at most this often: the next one may be low too. */
const HAND_OVER_PAUSE_MS = 60_000
const MIB = 1024 * 1024

/**
 * Watches the free space of the member's disk. Below the mark the member takes no proposals, so that what is left serves
 * its votes, membership changes and a snapshot; a leader hands over to a member that may have room.
 */
export class DiskSpace {
  readonly #settings: Settings
  readonly #loop: Loop
  readonly #leadership: Leadership
  #freeBytes = Number.POSITIVE_INFINITY
  #low = false
  #isBlind = false
  #notBeforeMs = Number.NEGATIVE_INFINITY

  constructor(settings: Settings, loop: Loop, leadership: Leadership) {
    this.#settings = settings
    this.#loop = loop
    this.#leadership = leadership
  }

  start(): void {
    if (this.#settings.minFreeBytes === 0) return
    void this.#look()
    this.#loop.every('disk space', LOOK_MS, () => void this.#look())
  }

  get isLow(): boolean {
    return this.#low
  }

  /** @throws RaftError `DiskLow` naming the directory, what is free and what is needed */
  mustSuffice(): void {
    if (!this.#low) return
    const { dir, minFreeBytes } = this.#settings
    const [free, needed] = [this.#freeBytes, RECOVERED * minFreeBytes].map(mebibytes)
    throw new RaftError(
      'DiskLow',
      `the disk of ${dir} has ${free} free and ${needed} are needed: this member takes no changes until there is room; free some space there`,
    )
  }

  async #look(): Promise<void> {
    const { fs, dir, log, metrics, minFreeBytes } = this.#settings
    let freeBytes: number
    try {
      freeBytes = await fs.freeBytes(dir)
    } catch (error) {
      if (!this.#isBlind)
        log?.warn('the free space of the disk is not known', { dir, error: String(error) })
      this.#isBlind = true
      return
    }
    if (this.#loop.isStopped()) return
    this.#isBlind = false
    this.#freeBytes = freeBytes
    const wasLow = this.#low
    this.#low = freeBytes < (wasLow ? RECOVERED : 1) * minFreeBytes
    metrics?.disk?.(freeBytes, this.#low)
    const fields = { dir, freeBytes, minFreeBytes }
    if (this.#low && !wasLow)
      log?.error('the disk is nearly full; no changes are taken until there is room', fields)
    if (!this.#low && wasLow) log?.info('the disk has room again; changes are taken', fields)
    if (this.#low && this.#leadership.leads()) await this.#handOver()
  }

  /** To any voter in reach: which of them has room is not known here. */
  async #handOver(): Promise<void> {
    const { log, random } = this.#settings
    const heirs = this.#leadership.heirs()
    const heir = heirs[Math.floor(random() * heirs.length)]
    if (heir === undefined || this.#loop.nowMs < this.#notBeforeMs) return
    this.#notBeforeMs = this.#loop.nowMs + HAND_OVER_PAUSE_MS
    log?.info('the leadership is handed over, because the disk is nearly full', { to: heir })
    await this.#leadership
      .transfer(heir, undefined)
      .catch((error: unknown) => log?.warn('handing over failed', { error: String(error) }))
  }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`
}
