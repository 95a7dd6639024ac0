import { Command } from 'commander'
import type { Secret } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { matchLabels, matchPrefix, parseFilters } from '../../filters.ts'
import { natural } from '../../model/task-rows.ts'
import { ago } from '../../output/ago.ts'
import { type Field, renderList } from '../../output/list.ts'
import { named } from '../../spec/references.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

const FILTERS = ['id', 'label', 'name'] as const

/** `secret ls`. */
export function command(context: Context): Command {
  return addListOptions(new Command('ls').alias('list'), FILTERS)
    .description('List secrets')
    .action(async (flags: ListFlags) => {
      const filters = parseFilters(flags.filter, FILTERS)
      const api = await context.connect()
      const { secrets } = await api.control.listSecrets({})
      const shown = secrets
        .filter(
          secret =>
            matchPrefix(filters, 'id', secret.id) &&
            matchPrefix(filters, 'name', named(secret).name) &&
            matchLabels(filters, 'label', secret.spec?.annotations?.labels),
        )
        .toSorted((a, b) => natural(named(a).name, named(b).name))
      context.stdout.write(renderList(shown, secretFields(context.clock.now()), flags))
    })
}

function secretFields(nowMs: number): readonly Field<Secret>[] {
  return [
    { name: 'ID', header: 'ID', value: secret => secret.id },
    { name: 'Name', header: 'NAME', value: secret => named(secret).name },
    {
      name: 'Driver',
      header: 'DRIVER',
      value: secret => secret.spec?.driver?.name ?? '',
    },
    {
      name: 'CreatedAt',
      header: 'CREATED',
      value: secret => ago(secret.meta?.createdAtMs ?? 0, nowMs),
    },
    {
      name: 'UpdatedAt',
      header: 'UPDATED',
      value: secret => ago(secret.meta?.updatedAtMs ?? 0, nowMs),
    },
    { name: 'Labels', header: 'LABELS', value: labelsText, hidden: true },
  ]
}

function labelsText(secret: Secret): string {
  return Object.entries(secret.spec?.annotations?.labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
