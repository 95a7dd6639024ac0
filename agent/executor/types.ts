import type {
  Config,
  ContainerStatus,
  LogEntry,
  LogsQuery,
  Node,
  NodeDescription,
  Port,
  Secret,
  Task,
} from '../../proto/index.ts'

/** What the engine says of a task's container, seen just now. */
export interface Observation {
  readonly phase: 'absent' | 'created' | 'running' | 'exited'
  /** Empty without a health check. */
  readonly health: '' | 'starting' | 'healthy' | 'unhealthy'
  /** Of an exited container. */
  readonly exitCode: number
  /** What a user reads: why an exited container did not end well, or what its last failing health probe said. */
  readonly error: string
  readonly container: ContainerStatus | null
  /** What the task's host-mode ports became. */
  readonly ports: readonly Port[]
}

export const ABSENT: Observation = {
  phase: 'absent',
  health: '',
  exitCode: 0,
  error: '',
  container: null,
  ports: [],
}

/** The secrets and configs that managers sent to this node. */
export interface TaskObjects {
  secret(id: string): Secret | undefined
  config(id: string): Config | undefined
  /** This node as templates see it. */
  node(): Node
}

/**
 * One task's container. Every call may be made again after any failure, and again by the next process: what is done
 * already is recognised and left alone. Errors are StatusErrors; Unavailable, DeadlineExceeded, Aborted and
 * ResourceExhausted are worth another try.
 */
export interface Controller {
  /** The state of the container. Never changes anything. */
  observe(): Promise<Observation>
  /** Names of secrets and configs the container needs and the managers have not sent; empty when nothing is missing. */
  missing(): readonly string[]
  /** Image, volumes, networks, files, container: everything but the start. Ends early when `signal` aborts. */
  prepare(signal: AbortSignal): Promise<void>
  /** Starts the container once in its life; one that was started before is left as it is. */
  start(): Promise<void>
  /** Stop signal, grace, kill. Resolves when the container does not run. */
  stop(): Promise<void>
  /** Wipes the secrets and configs of a container that will not run again. */
  release(): Promise<void>
  /** Removes the container, its anonymous volumes and its files. */
  remove(): Promise<void>
}

/** A container of this node's, as a list shows it. */
export interface ContainerSummary {
  readonly containerId: string
  readonly taskId: string
  readonly phase: 'created' | 'running' | 'exited'
}

/** Lines of one task's container, oldest first. */
export type LogLines = AsyncIterable<LogEntry>

/** What runs containers on this node. */
export interface Executor {
  /** A controller for the task; makes no call. */
  controller(task: Task, objects: TaskObjects): Controller
  /** Every container of this node that was made for a task, whatever its state. */
  list(): Promise<readonly ContainerSummary[]>
  /** Stops (with the container's own grace) and removes a container no task claims. */
  discard(containerId: string): Promise<void>
  /**
   * Calls `listener` with the id of a task whose container changed, or with undefined when any may have changed unseen.
   * Returns its end.
   */
  watch(listener: (taskId: string | undefined) => void): () => void
  /** Wipes files that tasks not among `taskIds` left behind. */
  tidy(taskIds: ReadonlySet<string>): Promise<void>
  /** What the node's engine and hardware are. */
  describe(): Promise<NodeDescription>
  /** @throws StatusError NotFound when the task has no container (yet) */
  logs(task: Task, query: LogsQuery, signal: AbortSignal): LogLines
}
