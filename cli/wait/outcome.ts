// Whether the waiting is over, and how it ended.
import { type Service, type Task, UpdateState } from '../../proto/index.ts'
import { isJob } from '../../services/model/service.ts'
import { Exit } from '../failure.ts'
import { serviceName } from '../model/lookup.ts'
import { type Memory, SAME_FAILURES } from './memory.ts'
import { type SlotView, failureReason, hasFailed } from './view.ts'

/** How long everything must stay well before it counts, without a health check to vouch for it. */
const SETTLE_MS = 1_000
/** Without a terminal nobody can fix the cluster meanwhile: after this the wait ends. */
const UNPLACEABLE_END_MS = 15_000
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

/** What was seen at one look, with what is known after it. */
export interface Seen {
  readonly service: Service
  readonly tasks: readonly Task[]
  readonly slots: readonly SlotView[]
  /** Slots that do not have what was asked for. */
  readonly missing: readonly SlotView[]
  readonly isSteady: boolean
  /** How long no missing task could be placed. */
  readonly stuckMs: number
  readonly memory: Memory
}

/** The first that applies: the update's end, hopeless slots, no place, everything well for long enough. */
export function outcomeOf(goal: Goal, seen: Seen, nowMs: number): Outcome {
  const { service, tasks, slots, missing, isSteady, stuckMs, memory } = seen
  return (
    ofUpdate(goal, service, tasks, isSteady) ??
    ofFailures(memory, slots, service, nowMs) ??
    ofPlacement(goal, service, missing, stuckMs) ??
    ofSettling(memory, service, nowMs)
  )
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
  const name = serviceName(service)
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
    reason: `${missing.length} of ${serviceName(service)}'s tasks cannot be placed`,
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
