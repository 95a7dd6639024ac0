// The CA service. Runs on the leader: followers pass calls on (daemon/rpc/leader-proxy.ts).
import { Counter, type Registry } from 'prom-client'
import type { CertifiedRole } from '../../proto/certificate.ts'
import { make } from '../../proto/codec.ts'
import { NodeRole, NodeState, v1, type Cluster, type NodeAvailability } from '../../proto/index.ts'
import type { Caller, HandlersOf } from '../../proto/service.ts'
import type { Clock } from '../../runtime/clock.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { newId, type Random } from '../../runtime/random.ts'
import type { ReadTx, Store } from '../state/store/types.ts'
import { Attempts } from './attempts.ts'
import { issueCertificate, type IssuedCertificate } from './issue.ts'
import { roleOfSecret } from './token.ts'

export interface CaDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly registry: Registry
}

/** The handlers of service CA. */
export function caHandlers(deps: CaDeps): HandlersOf<'CA'> {
  const attempts = new Attempts(deps.clock)
  const metrics = caMetrics(deps.registry)

  return {
    async getRootCertificate() {
      return { certificatePem: deps.store.view(tx => tx.cluster().rootCa?.certificatePem ?? '') }
    },

    async issueCertificate(request, caller) {
      if (request.tokenSecret === '') return renew(deps, metrics, request.csrPem, caller)
      const host = hostOf(caller.address)
      const waitMs = attempts.waitMs(host)
      if (waitMs > 0) {
        throw new StatusError(
          'ResourceExhausted',
          `too many refused join tokens from ${host}; try again in ${Math.ceil(waitMs / 1000)} s`,
        )
      }
      try {
        return await join(deps, metrics, request, caller)
      } catch (thrown) {
        if (thrown instanceof StatusError && thrown.code === 'PermissionDenied') {
          attempts.refused(host)
          metrics.joins.inc({ role: 'unknown', result: 'bad_token' })
          deps.log.warn('a join token was refused', { address: caller.address })
        }
        throw thrown
      }
    },
  }
}

/** A new node: its role is that of the secret (Swarm row SE-08). */
async function join(
  deps: CaDeps,
  metrics: CaMetrics,
  request: { csrPem: string; tokenSecret: string; availability: NodeAvailability },
  caller: Caller,
): Promise<IssueAnswer> {
  const cluster = deps.store.view(tx => tx.cluster())
  const role = admittedRole(cluster, request.tokenSecret)
  const nodeId = newId(deps.random)
  const issued = await issue(deps, metrics, cluster, { csrPem: request.csrPem, nodeId, role })
  const nowMs = deps.clock.now()
  const node = make(v1.Node, {
    id: nodeId,
    spec: { annotations: {}, role, availability: request.availability },
    description: {},
    status: {
      state: NodeState.UNKNOWN,
      message: 'has a certificate, has not connected yet',
      address: hostOf(caller.address),
      sinceMs: nowMs,
      observedAtMs: nowMs,
    },
    role,
    certificateExpiresAtMs: issued.expiresAtMs,
  })
  await deps.store.update(
    tx => {
      // The token may have been rotated while the certificate was made.
      admittedRole(tx.cluster(), request.tokenSecret)
      tx.create('node', node)
    },
    { author: nodeId },
  )
  metrics.joins.inc({ role: certifiedRole(role), result: 'accepted' })
  deps.log.info('a node joined', { nodeId, role: certifiedRole(role), address: caller.address })
  return answer(cluster, nodeId, role, issued)
}

function admittedRole(cluster: Cluster, secret: string): NodeRole {
  const role = cluster.rootCa ? roleOfSecret(cluster.rootCa, secret) : undefined
  if (role === undefined) {
    throw new StatusError(
      'PermissionDenied',
      'the join token was refused: it was rotated, or is of another cluster; get the current one with: skein swarm join-token worker',
    )
  }
  return role
}

/** A known node's next certificate, with the role its spec says now: how promotion and demotion take effect. */
async function renew(
  deps: CaDeps,
  metrics: CaMetrics,
  csrPem: string,
  caller: Caller,
): Promise<IssueAnswer> {
  if (caller.role !== 'manager' && caller.role !== 'worker') {
    throw new StatusError(
      'Unauthenticated',
      'a certificate is given for a join token, or for a still valid certificate of this cluster; neither was shown. ' +
        'If it expired, leave with: skein swarm leave --force, and join again',
    )
  }
  const { nodeId } = caller
  const { cluster, role } = deps.store.view(tx => ({
    cluster: tx.cluster(),
    role: renewedRole(tx, nodeId),
  }))
  const issued = await issue(deps, metrics, cluster, { csrPem, nodeId, role })
  await deps.store.update(
    tx => {
      if (renewedRole(tx, nodeId) !== role) {
        throw new StatusError(
          'Aborted',
          `the role of node ${nodeId} was changed meanwhile; renew again`,
        )
      }
      const node = tx.get('node', nodeId)
      if (node) {
        tx.update('node', { ...node, role, certificateExpiresAtMs: issued.expiresAtMs })
      }
    },
    { author: nodeId },
  )
  deps.log.info('a certificate was renewed', { nodeId, role: certifiedRole(role) })
  return answer(cluster, nodeId, role, issued)
}

function renewedRole(tx: ReadTx, nodeId: string): NodeRole {
  const node = tx.get('node', nodeId)
  if (!node?.spec || tx.cluster().revoked.some(entry => entry.nodeId === nodeId)) {
    throw new StatusError(
      'PermissionDenied',
      `node ${nodeId} was removed from the cluster; to come back, leave with: skein swarm leave --force, and join again`,
    )
  }
  return node.spec.role
}

interface IssueAnswer {
  readonly nodeId: string
  readonly certificatePem: string
  readonly rootPem: readonly string[]
  readonly role: NodeRole
  readonly clusterId: string
}

async function issue(
  deps: CaDeps,
  metrics: CaMetrics,
  cluster: Cluster,
  request: { csrPem: string; nodeId: string; role: NodeRole },
): Promise<IssuedCertificate> {
  const role = certifiedRole(request.role)
  if (!cluster.rootCa?.keyPem) {
    throw new StatusError('FailedPrecondition', 'the cluster has no CA key to sign with')
  }
  try {
    const issued = await issueCertificate(cluster.rootCa, {
      csrPem: request.csrPem,
      nodeId: request.nodeId,
      role,
      clusterId: cluster.id,
      nowMs: deps.clock.now(),
      validityMs: cluster.spec?.certificateValidityMs ?? 0,
      random: deps.random,
    })
    metrics.issued.inc({ role, result: 'ok' })
    return issued
  } catch (thrown) {
    metrics.issued.inc({ role, result: 'refused' })
    throw thrown
  }
}

function answer(
  cluster: Cluster,
  nodeId: string,
  role: NodeRole,
  issued: IssuedCertificate,
): IssueAnswer {
  const { certificatePem = '', nextCertificatePem = '' } = cluster.rootCa ?? {}
  return {
    nodeId,
    certificatePem: issued.certificatePem,
    rootPem: [certificatePem, nextCertificatePem].filter(pem => pem !== ''),
    role,
    clusterId: cluster.id,
  }
}

function certifiedRole(role: NodeRole): CertifiedRole {
  return role === NodeRole.MANAGER ? 'manager' : 'worker'
}

/** "10.0.0.1" of "10.0.0.1:4711", "::1" of "[::1]:4711". */
function hostOf(address: string): string {
  const colon = address.lastIndexOf(':')
  const host = colon < 0 || address.endsWith(']') ? address : address.slice(0, colon)
  return host.replace(/^\[|\]$/g, '')
}

interface CaMetrics {
  readonly issued: Counter<'role' | 'result'>
  readonly joins: Counter<'role' | 'result'>
}

function caMetrics(registry: Registry): CaMetrics {
  return {
    issued: counter(registry, 'skein_ca_certificates_issued_total', 'Node certificates'),
    joins: counter(registry, 'skein_ca_join_attempts_total', 'Joins by result'),
  }
}

function counter(registry: Registry, name: string, help: string): Counter<'role' | 'result'> {
  const known = registry.getSingleMetric(name)
  if (known) return known as Counter<'role' | 'result'>
  return new Counter({ name, help, labelNames: ['role', 'result'], registers: [registry] })
}
