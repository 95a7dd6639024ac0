import { Command } from 'commander'
import { type Task, TaskState } from '../../../proto/index.ts'
import { STACK_LABEL } from '../../../services/compose/stack.ts'
import { observedState, taskName } from '../../../services/model/task.ts'
import type { Context } from '../../context.ts'
import { parseFilters } from '../../filters.ts'
import { find, NodeNames, serviceName } from '../../model/lookup.ts'
import { TASK_FILTERS, taskFields, taskRows } from '../../model/task-rows.ts'
import { renderList } from '../../output/list.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

/** `ps [NAME]`: the tasks of a service, stack or node; without a name, all that live. */
export function command(context: Context): Command {
  return addListOptions(new Command('ps'), TASK_FILTERS)
    .description('List tasks: of a service, stack or node, or all that live')
    .argument('[name]', 'name or id of a service, stack, node or task')
    .option('-a, --all', 'stopped tasks too')
    .action(async (name: string | undefined, flags: ListFlags & { readonly all?: boolean }) => {
      const filters = parseFilters(flags.filter, TASK_FILTERS)
      const { control } = await context.connect()
      const [{ tasks }, { nodes }, { services }] = await Promise.all([
        control.listTasks({}),
        control.listNodes({}),
        control.listServices({}),
      ])
      const nodeNames = new NodeNames(nodes)
      const shown =
        name === undefined
          ? tasks.filter(task => flags.all === true || lives(task))
          : tasks.filter(
              task =>
                task.serviceName === name ||
                task.serviceId === name ||
                task.nodeId === name ||
                nodeNames.of(task.nodeId) === name ||
                task.serviceLabels[STACK_LABEL] === name ||
                taskName(task) === name ||
                task.id === name,
            )
      if (name !== undefined && shown.length === 0) {
        const known = [
          ...services.map(service => ({ id: service.id, name: serviceName(service) })),
          ...nodes.map(node => ({ id: node.id, name: nodeNames.of(node.id) })),
        ]
        const { id } = find(known, name, 'service, stack or node')
        shown.push(...tasks.filter(task => task.serviceId === id || task.nodeId === id))
      }
      const rows = taskRows(shown, nodes, filters, context.clock.now())
      context.stdout.write(renderList(rows, taskFields(!flags.trunc), flags))
    })
}

/** Told to run, or not yet seen stopped. */
function lives(task: Task): boolean {
  return task.desiredState <= TaskState.RUNNING || observedState(task) <= TaskState.RUNNING
}
