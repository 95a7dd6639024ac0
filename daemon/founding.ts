// What a new cluster begins with: a CA, the founder's identity, and the first two objects.
import { createKey, identityFrom, type Identity } from '../agent/identity/identity.ts'
import { certificateRequest } from '../agent/identity/csr.ts'
import { issueCertificate } from '../manager/ca/issue.ts'
import { createRootCa } from '../manager/ca/root.ts'
import { joinTokens } from '../manager/ca/token.ts'
import { make, type PlainOf } from '../proto/codec.ts'
import {
  NodeRole,
  NodeState,
  Reachability,
  v1,
  type Cluster,
  type Node,
  type RootCa,
} from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'

type InitRequest = PlainOf<(typeof v1)['InitRequest']>

/** A CA and the identity of the node that founds its cluster. */
export interface Authority {
  readonly rootCa: RootCa
  readonly identity: Identity
  readonly workerToken: string
}

const TASK_HISTORY_LIMIT = 5
const CERTIFICATE_VALIDITY_MS = 90 * 24 * 3_600_000

/** Makes the CA of a new cluster and certifies its first manager. */
export async function foundAuthority(options: {
  readonly clusterId: string
  readonly nodeId: string
  readonly request: InitRequest
  readonly clock: Clock
  readonly random: Random
}): Promise<Authority> {
  const { clusterId, nodeId, request, clock, random } = options
  const nowMs = clock.now()
  const rootCa = await createRootCa({ clusterId, nowMs, random })
  const validityMs = request.certificateValidityMs
  const identity = await certifyManager(rootCa, { clusterId, nodeId, nowMs, validityMs, random })
  return { rootCa, identity, workerToken: joinTokens(rootCa).worker }
}

/** A new key for the node itself, certified by a CA whose key is at hand. */
export async function certifyManager(
  rootCa: RootCa,
  who: {
    readonly clusterId: string
    readonly nodeId: string
    readonly nowMs: number
    /** 0: the default. */
    readonly validityMs: number
    readonly random: Random
  },
): Promise<Identity> {
  const keyPem = await createKey()
  const csrPem = certificateRequest(keyPem)
  const { certificatePem } = await issueCertificate(rootCa, { ...who, role: 'manager', csrPem })
  const rootPems = [rootCa.certificatePem, rootCa.nextCertificatePem].filter(pem => pem !== '')
  return identityFrom({ keyPem, certificatePem, rootPems })
}

/** The facts the first objects are made of. */
export interface Founding {
  readonly clusterId: string
  readonly nodeId: string
  readonly raftId: number
  /** host:port of the first manager. */
  readonly address: string
  readonly rootCa: RootCa
  /** Of the first manager's certificate, Unix ms. */
  readonly certificateExpiresAtMs: number
  readonly request: InitRequest
  readonly nowMs: number
}

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
  const { availability } = request
  const { certificateExpiresAtMs } = founding
  const node = managerNode(
    { nodeId, raftId, address, availability, certificateExpiresAtMs, nowMs },
    'founded the cluster, has not connected yet',
  )
  return { cluster, node }
}

/** The node object of a cluster's only manager, before its agent has said what it is. */
export function managerNode(
  facts: Pick<Founding, 'nodeId' | 'raftId' | 'address' | 'certificateExpiresAtMs' | 'nowMs'> & {
    readonly availability: InitRequest['availability']
  },
  message: string,
): Node {
  const { nodeId, raftId, address, availability, certificateExpiresAtMs, nowMs } = facts
  return make(v1.Node, {
    id: nodeId,
    spec: { annotations: {}, role: NodeRole.MANAGER, availability },
    description: {},
    status: { state: NodeState.UNKNOWN, message, sinceMs: nowMs, observedAtMs: nowMs },
    role: NodeRole.MANAGER,
    certificateExpiresAtMs,
    manager: { raftId, address, leader: true, reachability: Reachability.REACHABLE },
  })
}
