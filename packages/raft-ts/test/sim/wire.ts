// What is between the members: delay, loss, repetition, reordering, cuts in one or both directions.
export class Wire {
  readonly #side = new Map<number, number>()
  readonly #cutLinks = new Set<string>()
  readonly #estranged = new Set<string>()
  readonly #after: (delayMs: number, fn: () => void) => void
  #island = new Set<number>()

  constructor(after: (delayMs: number, fn: () => void) => void) {
    this.#after = after
  }

  passes(from: number, to: number): boolean {
    if ((this.#side.get(from) ?? 0) !== (this.#side.get(to) ?? 0)) return false
    if (this.#island.has(from) !== this.#island.has(to)) return false
    if (this.#cutLinks.size === 0 && this.#estranged.size === 0) return true
    const link = `${from} ${to}`
    return !this.#cutLinks.has(link) && !this.#estranged.has(link)
  }

  /** Cuts off some hosts from all others, until others are or the time is over. */
  isolate(ids: readonly number[], durationMs: number): void {
    const island = new Set(ids)
    this.#island = island
    this.#after(durationMs, () => {
      if (this.#island === island) this.#island = new Set()
    })
  }

  /** Two hosts do not hear each other for a while. */
  estrange(a: number, b: number, durationMs: number): void {
    const pairs = [`${a} ${b}`, `${b} ${a}`]
    for (const pair of pairs) this.#estranged.add(pair)
    this.#after(durationMs, () => {
      for (const pair of pairs) this.#estranged.delete(pair)
    })
  }

  /** Two sides that do not hear each other. */
  split(ids: readonly number[], random: () => number): void {
    for (const id of ids) this.#side.set(id, random() < 0.5 ? 0 : 1)
  }

  /** Single directions. */
  cut(ids: readonly number[], random: () => number): void {
    for (const a of ids) for (const b of ids) if (random() < 0.25) this.#cutLinks.add(`${a} ${b}`)
  }

  heal(): void {
    this.#side.clear()
    this.#cutLinks.clear()
    this.#estranged.clear()
    this.#island = new Set()
  }
}
