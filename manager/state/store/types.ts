import type {
  Cluster,
  Config,
  ContainerWorkload,
  Network,
  Node,
  Secret,
  Service,
  StoreAction,
  Task,
  Volume,
} from '../../../proto/index.ts'

/** The tables of the store, by kind of object. */
export interface Tables {
  readonly cluster: Cluster
  readonly node: Node
  readonly service: Service
  readonly task: Task
  readonly network: Network
  readonly secret: Secret
  readonly config: Config
  readonly volume: Volume
  readonly container: ContainerWorkload
}
export type Kind = keyof Tables
export type StoreObject = Tables[Kind]

/** A consistent view at one version. Objects are immutable; hold them as long as you like. */
export interface ReadTx {
  /** Index of the last transaction the view has seen. */
  readonly version: number
  get<K extends Kind>(kind: K, id: string): Tables[K] | undefined
  /** In order of creation. */
  list<K extends Kind>(kind: K): readonly Tables[K][]
  /** By spec name, case-insensitive (Swarm row SV-03); for nodes by hostname. */
  byName<K extends Kind>(kind: K, name: string): readonly Tables[K][]
  /**
   * By id, exact name or unambiguous id prefix, in that order.
   * @throws StatusError NotFound "service web not found", or InvalidArgument naming the candidates when ambiguous
   */
  resolve<K extends Kind>(kind: K, reference: string): Tables[K]
  tasksOfService(serviceId: string): readonly Task[]
  tasksOnNode(nodeId: string): readonly Task[]
  tasksOfSlot(serviceId: string, slot: number): readonly Task[]
  /** The one cluster object. @throws StatusError FailedPrecondition before there is one */
  cluster(): Cluster
}

/** A view that records changes. Reads see the transaction's own writes. */
export interface Tx extends ReadTx {
  /** `meta` is filled in by the store. @throws StatusError AlreadyExists when the id or a unique name is taken */
  create<K extends Kind>(kind: K, object: Tables[K]): void
  /**
   * Replaces an object. `spec: true` says a user changed the spec: spec_version becomes this transaction's version.
   * @throws StatusError NotFound when it is gone, AlreadyExists on a unique name
   */
  update<K extends Kind>(kind: K, object: Tables[K], options?: { readonly spec?: boolean }): void
  /** Silent when it is already gone. */
  delete(kind: Kind, id: string): void
}

/** One object's change, as watchers see it. */
export type Change = {
  readonly [K in Kind]: {
    readonly kind: K
    readonly before: Tables[K] | undefined
    readonly after: Tables[K] | undefined
  }
}[Kind]

/** All changes of one committed transaction. `reset`: history was skipped (a snapshot came in), list everything anew. */
export interface ChangeBatch {
  readonly version: number
  readonly changes: readonly Change[]
  readonly reset?: boolean
}

export interface UpdateOptions {
  /** Who asks, for the audit: a node id or "loop:<name>". */
  readonly author?: string
  /** Limit for commit, in ms. Default 10,000. */
  readonly timeoutMs?: number
  /**
   * A loop's pass: what it read and did not change it tells nobody, and it looks again. When it writes nothing, no majority
   * has to confirm that what it read is current.
   */
  readonly ownUse?: boolean
}

/** A return type that refuses promises, so that no await can slip into a transaction. */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T

export interface Store {
  view<T>(read: (tx: ReadTx) => Synchronous<T>): T
  /**
   * Runs `change` on the current state and commits what it wrote through the Proposer; resolves with its return value
   * once a majority has it and it is applied here. When another transaction changed an object in between, `change`
   * runs again on the new state (at most 20 times), so it must be repeatable.
   * A transaction that wrote nothing, or threw, proposes nothing: it is a read, and runs again on a state that is confirmed
   * to hold all that was ever acknowledged.
   *
   * @throws StatusError Unavailable (no leader here), Aborted (outcome unknown: leadership was lost while it was in
   *   flight, or too many conflicts), ResourceExhausted (over 1.5 MiB), DeadlineExceeded, or what `change` threw
   */
  update<T>(change: (tx: Tx) => Synchronous<T>, options?: UpdateOptions): Promise<T>
  /**
   * Makes many changes that do not depend on each other in as few transactions as hold them: one is committed when it has
   * 200 changes or three quarters of 1.5 MiB. Not atomic: when a later transaction fails, what was committed before it
   * stays. `change` writes what belongs to one item, which is never parted; it must be repeatable, as in update().
   *
   * @returns how many transactions it took, those that wrote nothing included
   * @throws StatusError as update(); ResourceExhausted for a single item over 1.5 MiB
   */
  batch<T>(
    items: readonly T[],
    change: (tx: Tx, item: T) => void,
    options?: UpdateOptions,
  ): Promise<number>
  /** Calls `listener` after every commit, in order, synchronously after it is applied. Returns its cancel. */
  watch(listener: (batch: ChangeBatch) => void): () => void
  /**
   * The changes since `version` (exclusive), from a bounded ring.
   * @throws StatusError OutOfRange when the ring no longer has them: list and watch from now
   */
  since(version: number): readonly ChangeBatch[]
  readonly version: number
}

/** Where the store's changes become durable. */
export interface Proposer {
  /**
   * Resolves once the transaction is committed and applied to the local store.
   * `conflict` is false when it was applied; otherwise it names the object that had changed, and nothing was.
   * @throws StatusError as Store.update
   */
  propose(
    actions: readonly StoreAction[],
    options: { readonly author: string; readonly timeoutMs: number },
  ): Promise<{ readonly version: number; readonly conflict: string | false }>
  /**
   * Resolves when the local store holds everything that was acknowledged anywhere before the call. Absent where the local
   * store is the only one.
   *
   * @throws StatusError Unavailable when no majority says so in time
   */
  confirm?(timeoutMs: number): Promise<void>
}
