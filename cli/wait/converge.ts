// When is a service what was asked for? Decided from snapshots and the time alone; the runner is wait/run.ts.
import { type Service, type Task, UpdateState } from '../../proto/index.ts'
import { Exit } from '../failure.ts'
import { NodeNames, serviceName } from '../model/lookup.ts'
import { type Line, lineOf, noteOf } from './lines.ts'
import { type Memory, remember } from './memory.ts'
import { type Goal, type Outcome, type Seen, outcomeOf } from './outcome.ts'
import { type Snapshot, isUnplaceable, slotsOf } from './view.ts'

/** How long all missing tasks must be unplaceable before it is said. */
const UNPLACEABLE_MS = 5_000

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
  const next = remember(memory, service, slots, { isSteady, isStuck }, nowMs)
  const stuckMs = next.stuckSinceMs === undefined ? 0 : nowMs - next.stuckSinceMs
  const { tasks, nodes } = snapshot
  const seen: Seen = { service, tasks, slots, missing, isSteady, stuckMs, memory: next }
  const names = new NodeNames(nodes)
  return {
    memory: next,
    progress: {
      name: serviceName(service),
      running: slots.length - missing.length,
      wanted: slots.filter(slot => !slot.isSurplus).length,
      note: noteOf(service, missing),
      lines: slots.map(slot => lineOf(service, slot, names)),
      stuck: stuckMs >= UNPLACEABLE_MS ? missing[0]?.current[0] : undefined,
      outcome: outcomeOf(goal, seen, nowMs),
    },
  }
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
    name: serviceName(service),
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
