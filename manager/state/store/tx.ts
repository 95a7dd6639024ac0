import { StatusError } from '../../../runtime/errors.ts'
import { ActionKind, type Meta, type StoreAction, type Task } from '../../../proto/index.ts'
import { KINDS, SPEC_CHANGED, actionOf, describe, hasUniqueNames, metaOf, nameOf } from './kinds.ts'
import { TableSet } from './tables.ts'
import type { Kind, StoreObject, Tables, Tx } from './types.ts'
import { View } from './view.ts'

/** What a transaction did to one object. */
interface Write {
  /** As it was committed; undefined when it was not there. */
  readonly base: StoreObject | undefined
  /** Deleted and made anew: it goes to the end, and watchers see both. */
  readonly replaced: boolean
}

/** An overlay over the committed tables. `actions()` is what it wrote, one net change an object. */
export class Transaction extends View implements Tx {
  /** Told of every write; without an object it is a deletion. */
  onWrite: ((kind: Kind, object: StoreObject | undefined) => void) | undefined
  readonly #nowMs: number
  readonly #written = new TableSet()
  readonly #writes = new Map<Kind, Map<string, Write>>()

  constructor(tables: TableSet, version: number, nowMs: number) {
    super(tables, version)
    this.#nowMs = nowMs
  }

  create<K extends Kind>(kind: K, object: Tables[K]): void {
    if (object.id === '') throw new StatusError('InvalidArgument', `${kind}: an id is needed`)
    if (this.get(kind, object.id) !== undefined) {
      throw new StatusError('AlreadyExists', `${kind} ${object.id} already exists`)
    }
    this.#claimName(kind, object)
    const base = this.tables.of(kind).get(object.id)
    this.#record(kind, object.id, { base, replaced: base !== undefined })
    this.#put(kind, object, {
      version: 0,
      specVersion: SPEC_CHANGED,
      createdAtMs: this.#nowMs,
      updatedAtMs: this.#nowMs,
    })
  }

  update<K extends Kind>(
    kind: K,
    object: Tables[K],
    options: { readonly spec?: boolean } = {},
  ): void {
    const before = this.get(kind, object.id)
    if (before === undefined) {
      throw new StatusError('NotFound', `${describe(kind, object)} not found: it was removed`)
    }
    const known = metaOf(before)
    const read = object.meta?.version ?? 0
    // Writing back what was read before someone else's change would undo that change unseen.
    if (read !== 0 && read !== known.version) {
      throw new StatusError(
        'Aborted',
        `${describe(kind, object)} was read at version ${read} and is at ${known.version} by now; read it in the transaction that updates it`,
      )
    }
    this.#claimName(kind, object)
    if (!this.#writes.get(kind)?.has(object.id)) {
      this.#record(kind, object.id, { base: before, replaced: false })
    }
    this.#put(kind, object, {
      version: known.version,
      specVersion: options.spec === true ? SPEC_CHANGED : known.specVersion,
      createdAtMs: known.createdAtMs,
      updatedAtMs: this.#nowMs,
    })
  }

  delete(kind: Kind, id: string): void {
    if (this.get(kind, id) === undefined) return
    const base = this.tables.of(kind).get(id)
    this.#record(kind, id, { base, replaced: false })
    this.#written.of(kind).remove(id)
    this.onWrite?.(kind, undefined)
  }

  override get<K extends Kind>(kind: K, id: string): Tables[K] | undefined {
    return this.#writes.get(kind)?.has(id) ? this.#written.of(kind).get(id) : super.get(kind, id)
  }

  override list<K extends Kind>(kind: K): readonly Tables[K][] {
    return this.#merge(kind, super.list(kind), () => this.#written.of(kind).list())
  }

  override tasksOfService(serviceId: string): readonly Task[] {
    return this.#merge('task', super.tasksOfService(serviceId), () =>
      this.#written.tasks.ofService(serviceId),
    )
  }

  override tasksOnNode(nodeId: string): readonly Task[] {
    return this.#merge('task', super.tasksOnNode(nodeId), () => this.#written.tasks.onNode(nodeId))
  }

  override tasksOfSlot(serviceId: string, slot: number): readonly Task[] {
    return this.#merge('task', super.tasksOfSlot(serviceId, slot), () =>
      this.#written.tasks.ofSlot(serviceId, slot),
    )
  }

  /** The net changes, in order of kind and of first write; empty when nothing was written. */
  actions(): StoreAction[] {
    const actions: StoreAction[] = []
    for (const kind of KINDS) {
      for (const [id, { base, replaced }] of this.#writes.get(kind) ?? []) {
        const after: StoreObject | undefined = this.#written.of(kind).get(id)
        const baseVersion = base === undefined ? 0 : metaOf(base).version
        if (base !== undefined && after !== undefined && !replaced) {
          actions.push(actionOf(ActionKind.UPDATE, baseVersion, kind, after))
          continue
        }
        if (base !== undefined) actions.push(actionOf(ActionKind.DELETE, baseVersion, kind, base))
        if (after !== undefined) actions.push(actionOf(ActionKind.CREATE, 0, kind, after))
      }
    }
    return actions
  }

  protected override named<K extends Kind>(kind: K, name: string): readonly Tables[K][] {
    return this.#merge(kind, super.named(kind, name), () => this.#written.of(kind).byName(name))
  }

  protected override *ids(kind: Kind): Iterable<string> {
    const writes = this.#writes.get(kind)
    for (const id of super.ids(kind)) if (!writes?.has(id)) yield id
    yield* this.#written.of(kind).ids()
  }

  /** Committed objects with this transaction's writes in their places, then what it added. */
  #merge<K extends Kind>(
    kind: K,
    committed: readonly Tables[K][],
    written: () => readonly Tables[K][],
  ): readonly Tables[K][] {
    const writes = this.#writes.get(kind)
    if (writes === undefined) return committed
    const left = new Map(written().map(object => [object.id, object]))
    const merged: Tables[K][] = []
    for (const object of committed) {
      const write = writes.get(object.id)
      if (write === undefined) {
        merged.push(object)
        continue
      }
      const own = left.get(object.id)
      if (own === undefined || write.replaced) continue
      merged.push(own)
      left.delete(object.id)
    }
    return left.size === 0 ? merged : [...merged, ...left.values()]
  }

  #claimName(kind: Kind, object: StoreObject): void {
    const name = nameOf(kind, object)
    if (name === '' || !hasUniqueNames(kind)) return
    const holder = this.named(kind, name).find(other => other.id !== object.id)
    if (holder === undefined) return
    const held = nameOf(kind, holder)
    const spelling = held === name ? '' : ` as ${held}: names must differ by more than case`
    throw new StatusError('AlreadyExists', `${kind} ${name} already exists${spelling}`)
  }

  #record(kind: Kind, id: string, write: Write): void {
    const writes = this.#writes.get(kind) ?? new Map<string, Write>()
    this.#writes.set(kind, writes)
    writes.set(id, write)
  }

  #put(kind: Kind, object: StoreObject, meta: Meta): void {
    this.#written.put(kind, { ...object, meta } as StoreObject)
    this.onWrite?.(kind, object)
  }
}
