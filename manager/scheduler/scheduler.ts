import { isDeepStrictEqual } from 'node:util'
import { newId } from '../../runtime/random.ts'
import {
  type Explanation,
  NodeAvailability,
  NodeState,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import type { Addresses, Taking } from '../allocator/addresses.ts'
import { ensureGateway } from '../allocator/gateways.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import { duration, FAST, level, outcome, PHASE_SECONDS, SIZE } from '../metrics.ts'
import { Reconciler } from '../reconciler.ts'
import type { Change, Tx } from '../state/store/types.ts'
import { ClusterView } from './cluster-view.ts'
import { explainOn } from './explain.ts'
import { confirm, groupKey, placeGroup, placeOne, type PlaceOptions } from './place.ts'
import { recordVolumes } from './volumes.ts'

const BATCH_MAX = 200
const DEBOUNCE_MS = 3
/** Verdicts kept in a task's explanation; ExplainTask gives all of them. */
const STORED_NODES_MAX = 20
const AUTHOR = { author: 'loop:scheduler', ownUse: true }

/**
 * Gives PENDING tasks their nodes (rows PL-16 … PL-20). Decisions are made on a view in memory and checked again in the
 * transaction that writes them; a task that fits nowhere carries the reason until something changes.
 */
export function scheduler(deps: LeaderDeps, addresses: Addresses): LeaderLoop {
  const { store, clock, random, registry } = deps
  const view = new ClusterView()
  const pending = new Set<string>()
  let stale = true

  const notice = (change: Change): boolean => {
    if (!stale) view.apply(change)
    if (change.kind !== 'task') return pending.size > 0 && RELEVANT.has(change.kind)
    const { before, after } = change
    if (after && isPending(after)) {
      pending.add(after.id)
      // Its own explanation, written by us, is no news.
      return !before || !isPending(before)
    }
    pending.delete((after ?? before)?.id ?? '')
    return pending.size > 0 && freesSomething(before, after)
  }

  const pass = async (): Promise<undefined> => {
    if (stale) {
      store.view(tx => view.reset(tx))
      pending.clear()
      for (const task of view.tasks()) if (isPending(task)) pending.add(task.id)
      stale = false
    }
    const begunMs = clock.monotonic()
    const { assigned, unplaced } = decide()
    duration(registry, 'skein_scheduler_pass_duration_seconds', FAST).observe(
      (clock.monotonic() - begunMs) / 1_000,
    )
    duration(registry, 'skein_scheduler_pass_tasks', SIZE).observe(
      assigned.length + unplaced.length,
    )
    try {
      for (let at = 0; at < assigned.length; at += BATCH_MAX)
        await commit(assigned.slice(at, at + BATCH_MAX))
      await explainAll(unplaced)
    } catch (error) {
      // What was decided but not written must not be believed.
      stale = true
      throw error
    }
  }

  const options = (): PlaceOptions => ({
    nowMs: clock.now(),
    addresses,
    refused: (filter, nodes) =>
      outcome(registry, 'skein_scheduler_filter_rejections_total', { filter }, nodes),
    feasible: nodes => duration(registry, 'skein_scheduler_feasible_nodes', SIZE).observe(nodes),
  })

  /** Decides for all that wait: tasks made for a node first, then groups in order of age. */
  const decide = (): { assigned: Task[]; unplaced: Task[] } => {
    const assigned: Task[] = []
    const unplaced: Task[] = []
    const groups = new Map<string, Task[]>()
    const waiting = [...pending]
      .flatMap(id => view.task(id) ?? [])
      .sort((a, b) => a.createdOrder - b.createdOrder)
    const take = (result: { assigned: readonly Task[]; unplaced: readonly Task[] }): void => {
      assigned.push(...result.assigned)
      unplaced.push(...result.unplaced)
    }
    for (const task of waiting) if (task.nodeId !== '') take(confirm(task, view, options()))
    for (const task of waiting) {
      if (task.nodeId !== '') continue
      const key = groupKey(task) ?? task.id
      const group = groups.get(key)
      if (group) group.push(task)
      else groups.set(key, [task])
    }
    for (const group of groups.values()) {
      const [first] = group
      if (!first) continue
      const alone = groupKey(first) === undefined
      take(alone ? placeOne(first, view, options()) : placeGroup(group, view, options()))
    }
    return { assigned, unplaced }
  }

  const commit = async (batch: readonly Task[]): Promise<void> => {
    const refused = await addresses.exclusive(taking =>
      store.update(tx => writeBatch(tx, taking, batch), AUTHOR),
    )
    for (const task of refused) {
      const current = store.view(tx => tx.get('task', task.id))
      if (current) view.putTask(current)
      else view.removeTask(task.id)
      outcome(registry, 'skein_scheduler_attempts_total', { result: 'conflict' })
    }
    const placed = batch.length - refused.length
    outcome(registry, 'skein_scheduler_attempts_total', { result: 'placed' }, placed)
    for (const task of batch)
      if (!refused.includes(task)) {
        pending.delete(task.id)
        duration(registry, 'skein_task_phase_duration_seconds', PHASE_SECONDS, {
          phase: 'schedule',
        }).observe(Math.max(0, clock.now() - (task.meta?.createdAtMs ?? clock.now())) / 1_000)
      }
    if (refused.some(task => pending.has(task.id))) loop.trigger()
  }

  /** Writes what still holds; answers the rest. */
  const writeBatch = (tx: Tx, taking: Taking, batch: readonly Task[]): readonly Task[] => {
    taking.begin()
    const refused: Task[] = []
    for (const task of batch) {
      const current = tx.get('task', task.id)
      if (!current || !isPending(current) || !stillReady(tx, task)) {
        refused.push(task)
        continue
      }
      try {
        for (const { networkId } of task.networks) ensureGateway(tx, taking, networkId, task.nodeId)
      } catch {
        // The last free address went meanwhile; the next pass says so.
        refused.push(task)
        continue
      }
      tx.update('task', {
        ...current,
        nodeId: task.nodeId,
        status: task.status,
        assignedGeneric: task.assignedGeneric,
        explanation: null,
      })
      recordVolumes(tx, task, () => newId(random), clock.now())
    }
    return refused
  }

  const explainAll = async (unplaced: readonly Task[]): Promise<void> => {
    const shared = new Map<string, Explanation>()
    const causes = new Map<string, number>()
    const changed: { id: string; explanation: Explanation }[] = []
    let oldestMs = clock.now()
    for (const task of unplaced) {
      const key = groupKey(task) ?? task.id
      const explanation =
        shared.get(key) ?? explainOn(task, view, { addresses, nodesMax: STORED_NODES_MAX })
      shared.set(key, explanation)
      causes.set(explanation.rootCause, (causes.get(explanation.rootCause) ?? 0) + 1)
      oldestMs = Math.min(oldestMs, task.meta?.createdAtMs ?? oldestMs)
      const same =
        task.status?.error === explanation.summary &&
        isDeepStrictEqual(task.explanation, explanation)
      if (!same) changed.push({ id: task.id, explanation })
    }
    for (const [reason] of known) level(registry, 'skein_scheduler_pending_tasks', 0, { reason })
    for (const [reason, count] of causes) {
      known.set(reason, true)
      level(registry, 'skein_scheduler_pending_tasks', count, { reason })
    }
    level(
      registry,
      'skein_scheduler_oldest_pending_seconds',
      unplaced.length === 0 ? 0 : (clock.now() - oldestMs) / 1_000,
    )
    if (unplaced.length > 0)
      outcome(
        registry,
        'skein_scheduler_attempts_total',
        { result: 'unplaceable' },
        unplaced.length,
      )
    const explained = (tx: Tx, { id, explanation }: (typeof changed)[number]): void => {
      const task = tx.get('task', id)
      if (!task?.status || !isPending(task)) return
      const status = { ...task.status, error: explanation.summary }
      tx.update('task', { ...task, status, explanation })
    }
    // By size too: an explanation speaks of every node.
    await store.batch(changed, explained, AUTHOR)
  }

  const known = new Map<string, boolean>()
  const loop = new Reconciler(deps, {
    name: 'scheduler',
    debounceMs: DEBOUNCE_MS,
    notice,
    reset: () => {
      stale = true
    },
    pass,
  })
  return loop
}

const RELEVANT: ReadonlySet<Change['kind']> = new Set(['node', 'network', 'volume'])

function isPending(task: Task): boolean {
  return observedState(task) === TaskState.PENDING && task.desiredState <= TaskState.RUNNING
}

/** Whether room, a port, an address or a replica's place may have become free. */
function freesSomething(before: Task | undefined, after: Task | undefined): boolean {
  if (!before) return false
  if (!after) return true
  return (
    before.desiredState !== after.desiredState ||
    (observedState(before) <= TaskState.RUNNING && observedState(after) > TaskState.RUNNING)
  )
}

function stillReady(tx: Tx, task: Task): boolean {
  const node = tx.get('node', task.nodeId)
  return (
    node?.status?.state === NodeState.NODE_READY &&
    (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE
  )
}
