import { isDeepStrictEqual } from 'node:util'
import type {
  Assignments,
  Config,
  EndpointChange,
  NetworkTable,
  NodePeer,
  Secret,
  Task,
} from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { v1 } from '../../proto/index.ts'
import { EMPTY_SET, type NodeSet } from './assignments.ts'

/** Entries that go one by one; beyond this share of a table the whole table is shorter. */
const CHANGES_MAX = 200

/** The whole set as the first message of a session. */
export function completeMessage(set: NodeSet, revision: number): Assignments {
  const message = diffMessage(EMPTY_SET, set, 0, revision)
  return { ...(message ?? make(v1.Assignments, {})), complete: true, appliesTo: 0, revision }
}

/**
 * What turns `before` into `after` (row DP-10), or undefined when an agent would notice nothing. A task's own status is
 * no reason to send it: the agent knows it best (row DP-11).
 */
export function diffMessage(
  before: NodeSet,
  after: NodeSet,
  appliesTo: number,
  revision: number,
): Assignments | undefined {
  const tasks = changed(before.tasks, after.tasks, sameTask)
  const secrets = changed(before.secrets, after.secrets, sameVersion)
  const configs = changed(before.configs, after.configs, sameVersion)
  const peers = changed(before.peers, after.peers, samePeer)
  const tables = diffTables(before.networks, after.networks)
  const parts = [tasks, secrets, configs, peers, tables].flatMap(p => [
    p.put.length,
    p.removed.length,
  ])
  if (parts.every(length => length === 0) && tables.endpoints.length === 0) return undefined
  return {
    complete: false,
    appliesTo,
    revision,
    tasks: tasks.put,
    removedTasks: tasks.removed,
    secrets: secrets.put,
    removedSecrets: secrets.removed,
    configs: configs.put,
    removedConfigs: configs.removed,
    networks: tables.put,
    removedNetworks: tables.removed,
    endpoints: tables.endpoints,
    peers: peers.put,
    removedPeers: peers.removed,
  }
}

/** Adds to `counts` how many items of each kind a message carries, for the metrics. */
export function countItems(
  message: Assignments,
  add: (kind: string, action: 'update' | 'remove', count: number) => void,
): void {
  add('task', 'update', message.tasks.length)
  add('task', 'remove', message.removedTasks.length)
  add('secret', 'update', message.secrets.length)
  add('secret', 'remove', message.removedSecrets.length)
  add('config', 'update', message.configs.length)
  add('config', 'remove', message.removedConfigs.length)
  add('network', 'update', message.networks.length)
  add('network', 'remove', message.removedNetworks.length)
  add('endpoint', 'update', message.endpoints.filter(change => !change.removed).length)
  add('endpoint', 'remove', message.endpoints.filter(change => change.removed).length)
}

interface Changed<T> {
  readonly put: readonly T[]
  readonly removed: readonly string[]
}

function changed<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  same: (a: T, b: T) => boolean,
): Changed<T> {
  const put: T[] = []
  for (const [id, item] of after) {
    const old = before.get(id)
    if (old === undefined || (old !== item && !same(old, item))) put.push(item)
  }
  return { put, removed: [...before.keys()].filter(id => !after.has(id)) }
}

function sameVersion(a: Secret | Config, b: Secret | Config): boolean {
  return a.meta?.version === b.meta?.version
}

/** What managers may change of a task once it has its node. */
function sameTask(a: Task, b: Task): boolean {
  return (
    a.desiredState === b.desiredState &&
    a.startAfterMs === b.startAfterMs &&
    a.specVersion === b.specVersion &&
    isDeepStrictEqual(a.networks, b.networks) &&
    isDeepStrictEqual(a.endpoint, b.endpoint)
  )
}

function samePeer(a: NodePeer, b: NodePeer): boolean {
  return (
    a.address === b.address &&
    a.wireguardPublicKey === b.wireguardPublicKey &&
    a.wireguardAddress === b.wireguardAddress
  )
}

function diffTables(
  before: ReadonlyMap<string, NetworkTable>,
  after: ReadonlyMap<string, NetworkTable>,
): Changed<NetworkTable> & { readonly endpoints: readonly EndpointChange[] } {
  const put: NetworkTable[] = []
  const endpoints: EndpointChange[] = []
  for (const [id, table] of after) {
    const old = before.get(id)
    if (old === table) continue
    const changes = old && sameHead(old, table) ? entryChanges(old, table) : undefined
    if (!changes || changes.length > CHANGES_MAX) put.push(table)
    else endpoints.push(...changes)
  }
  return { put, removed: [...before.keys()].filter(id => !after.has(id)), endpoints }
}

function sameHead(a: NetworkTable, b: NetworkTable): boolean {
  return isDeepStrictEqual({ ...a, endpoints: [] }, { ...b, endpoints: [] })
}

/** Both lists are in order of task id. */
function entryChanges(before: NetworkTable, after: NetworkTable): readonly EndpointChange[] {
  const networkId = after.networkId
  const old = new Map(before.endpoints.map(entry => [entry.taskId, entry]))
  const changes: EndpointChange[] = []
  for (const entry of after.endpoints) {
    if (old.get(entry.taskId) !== entry) changes.push({ networkId, removed: false, entry })
    old.delete(entry.taskId)
  }
  // Removals first: an address may pass from one task of a slot to the next in one message.
  const removals = [...old.values()].map(entry => ({ networkId, removed: true, entry }))
  return [...removals, ...changes]
}
