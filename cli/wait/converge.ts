// When is a service what was asked for? Decided from snapshots and the time alone; the runner is wait/run.ts.
import { type Service, type Task, TaskState, UpdateState } from '../../proto/index.ts'
import { isJob } from '../../services/model/service.ts'
import { isTerminal, observedState, stateName } from '../../services/model/task.ts'
import { NodeNames } from '../model/lookup.ts'
import { Exit } from '../failure.ts'
import { type SlotView, type Snapshot, failureReason, hasFailed, slotsOf } from './view.ts'

/** How long everything must stay well before it counts, without a health check to vouch for it. */
const SETTLE_MS = 1_000
/** How long all missing tasks must be unplaceable before it is said. */
const UNPLACEABLE_MS = 5_000
/** Without a terminal nobody can fix the cluster meanwhile: after this the wait ends. */
const UNPLACEABLE_END_MS = 15_000
/** Failures of one kind in a row that show there is no point in waiting. */
const SAME_FAILURES = 3
/** How long a slot may have only stopped tasks before nothing more is expected of it. */
const GIVEN_UP_MS = 3_000

export interface Goal {
  readonly serviceId: string
  /** The service's version after the write: older snapshots are not looked at. A roll-back lowers specVersion, never this. */
  readonly version: number
  /** What the user asked for, for the wording and the exit code of a roll-back. */
  readonly action: 'create' | 'update' | 'rollback'
  /** Whether somebody watches who can change the cluster meanwhile. */
  readonly isAttended: boolean
}

/** What is remembered between two looks. */
export interface Memory {
  readonly steadySinceMs: number | undefined
  readonly stuckSinceMs: number | undefined
  /** When a slot was first seen with only stopped tasks, by slot. */
  readonly emptySinceMs: ReadonlyMap<string, number>
  /** Failures in a row since the last success, by slot, newest last; three at most. */
  readonly failures: ReadonlyMap<string, readonly Task[]>
}

export const BLANK: Memory = {
  steadySinceMs: undefined,
  stuckSinceMs: undefined,
  emptySinceMs: new Map(),
  failures: new Map(),
}

export type Mark = 'good' | 'busy' | 'bad' | 'wait'

export interface Line {
  /** `web.2`, or the service's name for a line about all of it. */
  readonly name: string
  readonly text: string
  readonly mark: Mark
}

export type Outcome =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'done' }
  | {
      readonly kind: 'failed'
      readonly exit: Exit
      readonly reason: string
      /** The task that shows why, when there is one. */
      readonly task: Task | undefined
    }

export interface Progress {
  readonly name: string
  readonly running: number
  readonly wanted: number
  /** What the service as a whole is doing, `rolling back`; empty when there is nothing to add. */
  readonly note: string
  readonly lines: readonly Line[]
  /** A task nobody can place since a while: its explanation helps. */
  readonly stuck: Task | undefined
  readonly outcome: Outcome
}

/** Looks once. The same snapshot at the same time gives the same answer. */
export function look(
  goal: Goal,
  memory: Memory,
  snapshot: Snapshot,
  nowMs: number,
): { readonly memory: Memory; readonly progress: Progress } {
  const { service } = snapshot
  if (service === undefined) {
    return { memory, progress: gone(goal) }
  }
  if ((service.meta?.version ?? 0) < goal.version) {
    return { memory, progress: stale(service) }
  }
  const slots = slotsOf(snapshot)
  const missing = slots.filter(slot => !slot.isDone)
  const isSteady = missing.length === 0 && !isUpdating(service)
  const isStuck =
    missing.length > 0 && missing.every(slot => !slot.isSurplus && isUnplaceable(service, slot))
  const next: Memory = {
    steadySinceMs: isSteady ? (memory.steadySinceMs ?? nowMs) : undefined,
    stuckSinceMs: isStuck ? (memory.stuckSinceMs ?? nowMs) : undefined,
    emptySinceMs: emptySince(memory, slots, nowMs),
    failures: failuresOf(memory, slots, service),
  }
  const stuckMs = next.stuckSinceMs === undefined ? 0 : nowMs - next.stuckSinceMs
  const names = new NodeNames(snapshot.nodes)
  return {
    memory: next,
    progress: {
      name: nameOf(service),
      running: slots.length - missing.length,
      wanted: slots.filter(slot => !slot.isSurplus).length,
      note: noteOf(service, missing),
      lines: slots.map(slot => lineOf(service, slot, names)),
      stuck: stuckMs >= UNPLACEABLE_MS ? missing[0]?.current[0] : undefined,
      outcome:
        ofUpdate(goal, service, snapshot.tasks, isSteady) ??
        ofFailures(next, slots, service, nowMs) ??
        ofPlacement(goal, service, missing, stuckMs) ??
        ofSettling(next, service, nowMs),
    },
  }
}

function nameOf(service: Service): string {
  return service.spec?.annotations?.name ?? service.id
}

function gone(goal: Goal): Progress {
  const reason = 'the service was removed meanwhile'
  return {
    name: goal.serviceId,
    running: 0,
    wanted: 0,
    note: '',
    lines: [],
    stuck: undefined,
    outcome: { kind: 'failed', exit: Exit.REFUSED, reason, task: undefined },
  }
}

function stale(service: Service): Progress {
  return {
    name: nameOf(service),
    running: 0,
    wanted: 0,
    note: '',
    lines: [],
    stuck: undefined,
    outcome: { kind: 'waiting' },
  }
}

function isUpdating(service: Service): boolean {
  const state = service.updateStatus?.state ?? UpdateState.UPDATE_NONE
  return (
    state !== UpdateState.UPDATE_NONE &&
    state !== UpdateState.UPDATE_COMPLETED &&
    state !== UpdateState.ROLLBACK_COMPLETED
  )
}

/** No node, address or port can be found: the manager wrote why to the task or the service (design: "explains itself"). */
function isUnplaceable(service: Service, slot: SlotView): boolean {
  const [task] = slot.current
  if (task === undefined) return service.blockedBy !== ''
  const state = observedState(task)
  if (state > TaskState.PENDING) return false
  return (task.status?.error ?? '') !== '' || task.explanation !== null || service.blockedBy !== ''
}

function emptySince(
  memory: Memory,
  slots: readonly SlotView[],
  nowMs: number,
): ReadonlyMap<string, number> {
  const since = new Map<string, number>()
  for (const slot of slots) {
    const isEmpty =
      !slot.isDone &&
      slot.current.length > 0 &&
      slot.current.every(task => isTerminal(observedState(task)))
    if (isEmpty) since.set(slot.key, memory.emptySinceMs.get(slot.key) ?? nowMs)
  }
  return since
}

/** Adds newly seen failures of the current spec to what is known; history that is cut off meanwhile stays known. */
function failuresOf(
  memory: Memory,
  slots: readonly SlotView[],
  service: Service,
): ReadonlyMap<string, readonly Task[]> {
  const version = service.meta?.specVersion ?? 0
  const failures = new Map<string, readonly Task[]>()
  for (const slot of slots) {
    const seen = slot.current.filter(task => hasFailed(task) && task.specVersion === version)
    const known = memory.failures.get(slot.key) ?? []
    const ids = new Set(seen.map(task => task.id))
    const all = [...known.filter(task => !ids.has(task.id)), ...seen.toReversed()]
    if (all.length > 0) failures.set(slot.key, all.slice(-SAME_FAILURES))
  }
  return failures
}

function ofUpdate(
  goal: Goal,
  service: Service,
  tasks: readonly Task[],
  isSteady: boolean,
): Outcome | undefined {
  const status = service.updateStatus
  const failed = (exit: Exit, reason: string): Outcome => ({
    kind: 'failed',
    exit,
    reason,
    task: culprit(status?.message ?? '', tasks),
  })
  const state = status?.state
  const name = nameOf(service)
  if (state === UpdateState.UPDATE_PAUSED) {
    return failed(Exit.PAUSED, `the update of ${name} failed and is paused`)
  }
  if (state === UpdateState.ROLLBACK_PAUSED) {
    return failed(Exit.ROLLBACK_FAILED, `the roll-back of ${name} failed and is paused`)
  }
  if (state === UpdateState.ROLLBACK_COMPLETED && goal.action !== 'rollback' && isSteady) {
    return failed(Exit.ROLLED_BACK, `the update of ${name} failed and was rolled back`)
  }
  return undefined
}

/** The task an update's message names (row UP-13), else the last one that failed. */
function culprit(message: string, tasks: readonly Task[]): Task | undefined {
  const failed = tasks.filter(hasFailed)
  return (
    failed.find(task => message.includes(task.id)) ??
    failed.toSorted((a, b) => b.createdOrder - a.createdOrder)[0]
  )
}

function ofFailures(
  memory: Memory,
  slots: readonly SlotView[],
  service: Service,
  nowMs: number,
): Outcome | undefined {
  if (service.updateStatus?.state === UpdateState.ROLLBACK_STARTED) return undefined
  for (const slot of slots) {
    if (slot.isDone || slot.isSurplus) continue
    const failures = memory.failures.get(slot.key) ?? []
    const last = failures.at(-1)
    const since = memory.emptySinceMs.get(slot.key)
    if (since !== undefined && nowMs - since >= GIVEN_UP_MS) {
      return {
        kind: 'failed',
        exit: Exit.REFUSED,
        reason: `${slot.name} stopped and will not be restarted`,
        task: last ?? slot.current[0],
      }
    }
    const reasons = new Set(failures.map(failureReason))
    if (failures.length >= SAME_FAILURES && reasons.size === 1) {
      return {
        kind: 'failed',
        exit: Exit.REFUSED,
        reason: `${slot.name} failed ${SAME_FAILURES} times in a row`,
        task: last,
      }
    }
  }
  return undefined
}

function ofPlacement(
  goal: Goal,
  service: Service,
  missing: readonly SlotView[],
  stuckMs: number,
): Outcome | undefined {
  if (goal.isAttended || stuckMs < UNPLACEABLE_END_MS) return undefined
  const task = missing[0]?.current[0]
  return {
    kind: 'failed',
    exit: Exit.UNPLACEABLE,
    reason: `${missing.length} of ${nameOf(service)}'s tasks cannot be placed`,
    task,
  }
}

function ofSettling(memory: Memory, service: Service, nowMs: number): Outcome {
  if (memory.steadySinceMs === undefined) return { kind: 'waiting' }
  const isVouched = hasHealthcheck(service) || (service.spec !== null && isJob(service.spec))
  const settleMs = isVouched ? 0 : SETTLE_MS
  return { kind: nowMs - memory.steadySinceMs >= settleMs ? 'done' : 'waiting' }
}

function hasHealthcheck(service: Service): boolean {
  const test = service.spec?.task?.container?.healthcheck?.test ?? []
  return test.length > 0 && test[0] !== 'NONE'
}

function noteOf(service: Service, missing: readonly SlotView[]): string {
  if (service.updateStatus?.state === UpdateState.ROLLBACK_STARTED) {
    return `rolling back: ${service.updateStatus.message}`
  }
  if (missing.length > 0 && service.blockedBy !== '') return service.blockedBy
  if (missing.length === 0 && service.updateStatus?.state === UpdateState.UPDATING) {
    return 'watching the new tasks'
  }
  return ''
}

function lineOf(service: Service, slot: SlotView, names: NodeNames): Line {
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
