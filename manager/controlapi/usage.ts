// Who uses what, so that nothing is removed from under a service or a task.
import type { ContainerSpec, TaskSpec } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { isTerminal, observedState, taskName } from '../../services/model/task.ts'
import type { ReadTx } from '../state/store/types.ts'

const NAMED = 5

export interface Users {
  readonly services: readonly string[]
  readonly tasks: readonly string[]
}

/** Names of the services whose spec, and of the live tasks of no such service whose own spec, `uses` says yes to. */
export function usersOf(tx: ReadTx, uses: (spec: TaskSpec) => boolean): Users {
  const services = new Map<string, string>()
  for (const service of tx.list('service')) {
    if (service.spec?.task && uses(service.spec.task)) {
      services.set(service.id, service.spec.annotations?.name ?? service.id)
    }
  }
  const tasks = tx
    .list('task')
    .filter(
      task =>
        !services.has(task.serviceId) &&
        !isTerminal(observedState(task)) &&
        task.spec !== null &&
        uses(task.spec),
    )
    .map(taskName)
  return { services: [...services.values()], tasks }
}

/** @throws StatusError FailedPrecondition "secret key is in use by service api" */
export function refuseWhileUsed(what: string, users: Users): void {
  const parts = [list('service', users.services), list('task', users.tasks)].filter(Boolean)
  if (parts.length === 0) return
  throw new StatusError('FailedPrecondition', `${what} is in use by ${parts.join(' and ')}`)
}

function list(kind: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : ''
  return `${kind}${names.length > 1 ? 's' : ''} ${names.slice(0, NAMED).join(', ')}${more}`
}

/** Whether the container of a task spec is one that `test` says yes to. */
export function inContainer(
  test: (container: ContainerSpec) => boolean,
): (spec: TaskSpec) => boolean {
  return spec => spec.container !== null && test(spec.container)
}
