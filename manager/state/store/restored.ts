// What a backup becomes in a cluster that begins anew from it: all of its objects, with another manager and other addresses.
import { NodeRole, NodeState, type Cluster, type Node } from '../../../proto/index.ts'
import { StatusError } from '../../../runtime/errors.ts'
import { encodeSnapshot, capture, decodeSnapshot } from './snapshot.ts'
import type { TableSet } from './tables.ts'

/** A backup's state, read and found complete. */
export interface Restorable {
  readonly cluster: Cluster
  readonly tables: TableSet
  readonly version: number
}

/** @throws StatusError DataLoss when it cannot be read, or has no cluster or no CA to go on with */
export function readRestorable(body: Uint8Array): Restorable {
  const { tables, version } = decodeSnapshot(body)
  const [cluster] = tables.of('cluster').list()
  if (!cluster?.rootCa) {
    throw new StatusError(
      'DataLoss',
      'the backup holds no cluster with a CA: it was taken before the cluster was founded',
    )
  }
  return { cluster, tables, version }
}

/**
 * The state with `self` as the only manager. All other nodes are down until they are heard, and none is a manager: their
 * Raft group is gone, and each must be promoted again.
 *
 * @returns a snapshot for the store
 */
export function restoredState(
  { tables, version }: Restorable,
  self: Node,
  nowMs: number,
): Promise<Uint8Array> {
  for (const node of tables.of('node').list()) tables.put('node', leftBehind(node, version, nowMs))
  const meta = { version, specVersion: version, createdAtMs: nowMs, updatedAtMs: nowMs }
  tables.put('node', { ...self, meta })
  return encodeSnapshot(capture(tables, version))
}

function leftBehind(node: Node, version: number, nowMs: number): Node {
  const wasManager = node.spec?.role === NodeRole.MANAGER
  return {
    ...node,
    meta: node.meta && {
      ...node.meta,
      version,
      specVersion: wasManager ? version : node.meta.specVersion,
      updatedAtMs: nowMs,
    },
    spec: node.spec && { ...node.spec, role: NodeRole.WORKER },
    manager: null,
    status: {
      state: NodeState.DOWN,
      message: 'not heard since the cluster was restored from a backup',
      address: node.status?.address ?? '',
      sinceMs: nowMs,
      observedAtMs: node.status?.observedAtMs ?? 0,
    },
  }
}
