import { type Task, TaskState } from '../../proto/index.ts'

// What a task's two states mean. Swarm rows TS-01, TS-02, PL-07, PL-21: reservations look at the observed state,
// counts for spreading at the desired one.

/** The state names users see, by state. */
const STATE_NAMES: Readonly<Record<TaskState, string>> = {
  [TaskState.NEW]: 'new',
  [TaskState.PENDING]: 'pending',
  [TaskState.ASSIGNED]: 'assigned',
  [TaskState.ACCEPTED]: 'accepted',
  [TaskState.PREPARING]: 'preparing',
  [TaskState.READY]: 'ready',
  [TaskState.STARTING]: 'starting',
  [TaskState.RUNNING]: 'running',
  [TaskState.COMPLETE]: 'complete',
  [TaskState.SHUTDOWN]: 'shutdown',
  [TaskState.FAILED]: 'failed',
  [TaskState.REJECTED]: 'rejected',
  [TaskState.REMOVE]: 'remove',
  [TaskState.ORPHANED]: 'orphaned',
}

const STATES = new Map<string, TaskState>(
  Object.entries(STATE_NAMES).map(([state, name]) => [name, Number(state) as TaskState]),
)

/** A state in lower case as `docker service ps --filter` takes it; a number nobody knows is named `state-<n>`. */
export function stateName(state: TaskState): string {
  return STATE_NAMES[state] ?? `state-${state}`
}

/** The state of a name in any case; undefined when it names none. */
export function stateFromName(name: string): TaskState | undefined {
  return STATES.get(name.toLowerCase())
}

/** The observed state; NEW before anybody observed one. */
export function observedState(task: Task): TaskState {
  return task.status?.state ?? TaskState.NEW
}

/** Whether the state is final: the container will never run (again). */
export function isTerminal(state: TaskState): boolean {
  return state >= TaskState.COMPLETE
}

/** Whether the task runs or may still come to run: neither told to stop nor seen stopped. */
export function isRunnable(task: Task): boolean {
  return task.desiredState <= TaskState.RUNNING && observedState(task) <= TaskState.RUNNING
}

/**
 * Whether the task occupies its node's reservations and host ports: from its assignment until it is *seen* stopped,
 * however long ago it was told to stop (rows PL-07, PL-10).
 */
export function holdsResources(task: Task): boolean {
  const state = observedState(task)
  return task.nodeId !== '' && state >= TaskState.ASSIGNED && state <= TaskState.RUNNING
}

/** Whether the task counts for spreading and for replicas per node: desired up to COMPLETE (row PL-21). */
export function isActive(task: Task): boolean {
  return task.desiredState <= TaskState.COMPLETE
}

/** `web.2`; `web.<node id>` for a task of a global service; the bare name for a container run by name. */
export function taskName(task: Task): string {
  if (task.containerWorkloadId !== '') return task.serviceName
  return `${task.serviceName}.${task.slot === 0 ? task.nodeId : task.slot}`
}

/** The engine's name for the task's container, `web.2.<task id>` (row EX-01). Never used twice. */
export function containerName(task: Task): string {
  return `${taskName(task)}.${task.id}`
}
