import { make } from '../proto/codec.ts'
import {
  NodeRole,
  NodeState,
  Reachability,
  v1,
  type Cluster,
  type Node,
  type RootCa,
} from '../proto/index.ts'
import type { PlainOf } from '../proto/codec.ts'

export interface Founding {
  readonly clusterId: string
  readonly nodeId: string
  readonly raftId: number
  /** host:port of the first manager. */
  readonly address: string
  readonly rootCa: RootCa
  /** Of the first manager's certificate, Unix ms. */
  readonly certificateExpiresAtMs: number
  readonly request: PlainOf<(typeof v1)['InitRequest']>
  readonly nowMs: number
}

const TASK_HISTORY_LIMIT = 5
const CERTIFICATE_VALIDITY_MS = 90 * 24 * 3_600_000

/** The objects a new cluster begins with: the cluster itself and its first manager's node. */
export function foundingObjects(founding: Founding): { cluster: Cluster; node: Node } {
  const { clusterId, nodeId, raftId, address, rootCa, request, nowMs } = founding
  const cluster = make(v1.Cluster, {
    id: clusterId,
    spec: {
      annotations: { name: request.clusterName || 'default' },
      taskHistoryLimit: request.taskHistoryLimit || TASK_HISTORY_LIMIT,
      certificateValidityMs: request.certificateValidityMs || CERTIFICATE_VALIDITY_MS,
      heartbeatMs: request.heartbeatMs,
      // Empty and 0: the allocator's own.
      defaultAddressPools: request.defaultAddressPools,
      defaultSubnetSize: request.defaultSubnetSize,
    },
    rootCa,
  })
  const node = make(v1.Node, {
    id: nodeId,
    spec: { annotations: {}, role: NodeRole.MANAGER, availability: request.availability },
    description: {},
    status: {
      state: NodeState.UNKNOWN,
      message: 'founded the cluster, has not connected yet',
      sinceMs: nowMs,
      observedAtMs: nowMs,
    },
    role: NodeRole.MANAGER,
    certificateExpiresAtMs: founding.certificateExpiresAtMs,
    manager: { raftId, address, leader: true, reachability: Reachability.REACHABLE },
  })
  return { cluster, node }
}
