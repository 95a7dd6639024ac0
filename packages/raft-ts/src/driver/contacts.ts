/** When each peer was last heard from. */
export class Contacts {
  readonly #self: number
  readonly #reachMs: number
  readonly #nowMs: () => number
  readonly #heardMs = new Map<number, number>()

  /** @param reachMs who was silent for longer is out of reach */
  constructor(self: number, reachMs: number, nowMs: () => number) {
    this.#self = self
    this.#reachMs = reachMs
    this.#nowMs = nowMs
  }

  heard(from: number): void {
    this.#heardMs.set(from, this.#nowMs())
  }

  heardSince(id: number, sinceMs: number): boolean {
    return (this.#heardMs.get(id) ?? 0) > sinceMs
  }

  /** @returns how long ago the last message came, undefined when none has come */
  agoMs(id: number): number | undefined {
    const atMs = this.#heardMs.get(id)
    return atMs === undefined ? undefined : this.#nowMs() - atMs
  }

  inReach(id: number): boolean {
    if (id === this.#self) return true
    const agoMs = this.agoMs(id)
    return agoMs !== undefined && agoMs <= this.#reachMs
  }
}
