import { isGlobal, isJob } from '../../services/model/service.ts'
import { Draft, type Plan, type Situation } from './draft.ts'
import { cover, isServiceable } from './global.ts'
import { promoteSlot } from './promote.ts'
import { scale } from './replicated.ts'
import { restartSlot } from './restart.ts'
import { slotsOf } from './slots.ts'
import { settleSlot, stepUpdate } from './update.ts'

const ROUNDS_MAX = 8

/**
 * Decides everything about the tasks of one replicated or global service: how many, which are replaced, which may run,
 * how far its update goes. Pure; once the plan is applied, asking again at the same time gives an empty one.
 */
export function reconcile(situation: Situation): Plan {
  const draft = new Draft(situation)
  const spec = situation.service.spec
  if (!spec || isJob(spec)) return draft.plan()
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = draft.writes
    draft.beginRound()
    runRound(draft, isGlobal(spec))
    if (draft.writes === before || draft.rolledBack) break
  }
  return draft.plan()
}

function runRound(draft: Draft, global: boolean): void {
  if (global) cover(draft)
  else scale(draft)
  const changeable = () =>
    slotsOf(draft, global).filter(slot => !global || isServiceable(draft, slot))
  for (const slot of changeable()) restartSlot(draft, slot, global)
  stepUpdate(draft, changeable())
  // A rollback changes the spec version in the store: its tasks are made by the next pass.
  if (draft.rolledBack) return
  for (const slot of slotsOf(draft, global)) settleSlot(draft, slot)
  for (const slot of slotsOf(draft, global)) promoteSlot(draft, slot)
}
