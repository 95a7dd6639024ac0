import { messageOf } from '../../runtime/errors.ts'
import { parseBytes, parseDurationMs } from '../resource/parse.ts'
import { nearest } from './suggest.ts'
import type { Source, Tree } from './tree.ts'

/** Keys that are known and cannot be honoured, with what to do instead. */
export type Refusals = Readonly<Record<string, string>>

/** A value of a compose file, read with its path and place: `compose.yml:7:5: services.web.ports[0]: …`. */
export class Reader {
  readonly #tree: Tree
  readonly #source: Source
  readonly #path: string

  constructor(tree: Tree, source: Source, path: string) {
    this.#tree = tree
    this.#source = source
    this.#path = path
  }

  get path(): string {
    return this.#path
  }
  get isMap(): boolean {
    return this.#tree.kind === 'map'
  }
  get isList(): boolean {
    return this.#tree.kind === 'list'
  }
  get isNull(): boolean {
    return this.#tree.kind === 'scalar' && this.#tree.value === null
  }
  /** A number as YAML has it; quoted digits are text. */
  get isNumber(): boolean {
    return this.#tree.kind === 'scalar' && typeof this.#tree.value === 'number'
  }

  fail(message: string): never {
    const head = this.#path === '' ? '' : `${this.#path}: `
    return this.#source.fail(this.#tree.pos, `${head}${message}`)
  }

  warn(message: string): void {
    this.#source.warn(this.#tree.pos, `${this.#path}: ${message}`)
  }

  /** Runs a parser that throws in its own words, and says where. */
  parsed<T>(parse: (text: string) => T): T {
    const text = this.text()
    try {
      return parse(text)
    } catch (error) {
      return this.fail(messageOf(error))
    }
  }

  /** The entries of a map, in order; an absent value counts as an empty map. */
  entries(): readonly (readonly [string, Reader])[] {
    if (this.isNull) return []
    if (this.#tree.kind !== 'map') return this.fail(`must be a mapping, is ${this.#what()}`)
    return [...this.#tree.entries].map(
      ([key, { value }]) => [key, new Reader(value, this.#source, join(this.#path, key))] as const,
    )
  }

  /** The map's value of `key`, undefined when it has none or null. */
  get(key: string): Reader | undefined {
    const value = this.entries().find(([name]) => name === key)?.[1]
    return value === undefined || value.isNull ? undefined : value
  }

  /** Whether the map has the key, even without a value. */
  has(key: string): boolean {
    return this.entries().some(([name]) => name === key)
  }

  /**
   * Refuses what nobody would honour: keys that are not `known`, with the nearest one that is, and the `refused` ones,
   * with what to do instead. Keys that start with `x-` are the user's own.
   */
  only(known: readonly string[], refused: Refusals = {}): this {
    if (this.#tree.kind === 'map')
      for (const [key, { keyPos }] of this.#tree.entries) {
        if (known.includes(key) || key.startsWith('x-')) continue
        const why = Object.hasOwn(refused, key) ? refused[key] : undefined
        const near = nearest(key, known)
        this.#source.fail(
          keyPos,
          why === undefined
            ? `${join(this.#path, key)}: unknown key "${key}"${near === undefined ? '' : `; did you mean "${near}"?`}`
            : `${join(this.#path, key)}: ${why}`,
        )
      }
    else if (!this.isNull) this.fail(`must be a mapping, is ${this.#what()}`)
    return this
  }

  items(): readonly Reader[] {
    if (this.isNull) return []
    if (this.#tree.kind !== 'list') return this.fail(`must be a list, is ${this.#what()}`)
    return this.#tree.items.map((item, i) => new Reader(item, this.#source, `${this.#path}[${i}]`))
  }

  /** One text or a list of them. */
  oneOrMore(): readonly string[] {
    return this.isList ? this.items().map(item => item.text()) : [this.text()]
  }

  /** A text, or a number or truth value as it was written. */
  text(): string {
    if (this.#tree.kind !== 'scalar' || this.#tree.value === null)
      return this.fail(`must be a text, is ${this.#what()}`)
    return this.#tree.source
  }

  boolean(): boolean {
    const value = this.#tree.kind === 'scalar' ? this.#tree.value : null
    if (typeof value === 'boolean') return value
    // What a variable put there is text.
    if (typeof value === 'string' && /^(true|false|yes|no|on|off|y|n)$/i.test(value))
      return /^(true|yes|on|y)$/i.test(value)
    return this.fail(`must be true or false, is ${this.#what()}`)
  }

  number(): number {
    const value = this.#tree.kind === 'scalar' ? this.#tree.value : null
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    if (typeof number === 'number' && Number.isFinite(number)) return number
    return this.fail(`must be a number, is ${this.#what()}`)
  }

  /** A whole number between `min` and `max`. */
  integer(min: number, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.number()
    if (Number.isInteger(value) && value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `between ${min} and ${max}`
    return this.fail(`must be a whole number, ${range}, is ${value}`)
  }

  durationMs(): number {
    return this.parsed(parseDurationMs)
  }

  bytes(): number {
    return this.parsed(parseBytes)
  }

  /** The value that a word stands for. */
  choice<T>(choices: Readonly<Record<string, T>>): T {
    const word = this.text()
    const chosen = Object.hasOwn(choices, word) ? choices[word] : undefined
    if (chosen !== undefined) return chosen
    return this.fail(`must be ${Object.keys(choices).join(', ')}, is "${word}"`)
  }

  /** A file mode: YAML's 0444 and "0444" are octal to everyone who writes them. */
  fileMode(): number {
    const text = this.text().replace(/^0o/i, '')
    if (/^[0-7]{1,5}$/.test(text)) return Number.parseInt(text, 8)
    return this.fail(`must be a file mode such as 0440, is "${this.text()}"`)
  }

  /** `a: b` or `- a=b`; a key without value gets `fallback(key)`, or is left out when that is undefined. */
  mapping(fallback: (key: string) => string | undefined): ReadonlyMap<string, string> {
    const out = new Map<string, string>()
    const add = (key: string, value: string | undefined): void => {
      if (value === undefined) out.delete(key)
      else out.set(key, value)
    }
    if (this.isList)
      for (const item of this.items()) {
        const [, key = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(item.text()) ?? []
        if (key === '') item.fail('must be KEY=value')
        add(key, value ?? fallback(key))
      }
    else
      for (const [key, value] of this.entries())
        add(key, value.isNull ? fallback(key) : value.text())
    return out
  }

  /** A mapping whose keys without value are empty: labels, options. */
  texts(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.mapping(() => ''))
  }

  #what(): string {
    if (this.#tree.kind !== 'scalar') return this.#tree.kind === 'map' ? 'a mapping' : 'a list'
    return this.#tree.value === null ? 'empty' : JSON.stringify(this.#tree.value)
  }
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}
