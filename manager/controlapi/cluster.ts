import type { Cluster, ClusterSpec } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { MIN_VALIDITY_MS } from '../ca/issue.ts'
import { joinTokens, newTokenSecret } from '../ca/token.ts'
import { equal } from '../../services/spec/equal.ts'
import type { ControlDeps } from './deps.ts'
import { redactCluster } from './redact.ts'
import { checkSequence, committed } from './sequence.ts'

const MIN_HEARTBEAT_MS = 100

/** The cluster, without keys and token secrets. */
export async function getCluster(deps: ControlDeps): Promise<{ cluster: Cluster }> {
  return { cluster: redactCluster(deps.store.view(tx => tx.cluster())) }
}

/** New settings, new join secrets, or both. A rotated secret stops working at once (Swarm row CL-19). */
export async function updateCluster(
  deps: ControlDeps,
  request: {
    readonly specVersion: number
    readonly spec: ClusterSpec | null
    readonly rotateWorkerToken: boolean
    readonly rotateManagerToken: boolean
  },
  author: string,
): Promise<{ cluster: Cluster }> {
  const workerSecret = newTokenSecret(deps.random)
  const managerSecret = newTokenSecret(deps.random)
  const { spec, rotateWorkerToken, rotateManagerToken } = request
  const id = await deps.store.update(
    tx => {
      const cluster = tx.cluster()
      checkSequence('cluster', cluster, request.specVersion)
      if (spec) checkClusterSpec(spec, cluster.spec)
      const { rootCa } = cluster
      if (!rootCa && (rotateWorkerToken || rotateManagerToken)) {
        throw new StatusError('FailedPrecondition', 'the cluster has no CA and so no join tokens')
      }
      const rotated = Number(rotateWorkerToken) + Number(rotateManagerToken)
      tx.update(
        'cluster',
        {
          ...cluster,
          spec: spec ?? cluster.spec,
          tokenGeneration: cluster.tokenGeneration + rotated,
          rootCa: rootCa && {
            ...rootCa,
            workerSecret: rotateWorkerToken ? workerSecret : rootCa.workerSecret,
            managerSecret: rotateManagerToken ? managerSecret : rootCa.managerSecret,
          },
        },
        { spec: spec !== null && !equal(spec, cluster.spec) },
      )
      return cluster.id
    },
    { author },
  )
  return {
    cluster: redactCluster(
      committed(
        deps.store.view(tx => tx.get('cluster', id)),
        'the cluster',
      ),
    ),
  }
}

/** Both join tokens, and where managers can be reached. */
export async function getJoinTokens(
  deps: ControlDeps,
): Promise<{ worker: string; manager: string; managerAddresses: string[] }> {
  return deps.store.view(tx => {
    const { rootCa } = tx.cluster()
    if (!rootCa) throw new StatusError('FailedPrecondition', 'the cluster has no CA, so no tokens')
    const managerAddresses = tx.list('node').flatMap(node => node.manager?.address || [])
    return { ...joinTokens(rootCa), managerAddresses }
  })
}

/** @throws StatusError InvalidArgument naming the field and its limit */
function checkClusterSpec(spec: ClusterSpec, before: ClusterSpec | null): void {
  if (spec.heartbeatMs !== 0 && spec.heartbeatMs < MIN_HEARTBEAT_MS) {
    throw invalid(`heartbeat ${spec.heartbeatMs} ms: at least ${MIN_HEARTBEAT_MS} ms are needed`)
  }
  const { certificateValidityMs, nodeDownGraceMs, autolock } = spec
  if (certificateValidityMs !== 0 && certificateValidityMs < MIN_VALIDITY_MS) {
    throw invalid('certificate validity: at least 1 h is needed')
  }
  if (nodeDownGraceMs < 0) throw invalid('node down grace: cannot be negative')
  if (autolock !== (before?.autolock ?? false)) {
    throw new StatusError(
      'Unimplemented',
      'cluster: autolock is chosen when the cluster is made; this version does not change it later',
    )
  }
  if (!before) return
  if (
    !equal(spec.defaultAddressPools, before.defaultAddressPools) ||
    spec.defaultSubnetSize !== before.defaultSubnetSize
  ) {
    throw invalid(
      'address pools and subnet size are chosen when the cluster is made and do not change',
    )
  }
}

function invalid(what: string): StatusError {
  return new StatusError('InvalidArgument', `cluster: ${what}`)
}
