import {
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  type Document,
  type Node,
} from 'yaml'
import { StatusError, messageOf } from '../../runtime/errors.ts'
import { interpolate } from './interpolate.ts'

// A compose file as a tree that knows where each value stands: aliases and merge keys resolved, variables replaced.

export type Scalar = string | number | boolean | null

export type Tree =
  | { readonly kind: 'map'; readonly pos: number; readonly entries: ReadonlyMap<string, Entry> }
  | { readonly kind: 'list'; readonly pos: number; readonly items: readonly Tree[] }
  | {
      readonly kind: 'scalar'
      readonly pos: number
      readonly value: Scalar
      readonly source: string
    }

export interface Entry {
  readonly keyPos: number
  readonly value: Tree
}

/** Where errors and warnings of one file go. */
export interface Source {
  readonly fail: (pos: number, message: string) => never
  readonly warn: (pos: number, message: string) => void
}

const NODES_MAX = 100_000
const DEPTH_MAX = 64

/** @throws StatusError InvalidArgument `file:line:column: …` */
export function readTree(
  text: string,
  fileName: string,
  env: Readonly<Record<string, string | undefined>>,
  warnings: string[],
): { readonly tree: Tree; readonly source: Source } {
  const lineCounter = new LineCounter()
  const place = (pos: number): string => {
    const { line, col } = lineCounter.linePos(pos)
    return `${fileName}:${line}:${col}`
  }
  const source: Source = {
    fail: (pos, message) => {
      throw new StatusError('InvalidArgument', `${place(pos)}: ${message}`)
    },
    warn: (pos, message) => warnings.push(`${place(pos)}: ${message}`),
  }
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) source.fail(error.pos[0], error.message)
  const tree =
    document.contents === null
      ? source.fail(0, 'the file is empty')
      : new Builder(document, source, env).build(document.contents, 0)
  return { tree, source }
}

class Builder {
  readonly #document: Document
  readonly #source: Source
  readonly #env: Readonly<Record<string, string | undefined>>
  readonly #warned = new Set<string>()
  #nodes = 0

  constructor(
    document: Document,
    source: Source,
    env: Readonly<Record<string, string | undefined>>,
  ) {
    this.#document = document
    this.#source = source
    this.#env = env
  }

  build(node: unknown, depth: number, at = 0): Tree {
    const pos = (node as Node | null)?.range?.[0] ?? at
    // Aliases let a small file be huge or endless.
    if (++this.#nodes > NODES_MAX) this.#source.fail(pos, 'the file has too many values')
    if (depth > DEPTH_MAX) this.#source.fail(pos, 'the file is nested too deeply')
    if (isAlias(node)) {
      const target = node.resolve(this.#document)
      if (target === undefined) return this.#source.fail(pos, `unknown anchor "${node.source}"`)
      return this.build(target, depth + 1, pos)
    }
    if (isMap(node)) return { kind: 'map', pos, entries: this.#entries(node.items, depth, pos) }
    if (isSeq(node))
      return { kind: 'list', pos, items: node.items.map(item => this.build(item, depth + 1, pos)) }
    if (isScalar(node)) {
      const value: unknown = node.value
      if (typeof value === 'string') {
        const text = this.#interpolate(value, pos)
        return { kind: 'scalar', pos, value: text, source: text }
      }
      if (value === null || typeof value === 'number' || typeof value === 'boolean')
        return { kind: 'scalar', pos, value, source: node.source ?? String(value) }
      if (typeof value === 'bigint')
        return { kind: 'scalar', pos, value: Number(value), source: String(value) }
    }
    return node === null || node === undefined
      ? { kind: 'scalar', pos, value: null, source: '' }
      : this.#source.fail(pos, 'a value of this kind cannot be used here')
  }

  #entries(
    items: readonly { readonly key: unknown; readonly value: unknown }[],
    depth: number,
    pos: number,
  ): ReadonlyMap<string, Entry> {
    const own = new Map<string, Entry>()
    const merged: ReadonlyMap<string, Entry>[] = []
    for (const { key, value } of items) {
      const keyPos = (key as Node | null)?.range?.[0] ?? pos
      if (!isScalar(key)) return this.#source.fail(keyPos, 'a key must be a plain word')
      const name = String(key.value)
      const tree = this.build(value, depth + 1, keyPos)
      if (name === '<<') merged.push(...this.#merge(tree))
      else own.set(name, { keyPos, value: tree })
    }
    // A map's own keys win, then the first map that was merged.
    for (const entries of merged)
      for (const [name, entry] of entries) if (!own.has(name)) own.set(name, entry)
    return own
  }

  #merge(tree: Tree): readonly ReadonlyMap<string, Entry>[] {
    if (tree.kind === 'map') return [tree.entries]
    if (tree.kind === 'list') return tree.items.flatMap(item => this.#merge(item))
    return this.#source.fail(tree.pos, 'only maps can be merged with <<')
  }

  #interpolate(text: string, pos: number): string {
    try {
      const { text: out, unset } = interpolate(text, this.#env)
      for (const name of unset)
        if (!this.#warned.has(name)) {
          this.#warned.add(name)
          this.#source.warn(pos, `the "${name}" variable is not set, it becomes an empty text`)
        }
      return out
    } catch (error) {
      return this.#source.fail(pos, messageOf(error))
    }
  }
}
