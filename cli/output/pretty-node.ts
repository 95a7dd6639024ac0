import type { Node } from '../../proto/index.ts'
import { formatNanoCpus } from '../../services/resource/parse.ts'
import { nodeName } from '../model/lookup.ts'
import {
  availabilityName,
  capital,
  nodeStateName,
  reachabilityName,
  roleName,
} from '../model/words.ts'
import { timestamp } from './inspect-meta.ts'
import { bytesText, mapEntries, pretty } from './pretty.ts'

/** `node inspect --pretty`. */
export function prettyNode(node: Node): string {
  const { spec, description, status, manager } = node
  return pretty([
    ['ID', node.id],
    ['Hostname', nodeName(node)],
    ['Labels', mapEntries(spec?.annotations?.labels)],
    ['Role', roleName(node.role)],
    ['Joined at', timestamp(node.meta?.createdAtMs ?? 0)],
    [
      'Status',
      [
        ['State', capital(nodeStateName(status?.state ?? 0))],
        ['Message', status?.message],
        ['Availability', capital(availabilityName(spec?.availability ?? 0))],
        ['Address', status?.address],
      ],
    ],
    [
      'Manager Status',
      manager === null
        ? []
        : [
            ['Address', manager.address],
            ['Raft Status', capital(reachabilityName(manager.reachability))],
            ['Leader', manager.leader ? 'Yes' : 'No'],
          ],
    ],
    [
      'Platform',
      [
        ['Operating System', description?.platform?.os],
        ['Architecture', description?.platform?.architecture],
      ],
    ],
    [
      'Resources',
      [
        ['CPUs', formatNanoCpus(description?.resources?.nanoCpus ?? 0)],
        ['Memory', bytesText(description?.resources?.memoryBytes ?? 0)],
      ],
    ],
    ['Engine Version', description?.engine?.version],
    ['Engine Labels', mapEntries(description?.engine?.labels)],
    ['Skein Version', description?.skeinVersion],
    [
      'Certificate',
      node.certificateExpiresAtMs === 0
        ? undefined
        : `valid until ${timestamp(node.certificateExpiresAtMs)}`,
    ],
  ])
}
