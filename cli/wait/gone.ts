// Waits until the tasks of removed services have stopped.
import { type Node, type Task, TaskState } from '../../proto/index.ts'
import { sleep } from '../../runtime/clock.ts'
import { hasCode } from '../../runtime/errors.ts'
import { observedState, taskName } from '../../services/model/task.ts'
import type { Api } from '../connection.ts'
import type { Context } from '../context.ts'
import { Exit, Failure } from '../failure.ts'
import { NodeNames } from '../model/lookup.ts'
import { tookText } from '../output/ago.ts'
import { type Display, canRedraw } from '../output/progress.ts'
import type { Progress } from './converge.ts'

const POLL_MS = 300
const UNAVAILABLE_MS = 30_000
const DEFAULT_TIMEOUT_MS = 600_000

/** Tasks that still hold something: those of lost nodes cannot be waited for. */
export function stillThere(tasks: readonly Task[], nodes: readonly Node[]): readonly Task[] {
  const names = new NodeNames(nodes)
  return tasks.filter(task => {
    const state = observedState(task)
    const isOnNode = state >= TaskState.ASSIGNED && state < TaskState.COMPLETE
    return isOnNode && !names.isLost(task.nodeId)
  })
}

/**
 * Waits until the service's tasks are stopped.
 * @throws Failure after the timeout, and on Ctrl-C
 */
export async function waitUntilGone(
  context: Context,
  api: Api,
  display: Display,
  service: { readonly id: string; readonly name: string },
  timeoutMs: number | undefined,
): Promise<void> {
  const { clock, interrupt } = context
  const startMs = clock.monotonic()
  const limitMs = timeoutMs ?? (canRedraw(context) ? Number.POSITIVE_INFINITY : DEFAULT_TIMEOUT_MS)
  let answeredMs = startMs
  let total = 0
  for (;;) {
    try {
      const [left, nodes] = await Promise.all([tasksOf(api, service.id), api.control.listNodes({})])
      answeredMs = clock.monotonic()
      const there = stillThere(left, nodes.nodes)
      total = Math.max(total, there.length)
      if (there.length === 0) return
      display.show(service.id, progressOf(service.name, there, total, new NodeNames(nodes.nodes)))
    } catch (error) {
      if (interrupt.aborted) throw interrupted(service.name)
      const isPassing = hasCode(error, 'Unavailable', 'DeadlineExceeded')
      if (!isPassing || clock.monotonic() - answeredMs > UNAVAILABLE_MS) throw error
    }
    const passedMs = clock.monotonic() - startMs
    if (passedMs >= limitMs) {
      throw new Failure(`tasks of ${service.name} still run after ${tookText(passedMs)}`, {
        exit: Exit.TIMEOUT,
        next: ['skein ps lists them'],
      })
    }
    await sleep(clock, Math.min(POLL_MS, limitMs - passedMs), interrupt).catch(() => undefined)
    if (interrupt.aborted) throw interrupted(service.name)
  }
}

function interrupted(name: string): Failure {
  return new Failure(`interrupted: ${name} is removed, its tasks go on stopping`, {
    exit: Exit.INTERRUPTED,
    next: ['skein ps'],
  })
}

/** The service is gone, so its tasks are asked for by its id; a manager may no longer know that. */
async function tasksOf(api: Api, serviceId: string): Promise<readonly Task[]> {
  try {
    return (await api.control.listTasks({ serviceId })).tasks
  } catch (error) {
    if (!hasCode(error, 'NotFound')) throw error
    const { tasks } = await api.control.listTasks({})
    return tasks.filter(task => task.serviceId === serviceId)
  }
}

function progressOf(
  name: string,
  there: readonly Task[],
  total: number,
  names: NodeNames,
): Progress {
  return {
    name,
    running: total - there.length,
    wanted: total,
    note: 'stopping',
    lines: there.map(task => ({
      name: taskName(task),
      text: `stopping on ${names.of(task.nodeId)}`,
      mark: 'busy' as const,
    })),
    stuck: undefined,
    outcome: { kind: 'waiting' },
  }
}
