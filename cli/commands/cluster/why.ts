import { Command } from 'commander'
import { type Node, type Service, type Task, TaskState } from '../../../proto/index.ts'
import { hasCode } from '../../../runtime/errors.ts'
import { isTerminal, observedState, taskName } from '../../../services/model/task.ts'
import type { Api } from '../../connection.ts'
import type { Context } from '../../context.ts'
import { NodeNames, serviceName } from '../../model/lookup.ts'
import { countReplicas, replicasText } from '../../model/replicas.ts'
import { taskStateText, updateStateName } from '../../model/words.ts'
import { ago } from '../../output/ago.ts'
import { explanationLines } from '../../output/explanation.ts'
import { newestFirst, slotsOf } from '../../wait/view.ts'
import { taskWhy } from '../../wait/run.ts'
import { getService } from '../get.ts'

/** More tasks of one service than this are not explained one by one: they wait for the same. */
const TASKS_MAX = 5

/** `why NAME|TASK`: why it waits, why it is where it is, why it failed. */
export function command(context: Context): Command {
  return new Command('why')
    .alias('explain')
    .description('Explain a service or task: why it waits, where it runs, why it failed')
    .argument('<name|task>', 'service (web), task (web.2) or id')
    .action(async (reference: string) => {
      const api = await context.connect()
      const { nodes } = await api.control.listNodes({})
      const task = await findTask(api, reference)
      const lines =
        task === undefined
          ? await whyService(context, api, await getService(api, reference), nodes)
          : await whyTask(context, api, task, nodes)
      context.stdout.write(lines.map(line => `${line}\n`).join(''))
    })
}

/** A task by id, or the newest of `web.2`; undefined when the name is not a task's. */
async function findTask(api: Api, reference: string): Promise<Task | undefined> {
  const dot = reference.lastIndexOf('.')
  if (dot > 0) {
    const serviceId = reference.slice(0, dot)
    const { tasks } = await api.control.listTasks({ serviceId }).catch((error: unknown) => {
      if (hasCode(error, 'NotFound')) return { tasks: [] }
      throw error
    })
    return tasks.filter(task => taskName(task) === reference).toSorted(newestFirst)[0]
  }
  try {
    return (await api.control.getTask({ id: reference })).task ?? undefined
  } catch (error) {
    if (hasCode(error, 'NotFound', 'InvalidArgument', 'FailedPrecondition')) return undefined
    throw error
  }
}

async function whyService(
  context: Context,
  api: Api,
  service: Service,
  nodes: readonly Node[],
): Promise<readonly string[]> {
  const { tasks } = await api.control.listTasks({ serviceId: service.id })
  const names = new NodeNames(nodes)
  const count = replicasText(service, countReplicas(service, tasks, nodes))
  const lines = [`${serviceName(service)}  ${count} running`]
  const status = service.updateStatus
  if (status !== null && status.state !== 0) {
    lines.push(`update ${updateStateName(status.state)}: ${status.message}`)
  }
  if (service.blockedBy !== '') lines.push(`blocked: ${service.blockedBy}`)
  const missing = slotsOf({ service, tasks, nodes }).filter(slot => !slot.isDone)
  for (const slot of missing.slice(0, TASKS_MAX)) {
    const task = slot.current[0] ?? slot.newest
    if (task === undefined) lines.push(`${slot.name}  no task yet`)
    else lines.push(...(await whyTask(context, api, task, nodes)))
    const failed = slot.current.find(
      other =>
        other !== task && isTerminal(observedState(other)) && (other.status?.error ?? '') !== '',
    )
    if (failed !== undefined) {
      lines.push(
        ...taskWhy(failed, names).map((line, i) => `  ${i === 0 ? 'before: ' : ''}${line}`),
      )
    }
  }
  if (missing.length > TASKS_MAX) lines.push(`and ${missing.length - TASKS_MAX} more`)
  return lines
}

async function whyTask(
  context: Context,
  api: Api,
  task: Task,
  nodes: readonly Node[],
): Promise<readonly string[]> {
  const names = new NodeNames(nodes)
  const state = observedState(task)
  const where = task.nodeId === '' ? '' : ` on ${names.of(task.nodeId)}`
  const when = ago(task.status?.observedAtMs ?? 0, context.clock.now())
  const head = `${taskName(task)}  ${taskStateText(state).toLowerCase()}${where}, ${when.toLowerCase()}`
  const lines = [head.replace(/, $/, '')]
  if (names.isLost(task.nodeId)) {
    lines.push(`  node ${names.of(task.nodeId)} is down: what it last said may no longer be true`)
  }
  if (isTerminal(state)) {
    const why = taskWhy(task, names)
    if (state !== TaskState.COMPLETE) lines.push(...why.map(line => `  ${line}`))
  } else if (task.status?.error) lines.push(`  ${task.status.error}`)
  const { explanation } = await api.control.explainTask({ id: task.id })
  const told = explanation === null ? [] : explanationLines(explanation)
  lines.push(...told.map(line => `  ${line}`))
  return lines
}
