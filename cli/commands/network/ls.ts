import { Command } from 'commander'
import type { Network } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { matchExact, matchLabels, matchPart, parseFilters } from '../../filters.ts'
import { shortId } from '../../model/lookup.ts'
import { natural } from '../../model/task-rows.ts'
import { driverOf } from '../../output/inspect-network.ts'
import { timestamp } from '../../output/inspect-meta.ts'
import { type Field, renderList } from '../../output/list.ts'
import { named } from '../../spec/references.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

const FILTERS = ['driver', 'id', 'label', 'name', 'scope', 'type'] as const

/** `network ls`. */
export function command(context: Context): Command {
  return addListOptions(new Command('ls').alias('list'), FILTERS)
    .description('List networks')
    .action(async (flags: ListFlags) => {
      const filters = parseFilters(flags.filter, FILTERS)
      const api = await context.connect()
      const { networks } = await api.control.listNetworks({})
      const shown = networks
        .filter(
          network =>
            matchPart(filters, 'id', network.id) &&
            matchPart(filters, 'name', named(network).name) &&
            matchExact(filters, 'driver', driverOf(network)) &&
            matchExact(filters, 'scope', 'swarm') &&
            matchExact(filters, 'type', 'custom') &&
            matchLabels(filters, 'label', network.spec?.annotations?.labels),
        )
        .toSorted((a, b) => natural(named(a).name, named(b).name))
      context.stdout.write(renderList(shown, networkFields(!flags.trunc), flags))
    })
}

function networkFields(noTrunc: boolean): readonly Field<Network>[] {
  const flag = (value: boolean | undefined): string => String(value ?? false)
  return [
    { name: 'ID', header: 'NETWORK ID', value: network => shortId(network.id, noTrunc) },
    { name: 'Name', header: 'NAME', value: network => named(network).name },
    { name: 'Driver', header: 'DRIVER', value: driverOf },
    { name: 'Scope', header: 'SCOPE', value: () => 'swarm' },
    { name: 'IPv4', header: 'IPV4', value: () => 'true', hidden: true },
    { name: 'IPv6', header: 'IPV6', value: network => flag(network.spec?.ipv6), hidden: true },
    {
      name: 'Internal',
      header: 'INTERNAL',
      value: network => flag(network.spec?.internal),
      hidden: true,
    },
    { name: 'Labels', header: 'LABELS', value: labelsText, hidden: true },
    {
      name: 'CreatedAt',
      header: 'CREATED AT',
      value: network => timestamp(network.meta?.createdAtMs ?? 0),
      hidden: true,
    },
  ]
}

function labelsText(network: Network): string {
  return Object.entries(network.spec?.annotations?.labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
