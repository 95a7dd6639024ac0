import type { Node, Service, Task } from '../../proto/index.ts'
import { servicePortsText } from '../../services/format/ports.ts'
import { modeName } from '../../services/model/service.ts'
import { type Filters, matchExact, matchLabels, matchPrefix } from '../filters.ts'
import type { Field } from '../output/list.ts'
import { serviceName, shortId } from './lookup.ts'
import { countReplicas, replicasText } from './replicas.ts'
import { imageText, natural } from './task-rows.ts'

export const SERVICE_FILTERS = ['id', 'label', 'mode', 'name'] as const

export interface ServiceRow {
  readonly service: Service
  readonly replicas: string
}

/** Services as `service ls` lists them, by name (swarm row SF-59). */
export function serviceRows(
  services: readonly Service[],
  tasks: readonly Task[],
  nodes: readonly Node[],
  filters: Filters,
): readonly ServiceRow[] {
  const byService = groupByService(tasks)
  return services
    .filter(
      service =>
        matchPrefix(filters, 'id', service.id) &&
        matchPrefix(filters, 'name', serviceName(service)) &&
        matchExact(filters, 'mode', service.spec === null ? '' : modeName(service.spec)) &&
        matchLabels(filters, 'label', service.spec?.annotations?.labels),
    )
    .toSorted((a, b) => natural(serviceName(a), serviceName(b)))
    .map(service => ({
      service,
      replicas: replicasText(
        service,
        countReplicas(service, byService.get(service.id) ?? [], nodes),
      ),
    }))
}

export function serviceFields(noTrunc: boolean): readonly Field<ServiceRow>[] {
  return [
    { name: 'ID', header: 'ID', value: row => shortId(row.service.id, noTrunc) },
    { name: 'Name', header: 'NAME', value: row => serviceName(row.service) },
    {
      name: 'Mode',
      header: 'MODE',
      value: row => (row.service.spec === null ? '' : modeName(row.service.spec)),
    },
    { name: 'Replicas', header: 'REPLICAS', value: row => row.replicas },
    {
      name: 'Image',
      header: 'IMAGE',
      value: row => imageText(row.service.spec?.task?.container?.image ?? ''),
    },
    {
      name: 'Ports',
      header: 'PORTS',
      value: row => servicePortsText(row.service.endpoint?.ports ?? []),
    },
  ]
}

function groupByService(tasks: readonly Task[]): ReadonlyMap<string, readonly Task[]> {
  const groups = new Map<string, Task[]>()
  for (const task of tasks) {
    const group = groups.get(task.serviceId)
    if (group === undefined) groups.set(task.serviceId, [task])
    else group.push(task)
  }
  return groups
}
