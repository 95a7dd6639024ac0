// The one history all managers must share: the first of them to apply a version writes it down, the others are compared
// with it, change by change and, where history was skipped, as a whole.
import { isDeepStrictEqual } from 'node:util'
import type { Change, ChangeBatch, Kind, ReadTx, Store } from '../../manager/state/store/types.ts'

const KINDS = [
  'cluster',
  'node',
  'service',
  'task',
  'network',
  'secret',
  'config',
  'volume',
  'container',
] as const satisfies readonly Kind[]

interface Object_ {
  readonly id: string
}

interface Moment {
  readonly version: number
  /** Of this batch's changes. */
  readonly batch: number
  /** Of the whole state after it. */
  readonly state: number
}

export interface HistoryDeps {
  /** A change nobody has seen before, in order. */
  changed(change: Change, version: number): void
  /** All changes of a version were told. */
  committed(version: number): void
  fail(what: string): void
}

export class History {
  readonly #deps: HistoryDeps
  readonly #moments: Moment[] = []
  readonly #objects = new Map<string, number>()
  readonly #current = new Map<string, Object_>()
  readonly #hashes = new WeakMap<object, number>()
  #digest = 0

  constructor(deps: HistoryDeps) {
    this.#deps = deps
  }

  get version(): number {
    return this.#moments.at(-1)?.version ?? 0
  }

  get length(): number {
    return this.#moments.length
  }

  /** Of the newest state. */
  get digest(): number {
    return this.#digest
  }

  /** Follows a manager's store from where it stands. Its end is never needed: a dead process applies nothing. */
  follow(name: string, store: Store): void {
    let at = this.#catchUp(name, store)
    store.watch(batch => {
      at = batch.reset ? this.#catchUp(name, store) : this.#take(name, batch, at)
    })
  }

  /** Compares the whole of a store with what its version should be. */
  compare(name: string, store: Store): void {
    const moment = this.#momentAt(store.version)
    const digest = store.view(tx => this.#digestOf(tx))
    if (digest !== (moment?.state ?? 0))
      this.#deps.fail(`${name}: its store at version ${store.version} differs from the others'`)
  }

  /** @returns the newest version with changes that `name` has */
  #take(name: string, batch: ChangeBatch, at: number): number {
    const { version } = batch
    if (version > this.version) {
      this.#write(batch.changes, version)
      return version
    }
    const index = this.#indexOf(version)
    const moment = this.#moments[index]
    if (moment?.version !== version)
      this.#deps.fail(`${name}: applied version ${version}, which others do not have`)
    else if ((this.#moments[index - 1]?.version ?? 0) > at)
      this.#deps.fail(
        `${name}: went from version ${at} to ${version}, leaving out what others have`,
      )
    else if (moment.batch !== this.#batchHash(batch.changes))
      this.#deps.fail(`${name}: applied version ${version} differently from the others`)
    return version
  }

  #catchUp(name: string, store: Store): number {
    if (store.version > this.version) store.view(tx => this.#adopt(tx))
    this.compare(name, store)
    return store.version
  }

  /** A member that restored or replayed more than anybody told: its difference becomes history. */
  #adopt(tx: ReadTx): void {
    const changes: Change[] = []
    const seen = new Set<string>()
    for (const kind of KINDS) {
      for (const after of tx.list(kind)) {
        const key = `${kind}/${after.id}`
        seen.add(key)
        const before = this.#current.get(key)
        if (before === undefined || this.#hash(before) !== this.#hash(after))
          changes.push({ kind, before, after } as unknown as Change)
      }
    }
    for (const [key, before] of this.#current) {
      if (!seen.has(key))
        changes.push({ kind: key.split('/')[0], before, after: undefined } as unknown as Change)
    }
    if (changes.length > 0) this.#write(changes, tx.version)
  }

  #write(changes: readonly Change[], version: number): void {
    for (const change of changes) {
      const id = (change.after ?? change.before)?.id ?? ''
      const key = `${change.kind}/${id}`
      this.#digest = plus(this.#digest, -(this.#objects.get(key) ?? 0))
      if (change.after) {
        const hash = this.#objectHash(key, change.after)
        this.#objects.set(key, hash)
        this.#current.set(key, change.after)
        this.#digest = plus(this.#digest, hash)
      } else {
        this.#objects.delete(key)
        this.#current.delete(key)
      }
    }
    this.#moments.push({ version, batch: this.#batchHash(changes), state: this.#digest })
    for (const change of changes) this.#deps.changed(change, version)
    this.#deps.committed(version)
  }

  #digestOf(tx: ReadTx): number {
    let digest = 0
    for (const kind of KINDS)
      for (const object of tx.list(kind))
        digest = plus(digest, this.#objectHash(`${kind}/${object.id}`, object))
    return digest
  }

  #batchHash(changes: readonly Change[]): number {
    let hash = 7
    for (const { kind, before, after } of changes)
      hash = mix(hash, this.#objectHash(`${kind}/${(after ?? before)?.id}`, after ?? {}))
    return hash
  }

  #objectHash(key: string, object: object): number {
    return mix(text(key), this.#hash(object))
  }

  /** Parts that objects share are looked at once. */
  #hash(object: object): number {
    const known = this.#hashes.get(object)
    if (known !== undefined) return known
    let hash = 1
    for (const [name, value] of Object.entries(object)) {
      const part =
        value !== null && typeof value === 'object'
          ? this.#hash(value as object)
          : text(String(value))
      hash = mix(hash, mix(text(name), part))
    }
    this.#hashes.set(object, hash)
    return hash
  }

  #momentAt(version: number): Moment | undefined {
    return this.#moments[this.#indexOf(version)]
  }

  /** Of the newest moment up to `version`; -1 before the first. */
  #indexOf(version: number): number {
    let low = 0
    let high = this.#moments.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#moments[middle]?.version ?? Infinity) <= version) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

/** Whether two parts of an object say the same; parts that are shared are quick. */
export function same(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b)
}

function plus(a: number, b: number): number {
  return (a + b) | 0
}

export function mix(a: number, b: number): number {
  const mixed = Math.imul(a ^ (b + 0x9e3779b9), 0x85ebca6b)
  return (mixed ^ (mixed >>> 15)) | 0
}

/** FNV-1a. */
export function text(value: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < value.length; at++)
    hash = Math.imul(hash ^ value.charCodeAt(at), 0x01000193)
  return hash | 0
}
