// The committed objects with their indexes. Objects are immutable; tables change in place and hand out arrays that
// are built at most once between two changes and never altered afterwards, so a reader may keep them.
import type { Task } from '../../../proto/index.ts'
import { KINDS, foldName, nameOf } from './kinds.ts'
import type { Kind, StoreObject, Tables } from './types.ts'

const NOTHING: readonly never[] = []

/** Objects by id, in order of insertion. */
export class Bucket<T extends { readonly id: string }> {
  readonly #byId = new Map<string, T>()
  #list: readonly T[] | undefined

  constructor(objects: readonly T[] = []) {
    for (const object of objects) this.#byId.set(object.id, object)
  }

  get size(): number {
    return this.#byId.size
  }

  get(id: string): T | undefined {
    return this.#byId.get(id)
  }

  ids(): Iterable<string> {
    return this.#byId.keys()
  }

  list(): readonly T[] {
    this.#list ??= [...this.#byId.values()]
    return this.#list
  }

  set(object: T): void {
    this.#byId.set(object.id, object)
    this.#list = undefined
  }

  delete(id: string): void {
    if (this.#byId.delete(id)) this.#list = undefined
  }
}

/** One kind's objects, by id and by folded name. */
export class Table<K extends Kind> {
  readonly #kind: K
  readonly #rows = new Bucket<Tables[K]>()
  readonly #names = new Map<string, readonly Tables[K][]>()

  constructor(kind: K) {
    this.#kind = kind
  }

  get size(): number {
    return this.#rows.size
  }

  get(id: string): Tables[K] | undefined {
    return this.#rows.get(id)
  }

  ids(): Iterable<string> {
    return this.#rows.ids()
  }

  list(): readonly Tables[K][] {
    return this.#rows.list()
  }

  byName(name: string): readonly Tables[K][] {
    return this.#names.get(foldName(name)) ?? NOTHING
  }

  put(object: Tables[K]): void {
    const before = this.#rows.get(object.id)
    this.#rows.set(object)
    this.#reindexName(before, object)
  }

  remove(id: string): void {
    const before = this.#rows.get(id)
    if (before === undefined) return
    this.#rows.delete(id)
    this.#reindexName(before, undefined)
  }

  #reindexName(before: Tables[K] | undefined, after: Tables[K] | undefined): void {
    const oldName = before === undefined ? '' : foldName(nameOf(this.#kind, before))
    const newName = after === undefined ? '' : foldName(nameOf(this.#kind, after))
    if (oldName !== '' && oldName !== newName)
      setOrDelete(this.#names, oldName, without(this.#names.get(oldName), before))
    if (newName === '' || after === undefined) return
    const same = oldName === newName ? before : undefined
    this.#names.set(newName, withOne(this.#names.get(newName), same, after))
  }
}

/** Most slots hold a task and a short history; all of a global service's tasks share slot 0. */
type Group = readonly Task[] | Bucket<Task>
const SMALL_GROUP = 16

/** A service's tasks: in order of creation, and by slot. */
class ServiceTasks extends Bucket<Task> {
  readonly slots = new Map<number, Group>()
  newest: Task | undefined
}

/** Tasks, also by service, slot and node. Tasks of no service or no node are indexed under ''. */
export class TaskTable extends Table<'task'> {
  readonly #services = new Map<string, ServiceTasks>()
  readonly #nodes = new Map<string, Bucket<Task>>()

  constructor() {
    super('task')
  }

  ofService(serviceId: string): readonly Task[] {
    return this.#services.get(serviceId)?.list() ?? NOTHING
  }

  ofSlot(serviceId: string, slot: number): readonly Task[] {
    const group = this.#services.get(serviceId)?.slots.get(slot) ?? NOTHING
    return group instanceof Bucket ? group.list() : group
  }

  /** The task of the service that was written last, if the service has tasks; it may have been deleted since. */
  newestOfService(serviceId: string): Task | undefined {
    return this.#services.get(serviceId)?.newest
  }

  onNode(nodeId: string): readonly Task[] {
    return this.#nodes.get(nodeId)?.list() ?? NOTHING
  }

  override put(task: Task): void {
    const before = this.get(task.id)
    super.put(task)
    if (before !== undefined && before.serviceId !== task.serviceId) this.#leaveService(before)
    else if (before !== undefined && before.slot !== task.slot) this.#leaveSlot(before)
    if (before !== undefined && before.nodeId !== task.nodeId) this.#leaveNode(before)
    const ofService = upsert(this.#services, task.serviceId, () => new ServiceTasks())
    ofService.set(task)
    ofService.newest = task
    const inSlot =
      before?.serviceId === task.serviceId && before.slot === task.slot ? before : undefined
    ofService.slots.set(task.slot, joined(ofService.slots.get(task.slot), inSlot, task))
    upsert(this.#nodes, task.nodeId, () => new Bucket<Task>()).set(task)
  }

  override remove(id: string): void {
    const before = this.get(id)
    super.remove(id)
    if (before === undefined) return
    this.#leaveService(before)
    this.#leaveNode(before)
  }

  #leaveService(task: Task): void {
    this.#leaveSlot(task)
    const tasks = this.#services.get(task.serviceId)
    tasks?.delete(task.id)
    if (tasks?.size === 0) this.#services.delete(task.serviceId)
  }

  #leaveSlot(task: Task): void {
    const slots = this.#services.get(task.serviceId)?.slots
    const group = slots?.get(task.slot)
    if (slots === undefined || group === undefined) return
    if (!(group instanceof Bucket)) setOrDelete(slots, task.slot, without(group, task))
    else if (group.size > 1) group.delete(task.id)
    else slots.delete(task.slot)
  }

  #leaveNode(task: Task): void {
    const tasks = this.#nodes.get(task.nodeId)
    tasks?.delete(task.id)
    if (tasks?.size === 0) this.#nodes.delete(task.nodeId)
  }
}

/** All tables of a store, or of what one transaction wrote. Tables are made when first asked for: most transactions touch one. */
export class TableSet {
  readonly #tables = new Map<Kind, Table<Kind>>()

  get tasks(): TaskTable {
    return this.of('task') as TaskTable
  }

  of<K extends Kind>(kind: K): Table<K> {
    return upsert(this.#tables, kind, () => {
      const made: unknown = kind === 'task' ? new TaskTable() : new Table(kind)
      return made as Table<Kind>
    }) as unknown as Table<K>
  }

  put(kind: Kind, object: StoreObject): void {
    this.of(kind).put(object)
  }

  /** What `object` probably has parts in common with: what it was, or for a new task the newest of its service. */
  resembling(kind: Kind, object: StoreObject): StoreObject | undefined {
    const before = this.of(kind).get(object.id)
    if (before !== undefined || kind !== 'task') return before
    return this.tasks.newestOfService((object as Task).serviceId)
  }

  /** How many objects there are of each kind. */
  counts(): Readonly<Record<Kind, number>> {
    return Object.fromEntries(KINDS.map(kind => [kind, this.of(kind).size])) as Record<Kind, number>
  }
}

function upsert<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const present = map.get(key)
  if (present !== undefined) return present
  const made = make()
  map.set(key, made)
  return made
}

function setOrDelete<K, T, V>(map: Map<K, readonly T[] | V>, key: K, list: readonly T[]): void {
  if (list.length === 0) map.delete(key)
  else map.set(key, list)
}

/** `list` with `after` in the place of `before`, or at the end. These lists are short: a slot's history, a name's holders. */
function withOne<T>(list: readonly T[] = NOTHING, before: T | undefined, after: T): readonly T[] {
  const at = before === undefined ? -1 : list.indexOf(before)
  return at < 0 ? [...list, after] : list.with(at, after)
}

function without<T>(list: readonly T[] = NOTHING, gone: T | undefined): readonly T[] {
  return list.filter(item => item !== gone)
}

function joined(group: Group = NOTHING, before: Task | undefined, after: Task): Group {
  if (!(group instanceof Bucket) && group.length < SMALL_GROUP) return withOne(group, before, after)
  const bucket = group instanceof Bucket ? group : new Bucket(group)
  bucket.set(after)
  return bucket
}
