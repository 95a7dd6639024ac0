import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { parseFilters } from '../../filters.ts'
import { TASK_FILTERS, taskFields, taskRows } from '../../model/task-rows.ts'
import { renderList } from '../../output/list.ts'
import { STACK_LABEL } from '../../../services/compose/stack.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

/** `stack ps` (swarm row ST-14): tasks carry the labels of their service, so those of removed services are listed too. */
export function command(context: Context): Command {
  return addListOptions(new Command('ps'), TASK_FILTERS)
    .description('List the tasks of a stack')
    .argument('<stack>')
    .option('--no-resolve', 'accepted for compatibility')
    .action(async (stack: string, flags: ListFlags) => {
      const filters = parseFilters(flags.filter, TASK_FILTERS)
      const { control } = await context.connect()
      const [{ tasks }, { nodes }] = await Promise.all([
        control.listTasks({}),
        control.listNodes({}),
      ])
      const own = tasks.filter(task => task.serviceLabels[STACK_LABEL] === stack)
      if (own.length === 0) {
        throw new Failure(`nothing found in stack: ${stack}`, { next: ['skein stack ls'] })
      }
      const rows = taskRows(own, nodes, filters, context.clock.now())
      context.stdout.write(renderList(rows, taskFields(!flags.trunc), flags))
    })
}
