import { isDeepStrictEqual } from 'node:util'
import { type Node, type Service, type Task, TaskState } from '../../proto/index.ts'
import { observedState } from '../../services/model/task.ts'
import { nodeMatches } from './constraints.ts'

/**
 * Whether a task no longer is what its service declares (row UP-02). A change of placement alone leaves it where it
 * runs as long as its node still fits; new registry credentials do not restart what has its image already. Names,
 * labels, replicas and update settings never restart tasks.
 */
export function isDirty(task: Task, service: Service, node: Node | undefined): boolean {
  if (task.specVersion === (service.meta?.specVersion ?? 0)) return false
  const [have, want] = [task.spec, service.spec?.task]
  if (!have || !want) return false
  if (!isDeepStrictEqual(task.endpoint?.spec ?? null, service.spec?.endpoint ?? null)) return true
  const state = observedState(task)
  const pulled = state >= TaskState.READY && state <= TaskState.RUNNING
  const same = { ...have, placement: want.placement, logDriver: want.logDriver ?? have.logDriver }
  const comparable = {
    ...same,
    container:
      pulled && same.container && want.container
        ? { ...same.container, pull: want.container.pull }
        : same.container,
  }
  if (!isDeepStrictEqual(comparable, { ...want, logDriver: want.logDriver ?? have.logDriver }))
    return true
  if (isDeepStrictEqual(have.placement, want.placement)) return false
  return node === undefined ? task.nodeId !== '' : !nodeMatches(service, node)
}
