// The words a wait is shown in; nothing is decided here.
import { type Service, TaskState, UpdateState } from '../../proto/index.ts'
import { isTerminal, observedState, stateName } from '../../services/model/task.ts'
import type { NodeNames } from '../model/lookup.ts'
import { type SlotView, failureReason, hasFailed, isUnplaceable } from './view.ts'

export type Mark = 'good' | 'busy' | 'bad' | 'wait'

export interface Line {
  /** `web.2`, or the service's name for a line about all of it. */
  readonly name: string
  readonly text: string
  readonly mark: Mark
}

/** What the service as a whole is doing; empty when there is nothing to add. */
export function noteOf(service: Service, missing: readonly SlotView[]): string {
  if (service.updateStatus?.state === UpdateState.ROLLBACK_STARTED) {
    return `rolling back: ${service.updateStatus.message}`
  }
  if (missing.length > 0 && service.blockedBy !== '') return service.blockedBy
  if (missing.length === 0 && service.updateStatus?.state === UpdateState.UPDATING) {
    return 'watching the new tasks'
  }
  return ''
}

/** What is shown of one slot: where it stands, and why it is not well. */
export function lineOf(service: Service, slot: SlotView, names: NodeNames): Line {
  const [task] = slot.current
  if (slot.isSurplus) return { name: slot.name, text: 'to be removed', mark: 'wait' }
  if (task === undefined) {
    const old = slot.newest
    const text = old === undefined ? 'waiting' : `${stateName(observedState(old))} (old version)`
    return { name: slot.name, text, mark: 'wait' }
  }
  const state = observedState(task)
  const where = task.nodeId === '' ? '' : ` on ${names.of(task.nodeId)}`
  if (slot.isDone) {
    const done = slot.current.find(other => observedState(other) >= TaskState.RUNNING) ?? task
    const at = done.nodeId === '' ? '' : ` on ${names.of(done.nodeId)}`
    return { name: slot.name, text: `${stateName(observedState(done))}${at}`, mark: 'good' }
  }
  const failed = slot.current.find(hasFailed)
  const count = slot.current.filter(hasFailed).length
  const before =
    failed === undefined || failed === task
      ? ''
      : ` · before: ${failureReason(failed)}${count > 1 ? `, ${count} times` : ''}`
  if (isTerminal(state)) {
    return {
      name: slot.name,
      text: `${stateName(state)}${where}: ${failureReason(task)}`,
      mark: 'bad',
    }
  }
  if (names.isLost(task.nodeId)) {
    return { name: slot.name, text: `lost: node ${names.of(task.nodeId)} is down`, mark: 'bad' }
  }
  const error = isUnplaceable(service, slot)
    ? (task.status?.error ?? '') || task.explanation?.summary || service.blockedBy
    : (task.status?.error ?? '')
  const reason = error === '' ? '' : `: ${error}`
  return {
    name: slot.name,
    text: `${stateName(state)}${where}${reason}${before}`,
    mark: failed === undefined && error === '' ? 'busy' : 'bad',
  }
}
