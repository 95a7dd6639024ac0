import { Command } from 'commander'
import type { Config } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { matchLabels, matchPrefix, parseFilters } from '../../filters.ts'
import { natural } from '../../model/task-rows.ts'
import { ago } from '../../output/ago.ts'
import { type Field, renderList } from '../../output/list.ts'
import { named } from '../../spec/references.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

const FILTERS = ['id', 'label', 'name'] as const

/** `config ls`. */
export function command(context: Context): Command {
  return addListOptions(new Command('ls').alias('list'), FILTERS)
    .description('List configs')
    .action(async (flags: ListFlags) => {
      const filters = parseFilters(flags.filter, FILTERS)
      const api = await context.connect()
      const { configs } = await api.control.listConfigs({})
      const shown = configs
        .filter(
          config =>
            matchPrefix(filters, 'id', config.id) &&
            matchPrefix(filters, 'name', named(config).name) &&
            matchLabels(filters, 'label', config.spec?.annotations?.labels),
        )
        .toSorted((a, b) => natural(named(a).name, named(b).name))
      context.stdout.write(renderList(shown, configFields(context.clock.now()), flags))
    })
}

function configFields(nowMs: number): readonly Field<Config>[] {
  return [
    { name: 'ID', header: 'ID', value: config => config.id },
    { name: 'Name', header: 'NAME', value: config => named(config).name },
    {
      name: 'CreatedAt',
      header: 'CREATED',
      value: config => ago(config.meta?.createdAtMs ?? 0, nowMs),
    },
    {
      name: 'UpdatedAt',
      header: 'UPDATED',
      value: config => ago(config.meta?.updatedAtMs ?? 0, nowMs),
    },
    { name: 'Labels', header: 'LABELS', value: labelsText, hidden: true },
  ]
}

function labelsText(config: Config): string {
  return Object.entries(config.spec?.annotations?.labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
