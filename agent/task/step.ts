// What a task does next (Swarm rows TS-05 to TS-09). One decision at a time: a new status, or an action on the
// container, or nothing until something changes. States only rise; every path ends in a final state once the managers
// want the task gone.
import { type ContainerStatus, type Port, TaskState } from '../../proto/index.ts'
import { hasCode, type StatusError } from '../../runtime/errors.ts'
import { isTerminal } from '../../services/model/task.ts'
import type { Observation } from '../executor/types.ts'

/** How often an action that failed for a passing reason is tried in all. */
export const MAX_ATTEMPTS = 10
/** Pause before an action is tried again (row TS-09). */
export const RETRY_MS = 1_000

/** What the loop that runs a task remembers of it. */
export interface Facts {
  readonly state: TaskState
  readonly desired: TaskState
  readonly seen: Observation
  /** prepare() succeeded in this process. */
  readonly prepared: boolean
  /** start() succeeded in this process. */
  readonly started: boolean
  /** What the health check said before the container was stopped for it. */
  readonly condemned: string | undefined
  /** Secrets and configs that have not come. */
  readonly missing: readonly string[]
  /** release() succeeded. */
  readonly released: boolean
  /** remove() succeeded. */
  readonly removed: boolean
  /** The last action's error, when it is not to be tried again. */
  readonly failure: StatusError | undefined
}

export type Action = 'prepare' | 'start' | 'stop' | 'release' | 'remove'

export interface NewStatus {
  readonly state: TaskState
  readonly message: string
  readonly error: string
  readonly container: ContainerStatus | null
  readonly ports: readonly Port[]
}

export type Step =
  | { readonly do: 'report'; readonly status: NewStatus }
  | { readonly do: Action }
  /** Stop it because its health check failed; `reason` is remembered as `condemned`. */
  | { readonly do: 'condemn'; readonly reason: string }
  /** Nothing to do until the container or the managers' wish changes. */
  | { readonly do: 'wait' }
  /** Nothing will ever be left to do. */
  | { readonly do: 'finish' }

/** The next thing to do. Pure; called again after each answer was carried out. */
export function step(facts: Facts): Step {
  if (facts.desired >= TaskState.REMOVE) return remove(facts)
  if (isTerminal(facts.state)) return rest(facts)
  if (facts.desired >= TaskState.SHUTDOWN) return shutDown(facts)
  return advance(facts)
}

function remove(facts: Facts): Step {
  if (facts.seen.phase === 'running') return { do: 'stop' }
  if (!facts.removed || facts.seen.phase !== 'absent') return { do: 'remove' }
  if (!isTerminal(facts.state)) return report(facts, TaskState.SHUTDOWN, 'shutdown')
  return { do: 'finish' }
}

/** A final task keeps its stopped container, for its logs, until managers delete the task (row DP-11). */
function rest(facts: Facts): Step {
  if (facts.seen.phase === 'running') return { do: 'stop' }
  return facts.released ? { do: 'wait' } : { do: 'release' }
}

function shutDown(facts: Facts): Step {
  if (facts.seen.phase === 'running') return { do: 'stop' }
  return report(facts, TaskState.SHUTDOWN, 'shutdown')
}

function advance(facts: Facts): Step {
  const { state, seen } = facts
  if (state < TaskState.ACCEPTED) return report(facts, TaskState.ACCEPTED, 'accepted')
  switch (seen.phase) {
    case 'exited':
      return exited(facts)
    case 'running':
      return running(facts)
    case 'absent':
    case 'created':
      return notStarted(facts)
  }
}

function exited(facts: Facts): Step {
  const { seen, condemned } = facts
  if (condemned !== undefined) {
    return report(facts, TaskState.FAILED, 'stopped', `unhealthy container: ${condemned}`)
  }
  if (seen.exitCode === 0 && seen.error === '') {
    return report(facts, TaskState.COMPLETE, 'finished')
  }
  return report(facts, TaskState.FAILED, 'stopped', seen.error)
}

function running(facts: Facts): Step {
  const { state, seen, condemned } = facts
  if (condemned !== undefined) return { do: 'stop' }
  if (state < TaskState.STARTING) return report(facts, TaskState.STARTING, 'starting')
  if (seen.health === 'unhealthy') return { do: 'condemn', reason: seen.error }
  if (state < TaskState.RUNNING && seen.health !== 'starting') {
    return report(facts, TaskState.RUNNING, 'started')
  }
  return { do: 'wait' }
}

function notStarted(facts: Facts): Step {
  const { state, desired, seen } = facts
  if (state >= TaskState.STARTING && seen.phase === 'absent') {
    return report(
      facts,
      TaskState.FAILED,
      'stopped',
      'its container is gone: it was removed behind the cluster’s back',
    )
  }
  if (state >= TaskState.RUNNING) {
    return report(
      facts,
      TaskState.FAILED,
      'stopped',
      'its container was replaced by one that never ran',
    )
  }
  if (facts.failure) {
    const failed = state < TaskState.STARTING ? TaskState.REJECTED : TaskState.FAILED
    return report(
      facts,
      failed,
      state < TaskState.STARTING ? 'preparing' : 'starting',
      facts.failure.message,
    )
  }
  if (state < TaskState.PREPARING) return report(facts, TaskState.PREPARING, 'preparing')
  if (!facts.prepared || seen.phase === 'absent') {
    return facts.missing.length > 0 ? { do: 'wait' } : { do: 'prepare' }
  }
  if (state < TaskState.READY) return report(facts, TaskState.READY, 'prepared')
  if (desired < TaskState.RUNNING) return { do: 'wait' }
  if (state < TaskState.STARTING) return report(facts, TaskState.STARTING, 'starting')
  return facts.started ? { do: 'wait' } : { do: 'start' }
}

function report(facts: Facts, state: TaskState, message: string, error = ''): Step {
  const { container, ports } = facts.seen
  return { do: 'report', status: { state, message, error, container, ports } }
}

/** Whether an action that failed `attempts` times is worth another try. Stopping and removing are never given up. */
export function worthRetrying(action: Action, error: StatusError, attempts: number): boolean {
  if (action === 'stop' || action === 'remove' || action === 'release') return true
  const passing = hasCode(error, 'Unavailable', 'DeadlineExceeded', 'Aborted', 'ResourceExhausted')
  return passing && attempts < MAX_ATTEMPTS
}
