import type { ManagerReport } from '../../proto/index.ts'
import { ago } from './ago.ts'

/** What the daemon says of the group before it is recovered. */
export interface Loss {
  readonly raftId: number
  readonly lastIndex: number
  readonly lastTerm: number
  readonly commitIndex: number
  readonly managers: readonly ManagerReport[]
}

/** What going on with one manager keeps, and what may be missing then. */
export function lossText({ raftId, lastIndex, lastTerm, commitIndex, managers }: Loss): string {
  const others = managers.filter(manager => manager.raftId !== raftId)
  const open = lastIndex - commitIndex
  const tail =
    open > 0
      ? `The last ${open === 1 ? 'entry was' : `${open} entries were`} not known here to be committed; kept all the same, for they may have been acknowledged.`
      : 'All of it is committed.'
  const left = others.map(manager => {
    const name = manager.hostname || manager.nodeId || String(manager.raftId)
    return `  ${name} (${manager.address})  ${manager.facts ? 'answers' : 'does not answer'}\n`
  })
  return [
    'The managers have no leader and cannot elect one.\n\n',
    `The log of this manager ends at entry ${lastIndex}, term ${lastTerm}; ${commitIndex} is committed. ${tail}\n`,
    'May be missing: what the other managers acknowledged among themselves after that entry.\n\n',
    'These are left behind, and are members no more:\n',
    ...left,
    'Go on only if they are gone for good, or cannot serve anybody: until they hear of this manager they would be a second\n',
    'cluster. One that comes back is told that it is out, forgets its state and joins anew.\n\n',
  ].join('')
}

/** What the daemon says of a cluster that was begun anew. */
export interface Restored {
  readonly nodeId: string
  readonly clusterId: string
  readonly clusterName: string
  readonly address: string
  readonly index: number
  readonly createdAtMs: number
  readonly objects: Readonly<Record<string, number>>
}

export function restoredText(restored: Restored, nowMs: number): string {
  const { objects, clusterName, clusterId, index, createdAtMs, nodeId, address } = restored
  const counted = ['service', 'network', 'secret', 'config', 'volume', 'task', 'node']
    .map(kind => ({ kind, count: objects[kind] ?? 0 }))
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => `${count} ${kind}${count === 1 ? '' : 's'}`)
  return [
    `Cluster ${clusterName} (${clusterId}) is back as of index ${index}, written ${ago(createdAtMs, nowMs)}.\n`,
    `  ${counted.join(', ')}\n`,
    `This node (${nodeId}, ${address}) is its only manager. The nodes of before are shown as down until they are heard.\n\n`,
    'Next: add managers with: skein swarm join-token manager. Nodes of before that know only old addresses leave and\n',
    'join anew: skein swarm leave --force, then skein swarm join. Remove what is gone: skein node rm NODE\n',
  ].join('')
}
