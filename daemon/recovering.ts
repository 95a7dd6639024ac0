// `skein cluster recover`, the careful part: is there really no leader, and who else answers.
import type { PlainOf } from '../proto/codec.ts'
import type { v1 } from '../proto/index.ts'
import { recoveryRefusal } from '../manager/recovery.ts'
import { sleep, type Clock } from '../runtime/clock.ts'
import { StatusError } from '../runtime/errors.ts'
import type { Managing } from './managing.ts'

type RecoverResponse = PlainOf<(typeof v1)['RecoverResponse']>

const LOOK_EVERY_MS = 50
/** In election timeouts: no leader for so long means that none can be elected; a leader seen after so long stays. */
const SILENT_TIMEOUTS = 4
const PATIENT_TIMEOUTS = 12

/**
 * Looks at the group: what recovering here would go on with, and what may be missing.
 *
 * @throws StatusError FailedPrecondition with the reason and what to do instead, when it must not be recovered here
 */
export async function lookAtGroup(
  managing: Managing,
  options: { readonly clock: Clock; readonly electionTimeoutMs: number; readonly force: boolean },
): Promise<RecoverResponse> {
  await untilLeaderless(managing, options)
  const { raftId, managers, facts } = await managing.manager.groupStatus()
  const refusal = recoveryRefusal({ raftId, managers }, options.force)
  if (refusal !== undefined) throw new StatusError('FailedPrecondition', refusal)
  const { lastIndex, lastTerm, commitIndex } = facts
  return { done: false, lastIndex, lastTerm, commitIndex, managers, raftId }
}

/** Resolves when no leader has been known for a while; at the latest when one is still there after a longer while. */
async function untilLeaderless(
  managing: Managing,
  { clock, electionTimeoutMs }: { readonly clock: Clock; readonly electionTimeoutMs: number },
): Promise<void> {
  const startMs = clock.monotonic()
  let ledMs = startMs
  for (;;) {
    const nowMs = clock.monotonic()
    if (managing.manager.member.status().leader !== undefined) ledMs = nowMs
    if (nowMs - ledMs >= SILENT_TIMEOUTS * electionTimeoutMs) return
    if (nowMs - startMs >= PATIENT_TIMEOUTS * electionTimeoutMs) return
    await sleep(clock, LOOK_EVERY_MS)
  }
}
