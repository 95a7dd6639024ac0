import { NodeAvailability, NodeState, type Node, type Service } from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { parseConstraint } from '../../services/constraint/parse.ts'
import { wantedReplicas } from '../../services/model/service.ts'
import type { ReadTx } from '../state/store/types.ts'

/** What is allowed and may still not be what was meant; each a sentence. */
export function serviceWarnings(tx: ReadTx, service: Service): readonly string[] {
  const { spec } = service
  if (!spec?.task) return []
  const warnings: string[] = []
  const image = spec.task.container?.image ?? ''
  if (!/(?:@sha256:[0-9a-f]{64}|:[^/:]+)$/.test(image)) {
    warnings.push(`image ${image} has no tag: nodes may pull different versions of it`)
  }
  const placement = spec.task.placement
  const constraints = (placement?.constraints ?? []).map(parseConstraint)
  const open = tx.list('node').filter(mayRun)
  const fitting = open.filter(node => matchesAll(constraints, node)).length
  if (constraints.length > 0 && fitting === 0) {
    warnings.push('no node fits the constraints at the moment: tasks wait until one does')
  }
  const limit = placement?.maxReplicasPerNode ?? 0
  const wanted = wantedReplicas(spec) ?? 0
  if (limit > 0 && fitting > 0 && wanted > limit * fitting) {
    warnings.push(
      `${wanted} replicas with at most ${limit} a node need ${Math.ceil(wanted / limit)} nodes, and ${fitting} fit`,
    )
  }
  return warnings
}

function mayRun(node: Node): boolean {
  return (
    node.spec?.availability === NodeAvailability.ACTIVE &&
    node.status?.state !== NodeState.DOWN &&
    node.status?.state !== NodeState.DISCONNECTED
  )
}
