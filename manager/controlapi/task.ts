import type { Explanation, Task } from '../../proto/index.ts'
import { observedState, stateName } from '../../services/model/task.ts'
import type { ReadTx } from '../state/store/types.ts'
import type { ControlDeps } from './deps.ts'
import { redactTask } from './redact.ts'
import { resolveTask } from './references.ts'

export async function getTask(
  deps: ControlDeps,
  request: { readonly id: string },
): Promise<{ task: Task }> {
  return { task: redactTask(deps.store.view(tx => resolveTask(tx, request.id))) }
}

/** All tasks, or those of a service, on a node, or both. */
export async function listTasks(
  deps: ControlDeps,
  request: { readonly serviceId: string; readonly nodeId: string },
  self: string,
): Promise<{ tasks: Task[] }> {
  const tasks = deps.store.view(tx => {
    const node = request.nodeId === 'self' ? self : request.nodeId
    const nodeId = node && tx.resolve('node', node).id
    const serviceId = request.serviceId && tx.resolve('service', request.serviceId).id
    if (serviceId === '') return nodeId === '' ? tx.list('task') : tx.tasksOnNode(nodeId)
    return tx.tasksOfService(serviceId).filter(task => nodeId === '' || task.nodeId === nodeId)
  })
  return { tasks: tasks.map(redactTask) }
}

/** Why a task is where it is: the scheduler asked anew, else what was written to the task and its service. */
export async function explainTask(
  deps: ControlDeps,
  request: { readonly id: string },
): Promise<{ explanation: Explanation }> {
  return deps.store.view(tx => {
    const task = resolveTask(tx, request.id)
    return { explanation: deps.explain?.(tx, task) ?? written(tx, task) }
  })
}

function written(tx: ReadTx, task: Task): Explanation {
  const rootCause = tx.get('service', task.serviceId)?.blockedBy || (task.status?.error ?? '')
  if (task.explanation)
    return { ...task.explanation, rootCause: task.explanation.rootCause || rootCause }
  const message = task.status?.message ?? ''
  const summary = [stateName(observedState(task)), message].filter(Boolean).join(': ')
  return { summary, nodes: [], suggestions: [], rootCause }
}
