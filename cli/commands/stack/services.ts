import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { parseFilters } from '../../filters.ts'
import { SERVICE_FILTERS, serviceFields, serviceRows } from '../../model/service-rows.ts'
import { renderList } from '../../output/list.ts'
import { stackOf } from '../../stack/plan.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

/** `stack services` (swarm row ST-15). */
export function command(context: Context): Command {
  return addListOptions(new Command('services'), SERVICE_FILTERS)
    .description('List the services of a stack')
    .argument('<stack>')
    .action(async (stack: string, flags: ListFlags) => {
      const filters = parseFilters(flags.filter, SERVICE_FILTERS)
      const { control } = await context.connect()
      const [{ services }, { tasks }, { nodes }] = await Promise.all([
        control.listServices({}),
        control.listTasks({}),
        control.listNodes({}),
      ])
      const own = services.filter(service => stackOf(service) === stack)
      if (own.length === 0) {
        throw new Failure(`nothing found in stack: ${stack}`, { next: ['skein stack ls'] })
      }
      const rows = serviceRows(own, tasks, nodes, filters)
      context.stdout.write(renderList(rows, serviceFields(!flags.trunc), flags))
    })
}
