import type { ServiceSpec } from '../../proto/index.ts'

/** The four modes as the command line and the Docker API spell them (row SF-03). */
export type ModeName = 'replicated' | 'global' | 'replicated-job' | 'global-job'

/** The mode of a spec. One without a mode is replicated, as Docker has it. */
export function modeName(spec: ServiceSpec): ModeName {
  if (spec.mode === 'global') return 'global'
  if (spec.mode === 'replicatedJob') return 'replicated-job'
  if (spec.mode === 'globalJob') return 'global-job'
  return 'replicated'
}

/** Whether the service runs to completion instead of for ever. */
export function isJob(spec: ServiceSpec): boolean {
  return spec.mode === 'replicatedJob' || spec.mode === 'globalJob'
}

/** Whether the service has one task a node. */
export function isGlobal(spec: ServiceSpec): boolean {
  return spec.mode === 'global' || spec.mode === 'globalJob'
}

/**
 * How many tasks the user asked for: replicas, or completions of a replicated job.
 * Undefined when the nodes decide (global, global-job).
 */
export function wantedReplicas(spec: ServiceSpec): number | undefined {
  if (isGlobal(spec)) return undefined
  if (spec.mode === 'replicatedJob') return spec.replicatedJob.totalCompletions
  return spec.mode === 'replicated' ? spec.replicated.replicas : 1
}
