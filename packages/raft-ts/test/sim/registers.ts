import type { StateMachine } from '../../src/index.ts'

export interface Applied {
  readonly term: number
  readonly text: string
  /** The index of the entry applied before. */
  readonly previous: number
  /** Over everything applied up to here. */
  readonly hash: number
}

interface State {
  readonly index: number
  readonly hash: number
  readonly values: readonly (readonly [string, string])[]
  /** Snapshots of several chunks are needed too. */
  readonly ballast: string
}

const BALLAST_BYTES_MAX = 600

/** Registers by key, written by entries `key=value`, and a hash over all that was ever applied. */
export class Registers implements StateMachine {
  index = 0
  hash = 0
  readonly #values = new Map<string, string>()
  onApply: (index: number, now: Applied) => void = () => undefined
  onRestore: (index: number, hash: number) => void = () => undefined

  get(key: string): string | undefined {
    return this.#values.get(key)
  }

  apply(entries: readonly { index: number; term: number; data: Uint8Array }[]): readonly unknown[] {
    return entries.map(({ index, term, data }) => {
      const text = new TextDecoder().decode(data)
      const previous = this.index
      const [key = '', value = ''] = text.split('=')
      this.#values.set(key, value)
      this.index = index
      this.hash = mixText(mix(mix(this.hash, index), term), text)
      this.onApply(index, { term, text, previous, hash: this.hash })
      return `did ${text}`
    })
  }

  snapshot(): Uint8Array {
    const { index, hash } = this
    const ballast = '.'.repeat(Math.min(index * 4, BALLAST_BYTES_MAX))
    const state: State = { index, hash, values: [...this.#values], ballast }
    return new TextEncoder().encode(JSON.stringify(state))
  }

  restore(snapshot: Uint8Array): void {
    const state = JSON.parse(new TextDecoder().decode(snapshot)) as State
    this.#values.clear()
    for (const [key, value] of state.values) this.#values.set(key, value)
    this.index = state.index
    this.hash = state.hash
    this.onRestore(state.index, state.hash)
  }
}

export function mix(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x01000193) >>> 0
}

function mixText(hash: number, text: string): number {
  let mixed = hash
  for (let i = 0; i < text.length; i++) mixed = mix(mixed, text.charCodeAt(i))
  return mixed
}
