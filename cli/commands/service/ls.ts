import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { parseFilters } from '../../filters.ts'
import { SERVICE_FILTERS, serviceFields, serviceRows } from '../../model/service-rows.ts'
import { renderList } from '../../output/list.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

/** `service ls` (swarm row SF-59). */
export function command(context: Context): Command {
  return addListOptions(new Command('ls').alias('list'), SERVICE_FILTERS)
    .description('List services')
    .action(async (flags: ListFlags) => {
      const filters = parseFilters(flags.filter, SERVICE_FILTERS)
      const { control } = await context.connect()
      const [{ services }, { tasks }, { nodes }] = await Promise.all([
        control.listServices({}),
        control.listTasks({}),
        control.listNodes({}),
      ])
      const rows = serviceRows(services, tasks, nodes, filters)
      context.stdout.write(renderList(rows, serviceFields(!flags.trunc), flags))
    })
}
