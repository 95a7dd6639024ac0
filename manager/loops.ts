import { Addresses } from './allocator/addresses.ts'
import { allocator } from './allocator/allocator.ts'
import { Dispatcher } from './dispatcher/dispatcher.ts'
import type { LeaderDeps, LeaderLoop } from './loop.ts'
import { nodeEnforcer } from './orchestrator/enforcer.ts'
import { orchestrator } from './orchestrator/orchestrator.ts'
import { reaper } from './orchestrator/reaper.ts'
import { scheduler } from './scheduler/scheduler.ts'

/**
 * Everything that turns services into running tasks, in the order to start it; stop in reverse. The loops can be started
 * again after they were stopped: one set serves all terms of a manager.
 */
export function leaderLoops(deps: LeaderDeps): {
  readonly loops: readonly LeaderLoop[]
  readonly dispatcher: Dispatcher
} {
  const addresses = new Addresses(deps.store)
  const dispatcher = new Dispatcher(deps)
  return {
    loops: [
      addresses,
      dispatcher,
      orchestrator(deps),
      allocator(deps, addresses),
      scheduler(deps, addresses),
      nodeEnforcer(deps),
      reaper(deps),
    ],
    dispatcher,
  }
}
