/** Turns, by name: who enters a lane waits until everyone before it has left. */
export class Lanes {
  readonly #tails = new Map<string, Promise<void>>()

  /** Resolves when it is the caller's turn, with the function that ends it. */
  async enter(name: string): Promise<() => void> {
    const before = this.#tails.get(name)
    let end = (): void => undefined
    const turn = new Promise<void>(resolve => {
      end = resolve
    })
    this.#tails.set(name, turn)
    await before
    return () => {
      if (this.#tails.get(name) === turn) this.#tails.delete(name)
      end()
    }
  }
}
