import { Command } from 'commander'
import { type Node, Reachability } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { type Filters, matchExact, matchLabels, matchPrefix, parseFilters } from '../../filters.ts'
import { nodeName } from '../../model/lookup.ts'
import { natural } from '../../model/task-rows.ts'
import { availabilityName, capital, nodeStateName, roleName } from '../../model/words.ts'
import { type Field, renderList } from '../../output/list.ts'
import { addListOptions, type ListFlags } from '../list-options.ts'

const FILTERS = ['id', 'label', 'node.label', 'membership', 'name', 'role'] as const

/** `node ls` (swarm row CL-27). */
export function command(context: Context): Command {
  return addListOptions(new Command('ls').alias('list'), FILTERS)
    .description('List the nodes of the cluster')
    .action(async (flags: ListFlags) => {
      const filters = parseFilters(flags.filter, FILTERS)
      const api = await context.connect()
      const { nodes, self } = await api.control.listNodes({})
      const shown = nodes
        .filter(node => isWanted(node, filters))
        .toSorted((a, b) => natural(nodeName(a), nodeName(b)))
      context.stdout.write(renderList(shown, nodeFields(self), flags))
    })
}

export function nodeFields(self: string): readonly Field<Node>[] {
  return [
    {
      name: 'ID',
      header: 'ID',
      value: node => node.id,
      inTable: node => (node.id === self ? `${node.id} *` : `${node.id}  `),
    },
    { name: 'Self', header: '', value: node => node.id === self, hidden: true },
    { name: 'Hostname', header: 'HOSTNAME', value: nodeName },
    {
      name: 'Status',
      header: 'STATUS',
      value: node => capital(nodeStateName(node.status?.state ?? 0)),
    },
    {
      name: 'Availability',
      header: 'AVAILABILITY',
      value: node => capital(availabilityName(node.spec?.availability ?? 0)),
    },
    { name: 'ManagerStatus', header: 'MANAGER STATUS', value: managerText },
    {
      name: 'EngineVersion',
      header: 'ENGINE VERSION',
      value: node => node.description?.engine?.version ?? '',
    },
    { name: 'TLSStatus', header: 'TLS STATUS', value: () => 'Ready', hidden: true },
  ]
}

function managerText(node: Node): string {
  const { manager } = node
  if (manager === null) return ''
  if (manager.leader) return 'Leader'
  return manager.reachability === Reachability.UNREACHABLE ? 'Unreachable' : 'Reachable'
}

function isWanted(node: Node, filters: Filters): boolean {
  return (
    matchPrefix(filters, 'id', node.id) &&
    matchPrefix(filters, 'name', nodeName(node)) &&
    matchExact(filters, 'role', roleName(node.role)) &&
    matchExact(filters, 'membership', 'accepted') &&
    matchLabels(filters, 'label', node.description?.engine?.labels) &&
    matchLabels(filters, 'node.label', node.spec?.annotations?.labels)
  )
}
