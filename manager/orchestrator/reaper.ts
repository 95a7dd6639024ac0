import {
  type Cluster,
  type Node,
  type Service,
  type Task,
  TaskState,
  UpdateState,
} from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import { outcome } from '../metrics.ts'
import { Reconciler } from '../reconciler.ts'
import type { Change, Tx } from '../state/store/types.ts'
import { byAge, isStopped } from './slots.ts'

/** What of one service's tasks can go. `remove`: told desired REMOVE; `delete`: out of the store. */
export interface Reaping {
  readonly remove: readonly Task[]
  readonly delete: readonly Task[]
}

export interface ReapInput {
  /** Undefined when the service was removed. */
  readonly service: Service | undefined
  readonly tasks: readonly Task[]
  readonly nodes: ReadonlyMap<string, Node>
  /** Stopped tasks kept per slot; negative keeps all. */
  readonly historyLimit: number
}

/**
 * Decides which tasks of a service are told to go and which are forgotten (rows RS-15, RS-16, SV-21). A task told
 * REMOVE is forgotten once no agent can still run it.
 */
export function reap(input: ReapInput): Reaping {
  const { service, tasks, nodes } = input
  const remove = service ? [] : tasks.filter(task => task.desiredState < TaskState.REMOVE)
  const leaving = service ? tasks.filter(task => task.desiredState >= TaskState.REMOVE) : tasks
  const forgotten = leaving.filter(task => isGone(task, nodes))
  const history = service ? surplus(service, tasks, input.historyLimit) : []
  const deleted = new Set([...forgotten, ...history])
  return { remove: remove.filter(task => !deleted.has(task)), delete: [...deleted] }
}

function isGone(task: Task, nodes: ReadonlyMap<string, Node>): boolean {
  const state = observedState(task)
  return state < TaskState.ASSIGNED || state >= TaskState.COMPLETE || !nodes.has(task.nodeId)
}

/**
 * The oldest ended tasks beyond the limit, slot by slot. A restart policy with attempts keeps one more than these, which
 * is how attempts are counted; a slot with nothing else keeps its last task, which says that it is done; and while an
 * update runs its own first task in the slot stays, which is how its failures are counted.
 */
function surplus(service: Service, tasks: readonly Task[], historyLimit: number): readonly Task[] {
  const attempts = service.spec?.task?.restart?.maxAttempts ?? 0
  if (historyLimit < 0) return []
  const limit = attempts > 0 ? Math.max(historyLimit, attempts + 1) : historyLimit
  const version = service.meta?.specVersion ?? 0
  const state = service.updateStatus?.state
  const updating = state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED
  const surplus: Task[] = []
  for (const slot of bySlot(tasks).values()) {
    const ended = slot.filter(t => isStopped(t) && t.desiredState > TaskState.RUNNING)
    if (ended.length <= limit) continue
    const alive = slot.length > ended.length
    const keep = Math.max(limit, alive ? 0 : 1)
    const ours = updating ? slot.find(task => task.specVersion === version) : undefined
    surplus.push(...ended.slice(0, ended.length - keep).filter(task => task !== ours))
  }
  return surplus
}

function bySlot(tasks: readonly Task[]): ReadonlyMap<string, Task[]> {
  const slots = new Map<string, Task[]>()
  for (const task of tasks.toSorted(byAge)) {
    if (task.desiredState >= TaskState.REMOVE) continue
    const key = task.slot === 0 ? task.nodeId : String(task.slot)
    const slot = slots.get(key)
    if (slot) slot.push(task)
    else slots.set(key, [task])
  }
  return slots
}

const BATCH_MAX = 500
const DEBOUNCE_MS = 50

/** Runs `reap` for the services whose tasks ended or were told to go. */
export function reaper(deps: LeaderDeps): LeaderLoop {
  const { store, registry } = deps
  const dirty = new Set<string>()
  let everything = true

  const notice = (change: Change): boolean => {
    if (change.kind === 'service' && !change.after && change.before) dirty.add(change.before.id)
    else if (change.kind === 'node' && !change.after) everything = true
    else if (change.kind === 'task' && change.after && mayBeReaped(change.after))
      dirty.add(change.after.serviceId)
    else if (change.kind === 'cluster') everything = true
    else return false
    return true
  }

  const pass = async (): Promise<undefined> => {
    if (everything)
      store.view(tx => {
        for (const task of tx.list('task')) dirty.add(task.serviceId)
      })
    everything = false
    const ids = [...dirty]
    // Forgotten before the work: what changes meanwhile is noticed anew.
    dirty.clear()
    for (const [at, id] of ids.entries()) {
      const reaped = await store
        .update(tx => reapService(tx, id), { author: 'loop:reaper', ownUse: true })
        .catch((error: unknown) => {
          for (const left of ids.slice(at)) dirty.add(left)
          throw error
        })
      if (reaped >= BATCH_MAX) dirty.add(id)
      if (reaped > 0) outcome(registry, 'skein_tasks_reaped_total', {}, reaped)
    }
    if (dirty.size > 0) loop.trigger()
  }

  const loop = new Reconciler(deps, {
    name: 'reaper',
    debounceMs: DEBOUNCE_MS,
    notice,
    reset: () => {
      everything = true
    },
    pass,
  })
  return loop
}

function mayBeReaped(task: Task): boolean {
  return task.desiredState > TaskState.RUNNING || isStopped(task)
}

/** Answers how many tasks were deleted. Tasks of containers run by name belong to no service and are only forgotten. */
function reapService(tx: Tx, serviceId: string): number {
  const nodes = new Map(tx.list('node').map(node => [node.id, node]))
  const cluster: Cluster | undefined = tx.list('cluster')[0]
  if (serviceId === '') {
    const done = tx
      .list('task')
      .filter(t => t.serviceId === '' && t.desiredState >= TaskState.REMOVE && isGone(t, nodes))
    for (const task of done.slice(0, BATCH_MAX)) tx.delete('task', task.id)
    return Math.min(done.length, BATCH_MAX)
  }
  const reaping = reap({
    service: tx.get('service', serviceId),
    tasks: tx.tasksOfService(serviceId),
    nodes,
    historyLimit: cluster?.spec?.taskHistoryLimit ?? 5,
  })
  for (const task of reaping.remove.slice(0, BATCH_MAX))
    tx.update('task', { ...task, desiredState: TaskState.REMOVE })
  const gone = reaping.delete.slice(0, BATCH_MAX)
  for (const task of gone) tx.delete('task', task.id)
  return gone.length
}
