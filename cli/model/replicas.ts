import { type Node, type Service, type Task, TaskState } from '../../proto/index.ts'
import { modeName } from '../../services/model/service.ts'
import { observedState } from '../../services/model/task.ts'
import { NodeNames } from './lookup.ts'

export interface ReplicaCount {
  readonly running: number
  readonly wanted: number
  /** Finished tasks of the current iteration of a job. */
  readonly completed: number
  /** Tasks that ran on a node nobody hears from. */
  readonly unknown: number
}

/**
 * How many of a service's tasks run. Tasks on lost nodes are not running for all we know: Swarm counts them and shows
 * 8/6 after a node died.
 * @see swarm row SF-64
 */
export function countReplicas(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[],
): ReplicaCount {
  const names = new NodeNames(nodes)
  const spec = service.spec
  const mode = spec === null ? 'replicated' : modeName(spec)
  const iteration = service.jobStatus?.iteration ?? 0
  const isJob = mode.endsWith('-job')
  const own = tasks.filter(
    task => task.serviceId === service.id && (!isJob || task.jobIteration === iteration),
  )
  const seenRunning = own.filter(task => observedState(task) === TaskState.RUNNING)
  const running = seenRunning.filter(task => !names.isLost(task.nodeId))
  const completed = own.filter(task => observedState(task) === TaskState.COMPLETE)
  return {
    running: running.length,
    wanted: wanted(service, own),
    completed: completed.length,
    unknown: seenRunning.length - running.length,
  }
}

function wanted(service: Service, tasks: readonly Task[]): number {
  const spec = service.spec
  if (spec?.mode === 'replicated') return spec.replicated.replicas
  if (spec?.mode === 'replicatedJob') return spec.replicatedJob.maxConcurrent
  if (spec?.mode === 'global') {
    return tasks.filter(task => task.desiredState === TaskState.RUNNING).length
  }
  if (spec?.mode === 'globalJob') {
    return tasks.filter(
      task => task.desiredState === TaskState.COMPLETE && observedState(task) < TaskState.COMPLETE,
    ).length
  }
  return 1
}

/** `3/3`, `3/6 (max 2 per node)`, `0/1 (3/5 completed)` (swarm row SF-59). */
export function replicasText(service: Service, count: ReplicaCount): string {
  const base = `${count.running}/${count.wanted}`
  const spec = service.spec
  if (spec?.mode === 'replicatedJob') {
    return `${base} (${count.completed}/${spec.replicatedJob.totalCompletions} completed)`
  }
  if (spec?.mode === 'globalJob') return `${base} (${count.completed} completed)`
  const perNode = spec?.task?.placement?.maxReplicasPerNode ?? 0
  return perNode > 0 ? `${base} (max ${perNode} per node)` : base
}
