import { isDeepStrictEqual } from 'node:util'
import { messageOf, StatusError } from '../../runtime/errors.ts'
import {
  type NetworkAttachment,
  PublishMode,
  type Service,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import { macOf } from '../../services/net/ip.ts'
import { addressFor } from '../../services/template/expand.ts'
import type { Tx } from '../state/store/types.ts'
import type { Taking } from './addresses.ts'
import { isAllocated, isOverlay } from './networks.ts'
import { portKey, resolvePorts } from './ports.ts'

/**
 * Gives services the ports they left to the cluster (row AL-09), in `service.endpoint`. A range that is used up goes
 * into `blocked_by`.
 */
export function allocateService(tx: Tx, service: Service): void {
  const spec = service.spec?.endpoint ?? null
  if (service.endpoint && isDeepStrictEqual(service.endpoint.spec, spec)) return
  const taken = new Set<string>()
  for (const other of tx.list('service')) {
    if (other.id === service.id) continue
    for (const port of other.endpoint?.ports ?? [])
      if (port.mode !== PublishMode.HOST && port.published !== 0) taken.add(portKey(port))
  }
  try {
    const ports = resolvePorts(spec?.ports ?? [], service.endpoint?.ports ?? [], taken)
    tx.update('service', { ...service, endpoint: { spec, ports, virtualIps: [] } })
  } catch (error) {
    block(tx, service.id, messageOf(error))
  }
}

/** Writes or clears what keeps a service from being allocated. */
export function block(tx: Tx, serviceId: string, blockedBy: string): void {
  const service = tx.get('service', serviceId)
  if (service && service.blockedBy !== blockedBy) tx.update('service', { ...service, blockedBy })
}

/**
 * NEW → PENDING: the task gets an address, and with it a MAC, on each of its networks, and its service's ports (rows
 * TS-03, AL-06, AL-12). Answers what prevents it, or ''; the reason is on the task then, which stays NEW.
 */
export function allocateTask(tx: Tx, taking: Taking, taskId: string, nowMs: number): string {
  const task = tx.get('task', taskId)
  if (!task?.status || observedState(task) !== TaskState.NEW) return ''
  if (task.desiredState > TaskState.RUNNING) return ''
  try {
    const networks = attach(tx, taking, task)
    const service = task.serviceId === '' ? undefined : tx.get('service', task.serviceId)
    tx.update('task', {
      ...task,
      networks,
      endpoint: endpointOf(task, service),
      status: {
        ...task.status,
        state: TaskState.PENDING,
        observedAtMs: nowMs,
        appliedAtMs: nowMs,
        message: 'pending task scheduling',
        error: '',
      },
    })
    return ''
  } catch (error) {
    const reason = messageOf(error)
    if (task.status.error !== reason) {
      const status = { ...task.status, message: 'waiting for its networks', error: reason }
      tx.update('task', { ...task, status })
    }
    return reason
  }
}

function endpointOf(task: Task, service: Service | undefined): Task['endpoint'] {
  if (!service) return task.endpoint
  if (!service.endpoint)
    throw new StatusError('Unavailable', `service ${task.serviceName}: waiting for its ports`)
  const current = isDeepStrictEqual(service.endpoint.spec, task.endpoint?.spec ?? null)
  return current ? service.endpoint : task.endpoint
}

function attach(tx: Tx, taking: Taking, task: Task): readonly NetworkAttachment[] {
  return (task.spec?.networks ?? []).flatMap(wanted => {
    const network = tx.get('network', wanted.target)
    if (!network) throw new StatusError('NotFound', `network ${wanted.target} not found`)
    if (!isOverlay(network)) return []
    const name = network.spec?.annotations?.name ?? network.id
    if (!isAllocated(network))
      throw new StatusError(
        'Unavailable',
        network.blockedBy || `network ${name}: waiting for its subnet`,
      )
    // A container run by name may bring the address it had.
    const kept = task.networks.find(a => a.networkId === network.id && a.address !== '')
    const fixed = addressFor(wanted, task.slot === 0 ? 1 : task.slot) ?? kept?.address
    const address =
      fixed === undefined ? taking.dynamic(network.id, task) : taking.fixed(network.id, task, fixed)
    if (address === undefined)
      throw new StatusError('Unavailable', `network ${name}: waiting for its subnet`)
    return { networkId: network.id, address, mac: macOf(address), aliases: wanted.aliases }
  })
}
