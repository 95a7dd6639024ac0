import { StatusError } from '../../../runtime/errors.ts'
import type { ChangeBatch } from './types.ts'

/** The newest change batches, bounded by the number of changes they hold. */
export class ChangeRing {
  readonly #maxChanges: number
  #batches: ChangeBatch[] = []
  #first = 0
  #changes = 0
  /** Everything after this version is here. */
  #floor: number

  constructor(maxChanges: number, floor = 0) {
    this.#maxChanges = maxChanges
    this.#floor = floor
  }

  push(batch: ChangeBatch): void {
    this.#batches.push(batch)
    this.#changes += batch.changes.length
    while (this.#changes > this.#maxChanges) {
      const oldest = this.#batches[this.#first]
      if (oldest === undefined) break
      this.#first += 1
      this.#changes -= oldest.changes.length
      this.#floor = oldest.version
    }
    // The head is cut off when it has become half of the array, so a push costs a constant on average.
    if (this.#first * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#first)
      this.#first = 0
    }
  }

  /** Forgets everything: what is known now begins after `floor`. */
  reset(floor: number): void {
    this.#batches = []
    this.#first = 0
    this.#changes = 0
    this.#floor = floor
  }

  /** @throws StatusError OutOfRange when batches after `version` are gone */
  since(version: number): readonly ChangeBatch[] {
    if (version < this.#floor) {
      throw new StatusError(
        'OutOfRange',
        `the changes after version ${version} are gone (kept since ${this.#floor}); list everything and watch from there`,
      )
    }
    let low = this.#first
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#batches[middle]?.version ?? 0) <= version) low = middle + 1
      else high = middle
    }
    return this.#batches.slice(low)
  }
}
