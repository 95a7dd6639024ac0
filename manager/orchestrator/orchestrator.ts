import { newId } from '../../runtime/random.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import { duration, level, LONG, outcome } from '../metrics.ts'
import { Reconciler } from '../reconciler.ts'
import type { Change, Tx } from '../state/store/types.ts'
import { type Service, UpdateState } from '../../proto/index.ts'
import type { Plan } from './draft.ts'
import { reconcile } from './reconcile.ts'

/** Tasks written in one transaction at most: their specs must stay well under the store's 1.5 MiB. */
const WRITES_MAX = 200
const DEBOUNCE_MS = 5
const ORDERS_PER_VERSION = 10_000

/**
 * Runs `reconcile` for the services something happened to. A service whose plan is larger than one transaction is
 * planned anew after each part; what is due later is kept with the service.
 */
export function orchestrator(deps: LeaderDeps): LeaderLoop {
  const { store, clock, random, registry, log } = deps
  const dirty = new Set<string>()
  const dirtyNodes = new Set<string>()
  const due = new Map<string, number>()
  let everything = true

  const notice = (change: Change): boolean => {
    if (change.kind === 'service') {
      const id = (change.after ?? change.before)?.id
      if (id !== undefined) dirty.add(id)
      return true
    }
    if (change.kind === 'node') {
      const id = (change.after ?? change.before)?.id
      if (id !== undefined) dirtyNodes.add(id)
      return true
    }
    if (change.kind !== 'task') return false
    const { before, after } = change
    const same =
      before?.status?.state === after?.status?.state && before?.desiredState === after?.desiredState
    const serviceId = (after ?? before)?.serviceId
    if (same || !serviceId) return false
    dirty.add(serviceId)
    return true
  }

  const collect = (): string[] => {
    const now = clock.now()
    store.view(tx => {
      if (everything) for (const service of tx.list('service')) dirty.add(service.id)
      if (dirtyNodes.size > 0)
        for (const service of tx.list('service'))
          if (service.spec?.mode === 'global') dirty.add(service.id)
      for (const nodeId of dirtyNodes)
        for (const task of tx.tasksOnNode(nodeId)) dirty.add(task.serviceId)
    })
    for (const [id, atMs] of due) if (atMs <= now) dirty.add(id)
    everything = false
    dirtyNodes.clear()
    // Forgotten before the work: what changes meanwhile is noticed anew.
    const ids = [...dirty]
    dirty.clear()
    return ids
  }

  const pass = async (): Promise<number | undefined> => {
    const ids = collect()
    for (let at = 0; at < ids.length; ) {
      const step = await store
        .update(tx => applyFrom(tx, ids, at), { author: 'loop:orchestrator', ownUse: true })
        .catch((error: unknown) => {
          for (const id of ids.slice(at)) dirty.add(id)
          throw error
        })
      for (const { id, plan, before } of step.plans) {
        if (plan.dueAtMs === undefined) due.delete(id)
        else due.set(id, plan.dueAtMs)
        count(plan, before)
      }
      for (const id of step.gone) due.delete(id)
      at = step.next
    }
    return due.size === 0 ? undefined : Math.min(...due.values())
  }

  /** Plans and writes services from `at` on until the transaction is full. Repeatable: the store may call it again. */
  const applyFrom = (tx: Tx, ids: readonly string[], at: number) => {
    const nodes = new Map(tx.list('node').map(node => [node.id, node]))
    const defaultLogDriver = tx.list('cluster')[0]?.spec?.defaultLogDriver ?? null
    const plans: { id: string; plan: Plan; before: Service }[] = []
    const gone: string[] = []
    let made = 0
    let writes = 0
    let next = at
    for (; next < ids.length && writes < WRITES_MAX; next++) {
      const id = ids[next] ?? ''
      const service = tx.get('service', id)
      if (!service) {
        gone.push(id)
        continue
      }
      const plan = reconcile({
        service,
        tasks: tx.tasksOfService(id),
        nodes,
        nowMs: clock.now(),
        newId: () => newId(random),
        nextOrder: () => tx.version * ORDERS_PER_VERSION + made++,
        defaultLogDriver,
      })
      const { written, complete } = write(tx, plan, WRITES_MAX - writes)
      writes += written
      if (!complete) break
      plans.push({ id, plan, before: service })
    }
    return { next, plans, gone }
  }

  const count = (plan: Plan, before: Service): void => {
    for (const cause of plan.causes) outcome(registry, 'skein_task_restarts_total', { cause })
    const [was, is] = [before.updateStatus, plan.service?.updateStatus]
    if (!is || was?.state === is.state) return
    const service = before.spec?.annotations?.name ?? before.id
    log.info('update status changed', { service, message: is.message })
    const result = UPDATE_RESULTS[is.state]
    const inProgress = store.view(
      tx => tx.list('service').filter(s => isInProgress(s.updateStatus?.state)).length,
    )
    level(registry, 'skein_updates_in_progress', inProgress)
    if (result === undefined) return
    const kind = result.startsWith('rollback') ? 'rollback' : 'update'
    outcome(registry, 'skein_updates_total', { kind, result: result.replace('rollback_', '') })
    duration(registry, 'skein_update_duration_seconds', LONG, { result }).observe(
      (clock.now() - (was?.startedAtMs ?? clock.now())) / 1_000,
    )
  }

  return new Reconciler(deps, {
    name: 'orchestrator',
    debounceMs: DEBOUNCE_MS,
    notice,
    reset: () => {
      everything = true
    },
    pass,
  })
}

/** Names of the ends of an update, for counting. */
const UPDATE_RESULTS: Readonly<Partial<Record<UpdateState, string>>> = {
  [UpdateState.UPDATE_PAUSED]: 'paused',
  [UpdateState.UPDATE_COMPLETED]: 'completed',
  [UpdateState.ROLLBACK_STARTED]: 'rolled_back',
  [UpdateState.ROLLBACK_PAUSED]: 'rollback_paused',
  [UpdateState.ROLLBACK_COMPLETED]: 'rollback_completed',
}

function isInProgress(state: UpdateState | undefined): boolean {
  return state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED
}

/** Writes at most `limit` tasks of the plan; `complete` says whether that was all of it. */
function write(tx: Tx, plan: Plan, limit: number): { written: number; complete: boolean } {
  const total = plan.created.length + plan.updated.length
  if (plan.service) tx.update('service', plan.service, plan.rolledBack ? { spec: true } : {})
  // Stops come first: a part must never leave a slot with two tasks where one was meant to go.
  const updated = plan.updated.slice(0, limit)
  const created = plan.created.slice(0, limit - updated.length)
  for (const task of updated) tx.update('task', task)
  for (const task of created) tx.create('task', task)
  return {
    written: updated.length + created.length + (plan.service ? 1 : 0),
    complete: total <= limit,
  }
}
