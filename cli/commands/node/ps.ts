import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { parseFilters } from '../../filters.ts'
import { TASK_FILTERS, taskFields, taskRows } from '../../model/task-rows.ts'
import { renderList } from '../../output/list.ts'
import { getNode } from '../get.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

/** `node ps` (swarm row CL-33). */
export function command(context: Context): Command {
  return addListOptions(new Command('ps'), TASK_FILTERS)
    .description('List the tasks on nodes, by default on this one')
    .argument('[node...]', 'names, ids or "self"')
    .option('--no-resolve', 'accepted for compatibility')
    .action(async (names: readonly string[], flags: ListFlags) => {
      const filters = parseFilters(flags.filter, TASK_FILTERS)
      const api = await context.connect()
      const { nodes } = await api.control.listNodes({})
      const tasks = []
      for (const name of names.length === 0 ? [await selfId(context)] : names) {
        const nodeId = name === 'self' ? await selfId(context) : (await getNode(api, name)).id
        tasks.push(...(await api.control.listTasks({ nodeId })).tasks)
      }
      const rows = taskRows(tasks, nodes, filters, context.clock.now())
      context.stdout.write(renderList(rows, taskFields(!flags.trunc), flags))
    })
}

/** The node the daemon runs on, which is not always the manager that answers. */
async function selfId(context: Context): Promise<string> {
  const api = await context.connect()
  return (await api.local.info({})).nodeId
}
