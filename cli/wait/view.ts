import {
  type Node,
  NodeAvailability,
  NodeState,
  type Service,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { parseConstraint } from '../../services/constraint/parse.ts'
import { isGlobal, isJob } from '../../services/model/service.ts'
import { isRunnable, isTerminal, observedState } from '../../services/model/task.ts'
import { isDirty } from '../../services/spec/diff.ts'
import { NodeNames } from '../model/lookup.ts'

/** What a wait looks at. `service` is undefined once it is gone. */
export interface Snapshot {
  readonly service: Service | undefined
  readonly tasks: readonly Task[]
  readonly nodes: readonly Node[]
}

/** One slot of a replicated service, or one node of a global one, with its tasks of the current spec. */
export interface SlotView {
  /** Slot number or node id. */
  readonly key: string
  /** `web.2`; `web.w1` for a global service. */
  readonly name: string
  /** Newest first; those of an older spec are left out. */
  readonly current: readonly Task[]
  /** The newest task of any spec. */
  readonly newest: Task | undefined
  /** Whether the slot has what was asked for: a task running (completed, for jobs) on the current spec. */
  readonly isDone: boolean
  /** More than was asked for: it is to go. */
  readonly isSurplus: boolean
}

/** The slots a service should have, filled with the tasks it has. */
export function slotsOf(snapshot: Snapshot): readonly SlotView[] {
  const { service } = snapshot
  if (service?.spec == null) return []
  const names = new NodeNames(snapshot.nodes)
  const tasks = tasksOf(service, snapshot.tasks)
  const bySlot = new Map<string, Task[]>()
  const wanted = new Set(wantedKeys(service, tasks, snapshot.nodes))
  for (const key of wanted) bySlot.set(key, [])
  for (const task of tasks) {
    const key = keyOf(service, task)
    const slot = bySlot.get(key)
    if (slot !== undefined) slot.push(task)
    else if (isSurplus(task, names)) bySlot.set(key, [task])
  }
  const nodes = new Map(snapshot.nodes.map(node => [node.id, node]))
  return [...bySlot].map(([key, found]) => {
    const view = slotView(service, key, found, names, nodes)
    return wanted.has(key) ? view : { ...view, isDone: false, isSurplus: true }
  })
}

/** A task outside the wanted slots that has not yet been told to stop. Lost nodes cannot be told. */
function isSurplus(task: Task, names: NodeNames): boolean {
  return isRunnable(task) && !names.isLost(task.nodeId)
}

/** Jobs look at their current run only. */
function tasksOf(service: Service, tasks: readonly Task[]): readonly Task[] {
  const own = tasks.filter(task => task.serviceId === service.id)
  if (service.spec === null || !isJob(service.spec)) return own
  return own.filter(task => task.jobIteration === (service.jobStatus?.iteration ?? 0))
}

function keyOf(service: Service, task: Task): string {
  return service.spec !== null && isGlobal(service.spec) ? task.nodeId : String(task.slot)
}

/** Slots by number: those in use first, then numbers that are free, as the orchestrator gives them (row RS-14). */
function wantedKeys(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[],
): readonly string[] {
  const spec = service.spec
  if (spec === null) return []
  if (isGlobal(spec)) return eligibleNodes(service, nodes).map(node => node.id)
  const first = isJob(spec) ? 0 : 1
  const wanted =
    spec.mode === 'replicatedJob'
      ? spec.replicatedJob.totalCompletions
      : spec.mode === 'replicated'
        ? spec.replicated.replicas
        : 1
  // Slots that run first, then those that stopped, so that a slot nobody restarts is seen and not a free number.
  const used = new Set<number>()
  const ranked = [
    ...tasks.filter(task => isJob(spec) || isRunnable(task)),
    ...tasks.filter(task => task.desiredState !== TaskState.REMOVE).toSorted(newestFirst),
  ]
  for (const task of ranked) if (used.size < wanted) used.add(task.slot)
  for (let slot = first; used.size < wanted; slot++) used.add(slot)
  return [...used].sort((a, b) => a - b).map(String)
}

/** Nodes a global service must run on (swarm rows SV-05, CL-35). */
function eligibleNodes(service: Service, nodes: readonly Node[]): readonly Node[] {
  const texts = service.spec?.task?.placement?.constraints ?? []
  const constraints = texts.map(parseConstraint)
  return nodes.filter(
    node =>
      node.status?.state === NodeState.NODE_READY &&
      (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE &&
      matchesAll(constraints, node),
  )
}

function slotView(
  service: Service,
  key: string,
  found: readonly Task[],
  names: NodeNames,
  nodes: ReadonlyMap<string, Node>,
): SlotView {
  const tasks = found.toSorted(newestFirst)
  const current = tasks.filter(task => !isDirty(task, service, nodes.get(task.nodeId)))
  const spec = service.spec
  const isFinite = spec !== null && isJob(spec)
  const isDone = current.some(task => {
    const state = observedState(task)
    if (isFinite) return state === TaskState.COMPLETE
    if (task.desiredState > TaskState.RUNNING) return false
    return state === TaskState.RUNNING && !names.isLost(task.nodeId)
  })
  const name = spec?.annotations?.name ?? service.id
  return {
    key,
    name: `${name}.${spec !== null && isGlobal(spec) ? names.of(key) : key}`,
    current,
    newest: tasks[0],
    isSurplus: false,
    isDone: isDone || (!isFinite && ranToItsEnd(service, current)),
  }
}

/** A task that ended well and is not to be restarted is what was asked for: there is nothing more to come. */
function ranToItsEnd(service: Service, current: readonly Task[]): boolean {
  const [newest] = current
  if (newest === undefined || observedState(newest) !== TaskState.COMPLETE) return false
  return service.spec?.task?.restart !== null && service.spec?.task?.restart.condition !== 0
}

/** No node, address or port can be found: the manager wrote why to the task or the service (design: "explains itself"). */
export function isUnplaceable(service: Service, slot: SlotView): boolean {
  const [task] = slot.current
  if (task === undefined) return service.blockedBy !== ''
  const state = observedState(task)
  if (state > TaskState.PENDING) return false
  return (task.status?.error ?? '') !== '' || task.explanation !== null || service.blockedBy !== ''
}

/** Newest first: by order of creation, which two tasks of one slot never share. */
export function newestFirst(a: Task, b: Task): number {
  return (
    b.createdOrder - a.createdOrder ||
    (b.meta?.createdAtMs ?? 0) - (a.meta?.createdAtMs ?? 0) ||
    (a.id < b.id ? 1 : -1)
  )
}

/** Whether the task ended otherwise than it should have. */
export function hasFailed(task: Task): boolean {
  const state = observedState(task)
  return state === TaskState.FAILED || state === TaskState.REJECTED
}

/** Why a task failed, in a line: `exited with code 3`, `out of memory`, the engine's words. */
export function failureReason(task: Task): string {
  const container = task.status?.container
  if (container?.oomKilled === true) return 'out of memory'
  const error = task.status?.error ?? ''
  if (error !== '') return error
  if (container != null && container.exitCode !== 0) return `exited with code ${container.exitCode}`
  return isTerminal(observedState(task)) ? (task.status?.message ?? '') : ''
}
