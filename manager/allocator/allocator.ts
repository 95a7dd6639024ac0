import { type Task, TaskState } from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import { level, outcome } from '../metrics.ts'
import { Reconciler } from '../reconciler.ts'
import type { Change } from '../state/store/types.ts'
import type { Addresses } from './addresses.ts'
import { GATEWAY_IDLE_MS, idleGateways, returnGateways } from './gateways.ts'
import { allocateNetworks } from './networks.ts'
import { allocateService, allocateTask, block } from './tasks.ts'

const BATCH_MAX = 200
const DEBOUNCE_MS = 2
const AUTHOR = { author: 'loop:allocator', ownUse: true }

/**
 * Networks get ids and subnets, services ports, tasks addresses; gateways nobody uses are taken back. What cannot be
 * given is written where it is missed and tried again when anything changes that could help.
 */
export function allocator(deps: LeaderDeps, addresses: Addresses): LeaderLoop {
  const { store, clock, registry } = deps
  const waiting = new Set<string>()
  /** "network/node" → since when nobody needs the gateway. */
  const idle = new Map<string, number>()
  let everything = true

  const notice = (change: Change): boolean => {
    if (change.kind === 'network' || change.kind === 'service' || change.kind === 'cluster')
      return true
    if (change.kind === 'node')
      return (
        !change.after ||
        (waiting.size > 0 && change.before?.description !== change.after.description)
      )
    if (change.kind !== 'task') return false
    const { before, after } = change
    if (after && isNew(after)) {
      waiting.add(after.id)
      return true
    }
    // Something was given back.
    return waiting.size > 0 && (!after || observedState(after) >= TaskState.COMPLETE) && !!before
  }

  const pass = async (): Promise<number | undefined> => {
    if (everything)
      store.view(tx => {
        for (const task of tx.list('task')) if (isNew(task)) waiting.add(task.id)
      })
    everything = false
    const blocked = await store.update(tx => allocateNetworks(tx), AUTHOR)
    level(registry, 'skein_allocator_pending', blocked, { kind: 'network' })
    await store.update(tx => {
      for (const service of tx.list('service')) allocateService(tx, service)
    }, AUTHOR)
    await allocateTasks()
    level(registry, 'skein_allocator_pending', waiting.size, { kind: 'task' })
    return takeBackGateways()
  }

  const allocateTasks = async (): Promise<void> => {
    const ids = [...waiting]
    for (let at = 0; at < ids.length; at += BATCH_MAX) {
      const batch = ids.slice(at, at + BATCH_MAX)
      const reasons = await addresses.exclusive(taking =>
        store.update(tx => {
          taking.begin()
          const results = batch.map(id => ({
            id,
            serviceId: tx.get('task', id)?.serviceId ?? '',
            reason: allocateTask(tx, taking, id, clock.now()),
          }))
          const services = new Map<string, string>()
          for (const { serviceId, reason } of results)
            if (serviceId !== '') services.set(serviceId, services.get(serviceId) || reason)
          for (const [serviceId, reason] of services) block(tx, serviceId, reason)
          return results
        }, AUTHOR),
      )
      for (const { id, reason } of reasons) {
        if (reason === '') waiting.delete(id)
        else
          outcome(registry, 'skein_allocator_failures_total', { kind: 'task', reason: 'network' })
      }
    }
  }

  const takeBackGateways = async (): Promise<number | undefined> => {
    const nowMs = clock.now()
    const due = new Map<string, string[]>()
    const seen = new Set<string>()
    store.view(tx => {
      for (const network of tx.list('network'))
        for (const nodeId of idleGateways(tx, network)) {
          const key = `${network.id}/${nodeId}`
          seen.add(key)
          const sinceMs = idle.get(key) ?? nowMs
          idle.set(key, sinceMs)
          if (nowMs - sinceMs < GATEWAY_IDLE_MS && tx.get('node', nodeId)) continue
          due.set(network.id, [...(due.get(network.id) ?? []), nodeId])
        }
    })
    for (const key of idle.keys()) if (!seen.has(key)) idle.delete(key)
    for (const [networkId, nodeIds] of due)
      await addresses.exclusive(() =>
        store.update(tx => returnGateways(tx, networkId, nodeIds), AUTHOR),
      )
    return idle.size === 0 ? undefined : Math.min(...idle.values()) + GATEWAY_IDLE_MS + 1
  }

  return new Reconciler(deps, {
    name: 'allocator',
    debounceMs: DEBOUNCE_MS,
    resyncMs: GATEWAY_IDLE_MS / 2,
    notice,
    reset: () => {
      everything = true
    },
    pass,
  })
}

function isNew(task: Task): boolean {
  return observedState(task) === TaskState.NEW && task.desiredState <= TaskState.RUNNING
}
