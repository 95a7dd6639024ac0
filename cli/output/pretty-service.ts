import type { Service, UpdateConfig } from '../../proto/index.ts'
import { protocolName } from '../../services/format/ports.ts'
import { modeName, wantedReplicas } from '../../services/model/service.ts'
import { formatDuration, formatNanoCpus } from '../../services/resource/parse.ts'
import { MOUNT_TYPES } from '../flags/mount.ts'
import { publishModeName } from '../model/ports.ts'
import { capital, updateStateName } from '../model/words.ts'
import { timestamp } from './inspect-meta.ts'
import { bytesText, type Entry, mapEntries, pretty } from './pretty.ts'

/**
 * `service inspect --pretty`.
 * @param networkName the name of a network's id
 */
export function prettyService(service: Service, networkName: (id: string) => string): string {
  const { spec, updateStatus } = service
  if (spec === null) return pretty([['ID', service.id]])
  const container = spec.task?.container
  const resources = spec.task?.resources
  return pretty([
    ['ID', service.id],
    ['Name', spec.annotations?.name],
    ['Labels', mapEntries(spec.annotations?.labels)],
    ['Service Mode', capital(modeName(spec))],
    ['Replicas', wantedReplicas(spec)],
    ['Blocked by', service.blockedBy],
    [
      'UpdateStatus',
      updateStatus === null || updateStatus.state === 0
        ? []
        : [
            ['State', updateStateName(updateStatus.state)],
            ['Started', timestamp(updateStatus.startedAtMs)],
            [
              'Completed',
              updateStatus.completedAtMs === 0 ? undefined : timestamp(updateStatus.completedAtMs),
            ],
            ['Message', updateStatus.message],
          ],
    ],
    [
      'Placement',
      [
        ['Constraints', spec.task?.placement?.constraints.join(', ')],
        [
          'Preferences',
          spec.task?.placement?.preferences.map(p => `spread=${p.spread}`).join(', '),
        ],
        ['Max Replicas Per Node', spec.task?.placement?.maxReplicasPerNode || undefined],
      ],
    ],
    ['UpdateConfig', updateEntries(spec.update)],
    ['RollbackConfig', updateEntries(spec.rollback)],
    [
      'ContainerSpec',
      [
        ['Image', container?.image],
        ['Command', container?.command.join(' ')],
        ['Args', container?.args.join(' ')],
        ['Env', container?.env.join(' ')],
        ['Dir', container?.dir],
        ['User', container?.user],
        ['Hostname', container?.hostname],
        [
          'Mounts',
          container?.mounts.map(mount => [
            mount.target,
            `${MOUNT_TYPES[mount.type] ?? ''} ${mount.source}${mount.readOnly ? ' (read-only)' : ''}`,
          ]) ?? [],
        ],
        ['Secrets', container?.secrets.map(each => [each.file?.name ?? '', each.secretName]) ?? []],
        ['Configs', container?.configs.map(each => [each.file?.name ?? '', each.configName]) ?? []],
      ],
    ],
    [
      'Resources',
      (['reservations', 'limits'] as const).map(
        (kind): Entry => [
          capital(kind),
          [
            [
              'CPU',
              (resources?.[kind]?.nanoCpus ?? 0) &&
                formatNanoCpus(resources?.[kind]?.nanoCpus ?? 0),
            ],
            [
              'Memory',
              (resources?.[kind]?.memoryBytes ?? 0) &&
                bytesText(resources?.[kind]?.memoryBytes ?? 0),
            ],
          ].filter((entry): entry is [string, string] => entry[1] !== 0),
        ],
      ),
    ],
    ['Networks', spec.task?.networks.map(network => networkName(network.target)).join(', ')],
    ['Endpoint Mode', spec.endpoint?.mode === 1 ? 'dnsrr' : 'vip'],
    [
      'Ports',
      (service.endpoint?.ports ?? spec.endpoint?.ports ?? []).map(
        (port): Entry => [
          `${port.target}/${protocolName(port.protocol)}`,
          `${port.published} (${publishModeName(port.mode)})`,
        ],
      ),
    ],
  ])
}

function updateEntries(config: UpdateConfig | null): readonly Entry[] {
  if (config === null) return []
  return [
    ['Parallelism', config.parallelism],
    ['Delay', config.delayMs === 0 ? undefined : formatDuration(config.delayMs)],
    ['On failure', ['pause', 'continue', 'rollback'][config.failureAction]],
    ['Monitoring Period', formatDuration(config.monitorMs)],
    ['Max failure ratio', config.maxFailureRatio],
    ['Update order', config.order === 1 ? 'start-first' : 'stop-first'],
  ]
}
