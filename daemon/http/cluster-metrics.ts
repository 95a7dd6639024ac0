import { Registry } from 'prom-client'
import { collectClusterMetrics } from '../../manager/cluster-metrics.ts'
import type { Store } from '../../manager/state/store/types.ts'

/** A registry that shows the cluster as `store` has it at each call; undefined while this node keeps no store. */
export function clusterMetrics(store: () => Store | undefined): () => Registry | undefined {
  const registry = new Registry()
  return () => {
    const present = store()
    if (!present) return undefined
    collectClusterMetrics(registry, present)
    return registry
  }
}
