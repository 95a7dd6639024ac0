import { NodeAvailability, NodeRole, NodeState, type Node } from '../../proto/index.ts'

/** One element of Prometheus' http_sd answer. */
export interface TargetGroup {
  readonly targets: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

/**
 * The targets Prometheus should scrape: every node that ever said where its metrics are, down ones too, so that their
 * `up` series goes to 0 instead of vanishing. Only a removed node disappears.
 *
 * @see https://prometheus.io/docs/prometheus/latest/http_sd/
 */
export function discoverTargets(
  nodes: readonly Node[],
  clusterName: string,
): readonly TargetGroup[] {
  return nodes.flatMap(node => {
    const address = node.description?.metricsAddress
    if (!address) return []
    return [
      {
        targets: [address],
        labels: {
          cluster: clusterName,
          node: node.description?.hostname || node.id,
          node_id: node.id,
          role: node.role === NodeRole.MANAGER ? 'manager' : 'agent',
          __meta_skein_status:
            NodeState[node.status?.state ?? 0]?.toLowerCase().replace('node_', '') ?? '',
          __meta_skein_availability:
            NodeAvailability[node.spec?.availability ?? 0]?.toLowerCase() ?? '',
          ...nodeLabels(node),
        },
      },
    ]
  })
}

function nodeLabels(node: Node): Record<string, string> {
  const labels = Object.entries(node.spec?.annotations?.labels ?? {})
  return Object.fromEntries(
    labels.map(([key, value]) => [
      `__meta_skein_node_label_${key.replace(/[^a-zA-Z0-9_]/g, '_')}`,
      value,
    ]),
  )
}
