import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { natural } from '../../model/task-rows.ts'
import { type Field, renderList } from '../../output/list.ts'
import { stackOf } from '../../stack/plan.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

interface StackRow {
  readonly name: string
  readonly services: number
}

const FIELDS: readonly Field<StackRow>[] = [
  { name: 'Name', header: 'NAME', value: row => row.name },
  { name: 'Services', header: 'SERVICES', value: row => String(row.services) },
]

/** `stack ls` (swarm row ST-13). */
export function command(context: Context): Command {
  return addListOptions(new Command('ls').alias('list'), [])
    .description('List stacks')
    .action(async (flags: ListFlags) => {
      const api = await context.connect()
      const { services } = await api.control.listServices({})
      const counts = new Map<string, number>()
      for (const service of services) {
        const stack = stackOf(service)
        if (stack !== undefined) counts.set(stack, (counts.get(stack) ?? 0) + 1)
      }
      const rows = [...counts]
        .map(([name, count]) => ({ name, services: count }))
        .toSorted((a, b) => natural(a.name, b.name))
      context.stdout.write(renderList(rows, FIELDS, flags))
    })
}
