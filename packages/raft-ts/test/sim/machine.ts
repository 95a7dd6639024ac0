import type { StateMachine } from '../../src/index.ts'

/** A set of texts in the order they were applied, and a hash over all of it. */
export class Machine implements StateMachine {
  texts: string[] = []
  index = 0
  onApply: (index: number, now: { term: number; text: string; previous: number }) => void = () =>
    undefined
  onRestore: () => void = () => undefined

  apply(entries: readonly { index: number; term: number; data: Uint8Array }[]): readonly unknown[] {
    return entries.map(entry => {
      if (entry.index <= this.index) throw new Error(`entry ${entry.index} applied twice`)
      const text = new TextDecoder().decode(entry.data)
      const previous = this.index
      this.index = entry.index
      this.texts.push(text)
      this.onApply(entry.index, { term: entry.term, text, previous })
      return `did ${text}`
    })
  }

  snapshot(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify({ index: this.index, texts: this.texts }))
  }

  restore(snapshot: Uint8Array): void {
    const state = JSON.parse(new TextDecoder().decode(snapshot)) as {
      index: number
      texts: string[]
    }
    this.index = state.index
    this.texts = state.texts
    this.onRestore()
  }
}
