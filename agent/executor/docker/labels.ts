import type { Task } from '../../../proto/index.ts'
import { taskName } from '../../../services/model/task.ts'

/** The labels by which a container is known to be a task's (Swarm row EX-02 with our own names). */
export const TASK_ID = 'io.skein.task.id'
export const TASK_NAME = 'io.skein.task.name'
export const SERVICE_ID = 'io.skein.service.id'
export const SERVICE_NAME = 'io.skein.service.name'
export const NODE_ID = 'io.skein.node.id'
export const CLUSTER = 'io.skein.cluster'

/** The task's own labels with the system's laid over them. */
export function containerLabels(task: Task, clusterId: string): Record<string, string> {
  return {
    ...task.spec?.container?.labels,
    [TASK_ID]: task.id,
    [TASK_NAME]: taskName(task),
    [SERVICE_ID]: task.serviceId,
    [SERVICE_NAME]: task.serviceName,
    [NODE_ID]: task.nodeId,
    [CLUSTER]: clusterId,
  }
}
