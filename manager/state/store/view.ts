import { StatusError } from '../../../runtime/errors.ts'
import type { Cluster, Task } from '../../../proto/index.ts'
import { resolve, taskByName } from './lookup.ts'
import type { TableSet } from './tables.ts'
import type { Kind, ReadTx, Tables } from './types.ts'

/** Reads of the committed tables. */
export class View implements ReadTx {
  readonly version: number
  protected readonly tables: TableSet

  constructor(tables: TableSet, version: number) {
    this.tables = tables
    this.version = version
  }

  get<K extends Kind>(kind: K, id: string): Tables[K] | undefined {
    return this.tables.of(kind).get(id)
  }

  list<K extends Kind>(kind: K): readonly Tables[K][] {
    return this.tables.of(kind).list()
  }

  byName<K extends Kind>(kind: K, name: string): readonly Tables[K][] {
    if (kind !== 'task') return this.named(kind, name)
    return taskByName(id => this.get('task', id), name) as readonly Tables[K][]
  }

  resolve<K extends Kind>(kind: K, reference: string): Tables[K] {
    return resolve(this, () => this.ids(kind), kind, reference)
  }

  tasksOfService(serviceId: string): readonly Task[] {
    return this.tables.tasks.ofService(serviceId)
  }

  tasksOnNode(nodeId: string): readonly Task[] {
    return this.tables.tasks.onNode(nodeId)
  }

  tasksOfSlot(serviceId: string, slot: number): readonly Task[] {
    return this.tables.tasks.ofSlot(serviceId, slot)
  }

  cluster(): Cluster {
    const cluster = this.list('cluster')[0]
    if (cluster !== undefined) return cluster
    throw new StatusError(
      'FailedPrecondition',
      'this node is not part of a cluster yet; use "skein swarm init" or "skein swarm join"',
    )
  }

  protected named<K extends Kind>(kind: K, name: string): readonly Tables[K][] {
    return this.tables.of(kind).byName(name)
  }

  protected ids(kind: Kind): Iterable<string> {
    return this.tables.of(kind).ids()
  }
}
