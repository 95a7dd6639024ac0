const SAMPLES = 1_000

/** The durations of the last thousand syncs, for a percentile of the present and not of all time. */
export class FsyncWindow {
  readonly #seconds = new Float64Array(SAMPLES)
  #count = 0

  observe(seconds: number): void {
    this.#seconds[this.#count % SAMPLES] = seconds
    this.#count += 1
  }

  /** The nearest-rank 99th percentile in seconds; 0 before the first sync. */
  p99(): number {
    const known = this.#seconds.slice(0, Math.min(this.#count, SAMPLES)).toSorted()
    return known[Math.ceil(known.length * 0.99) - 1] ?? 0
  }
}
