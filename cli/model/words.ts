import {
  NodeAvailability,
  NodeRole,
  NodeState,
  Reachability,
  type TaskState,
  UpdateState,
} from '../../proto/index.ts'
import { stateName } from '../../services/model/task.ts'

// The words users read for the wire's numbers.

/** `RUNNING` → `Running`. */
export function taskStateText(state: TaskState): string {
  return capital(stateName(state))
}

const NODE_STATES: Readonly<Record<NodeState, string>> = {
  [NodeState.UNKNOWN]: 'unknown',
  [NodeState.NODE_READY]: 'ready',
  [NodeState.SUSPECT]: 'suspect',
  [NodeState.DISCONNECTED]: 'disconnected',
  [NodeState.DOWN]: 'down',
}

/** `ready`, `down` …; SUSPECT is ours: the connection broke and the grace runs. */
export function nodeStateName(state: NodeState): string {
  return NODE_STATES[state] ?? `state-${state}`
}

export function availabilityName(availability: NodeAvailability): string {
  if (availability === NodeAvailability.PAUSE) return 'pause'
  return availability === NodeAvailability.DRAIN ? 'drain' : 'active'
}

export function roleName(role: NodeRole): string {
  return role === NodeRole.MANAGER ? 'manager' : 'worker'
}

export function reachabilityName(reachability: Reachability): string {
  if (reachability === Reachability.REACHABLE) return 'reachable'
  return reachability === Reachability.UNREACHABLE ? 'unreachable' : 'unknown'
}

/** Docker's names of an update's states; empty for UPDATE_NONE. */
const UPDATE_STATES: Readonly<Record<UpdateState, string>> = {
  [UpdateState.UPDATE_NONE]: '',
  [UpdateState.UPDATING]: 'updating',
  [UpdateState.UPDATE_PAUSED]: 'paused',
  [UpdateState.UPDATE_COMPLETED]: 'completed',
  [UpdateState.ROLLBACK_STARTED]: 'rollback_started',
  [UpdateState.ROLLBACK_PAUSED]: 'rollback_paused',
  [UpdateState.ROLLBACK_COMPLETED]: 'rollback_completed',
}

export function updateStateName(state: UpdateState): string {
  return UPDATE_STATES[state] ?? `state-${state}`
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
