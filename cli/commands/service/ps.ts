import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { parseFilters } from '../../filters.ts'
import { TASK_FILTERS, taskFields, taskRows } from '../../model/task-rows.ts'
import { renderList } from '../../output/list.ts'
import { forEach } from '../each.ts'
import { getService } from '../get.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'
import type { Task } from '../../../proto/index.ts'

/** `service ps` (swarm row SF-60). */
export function command(context: Context): Command {
  return addListOptions(new Command('ps'), TASK_FILTERS)
    .description('List the tasks of services')
    .argument('<service...>', 'names or ids')
    .option('--no-resolve', 'accepted for compatibility')
    .action(async (names: readonly string[], flags: ListFlags) => {
      const filters = parseFilters(flags.filter, TASK_FILTERS)
      const api = await context.connect()
      const { nodes } = await api.control.listNodes({})
      const tasks: Task[] = []
      let failure: unknown
      try {
        await forEach(context, names, async name => {
          const service = await getService(api, name)
          tasks.push(...(await api.control.listTasks({ serviceId: service.id })).tasks)
          return undefined
        })
      } catch (error) {
        failure = error
      }
      if (failure === undefined || tasks.length > 0) {
        const rows = taskRows(tasks, nodes, filters, context.clock.now())
        context.stdout.write(renderList(rows, taskFields(!flags.trunc), flags))
      }
      if (failure !== undefined) throw failure
    })
}
