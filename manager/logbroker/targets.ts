// Which tasks' logs are asked for, and where they are. Pure.
import { NodeState, TaskState, type Node, type Task } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { observedState, taskName } from '../../services/model/task.ts'
import { resolveTask } from '../controlapi/references.ts'
import type { ReadTx } from '../state/store/types.ts'

/** What a subscription is for, by id, so that it goes on through updates of its services. */
export interface LogTargets {
  readonly serviceIds: ReadonlySet<string>
  readonly taskIds: ReadonlySet<string>
}

export interface NodePlan {
  readonly nodeId: string
  readonly taskIds: readonly string[]
}

export interface LogPlan {
  /** Nodes that can be asked, and for what. */
  readonly nodes: readonly NodePlan[]
  /** What cannot be shown, a sentence each. */
  readonly warnings: readonly string[]
}

const MAX_TARGETS = 100

/**
 * Services and tasks by id, name, prefix or "service.slot".
 * @throws StatusError NotFound or InvalidArgument naming the target
 */
export function resolveTargets(tx: ReadTx, references: readonly string[]): LogTargets {
  if (references.length === 0 || references.length > MAX_TARGETS) {
    throw new StatusError(
      'InvalidArgument',
      `logs: name between 1 and ${MAX_TARGETS} services or tasks, not ${references.length}`,
    )
  }
  const serviceIds = new Set<string>()
  const taskIds = new Set<string>()
  for (const reference of references) {
    const [service] = tx.byName('service', reference)
    if (service) serviceIds.add(service.id)
    else if (tx.get('service', reference)) serviceIds.add(reference)
    else resolveLess(tx, reference, serviceIds, taskIds)
  }
  return { serviceIds, taskIds }
}

/** A task, or an abbreviated id of either. */
function resolveLess(
  tx: ReadTx,
  reference: string,
  serviceIds: Set<string>,
  taskIds: Set<string>,
): void {
  try {
    taskIds.add(resolveTask(tx, reference).id)
  } catch (thrown) {
    if (!(thrown instanceof StatusError) || thrown.code !== 'NotFound') throw thrown
    try {
      serviceIds.add(tx.resolve('service', reference).id)
    } catch (other) {
      if (!(other instanceof StatusError) || other.code !== 'NotFound') throw other
      throw new StatusError('NotFound', `no service or task is called ${reference}`)
    }
  }
}

/** The tasks of the targets that have, or will have, something to say (Swarm row LG-02), by node. */
export function planLogs(tx: ReadTx, targets: LogTargets, follow: boolean): LogPlan {
  const perNode = new Map<string, string[]>()
  const warnings: string[] = []
  for (const task of tasksOf(tx, targets)) {
    const state = observedState(task)
    if (task.nodeId === '') {
      if (!follow && task.desiredState <= TaskState.RUNNING) {
        warnings.push(`${taskName(task)}: has not been given to a node yet`)
      }
      continue
    }
    if (state < TaskState.RUNNING && !follow) continue
    const node = tx.get('node', task.nodeId)
    const gone = goneFor(node)
    if (gone !== undefined) {
      const name = node?.description?.hostname || task.nodeId
      warnings.push(`${taskName(task)}: node ${name} ${gone}, its lines are missing`)
      continue
    }
    perNode.set(task.nodeId, [...(perNode.get(task.nodeId) ?? []), task.id])
  }
  return {
    nodes: [...perNode].map(([nodeId, taskIds]) => ({ nodeId, taskIds })),
    warnings: [...new Set(warnings)],
  }
}

function tasksOf(tx: ReadTx, { serviceIds, taskIds }: LogTargets): readonly Task[] {
  const ofServices = [...serviceIds].flatMap(id => tx.tasksOfService(id))
  const single = [...taskIds]
    .map(id => tx.get('task', id))
    .filter(task => task !== undefined && !serviceIds.has(task.serviceId)) as Task[]
  return [...ofServices, ...single]
}

/** Why a node cannot be asked; undefined when it can. */
function goneFor(node: Node | undefined): string | undefined {
  if (!node) return 'was removed'
  if (node.status?.state === NodeState.DOWN) return 'is down'
  return node.status?.state === NodeState.DISCONNECTED ? 'is disconnected' : undefined
}
