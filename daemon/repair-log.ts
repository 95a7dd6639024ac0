// What `skein manager repair` says and does: shows what a damaged log still holds, asks, and cuts it before its damage.
import { join } from 'node:path'
import { planRepair, type Repair, type RaftFs, repairLog } from 'raft-ts'
import { fromRaftError } from '../manager/state/raft/errors.ts'
import { aesSealer } from '../manager/state/raft/sealer.ts'
import type { Fs } from '../runtime/fs.ts'
import { StatusError } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { existingMember, managerDir } from './member-state.ts'

export interface RepairDeps {
  readonly dataDir: string
  readonly fs: Fs
  readonly raftFs: RaftFs
  readonly random: Random
  readonly write: (text: string) => void
  /** Whether to go on, asked once what would be lost has been shown. */
  readonly confirm: () => Promise<boolean>
}

/**
 * Repairs the log of the manager in `dataDir`, which must be locked.
 *
 * @throws StatusError FailedPrecondition when there is no manager there or the answer is no; DataLoss when nothing can be salvaged
 */
export async function repairManager(deps: RepairDeps): Promise<void> {
  const { dataDir, fs, raftFs, random, write } = deps
  const member = await existingMember({ fs, dataDir, random })
  if (member === undefined)
    throw new StatusError(
      'FailedPrecondition',
      `${dataDir} holds no manager's state; name another directory with --data-dir`,
    )
  const options = {
    fs: raftFs,
    dir: join(managerDir(dataDir), 'raft'),
    encryption: aesSealer(member.dataKey, random, member.formerKeys),
  }
  try {
    const plan = await planRepair(options)
    write(planText(plan))
    if (plan.damage === undefined) return
    if (!(await deps.confirm()))
      throw new StatusError('FailedPrecondition', 'nothing was changed; to go on: --yes')
    const { aside, lastIndex } = await repairLog(options)
    write(`Repaired: the last entry kept is ${lastIndex}. The files as they were: ${aside}\n`)
    write(adviceText(plan))
  } catch (error) {
    throw fromRaftError(error, () => undefined)
  }
}

function planText({ damage, lastIndex, snapshotIndex }: Repair): string {
  const kept = `  kept: everything up to entry ${lastIndex} (the snapshot holds those up to ${snapshotIndex})\n`
  if (damage === undefined) return `The log is whole; there is nothing to repair.\n${kept}`
  const { file, offset, detail, lostFiles, lostIndex } = damage
  const lost =
    lostIndex > lastIndex
      ? `entries ${lastIndex + 1} to ${lostIndex}, and any after that cannot be read`
      : 'what followed, of which nothing can be read'
  const files = lostFiles.map(name => `\n        ${name}`).join('')
  const whole = lostFiles.length === 0 ? '' : `\n        and the files${files}`
  return `${file} is damaged at byte ${offset}: ${detail}.\n${kept}  lost: ${lost}${whole}\n`
}

function adviceText({ members }: Repair): string {
  const voters = members.filter(member => !member.learner)
  if (voters.length <= 1) return 'This is the only manager: start its daemon.\n'
  return `This manager was one of ${voters.length}. It has forgotten entries and votes that it may have acknowledged, so it should not go on from here while the others have a majority: on one of them demote and remove this node, then start the daemon here, and: skein swarm leave --force, and join again.\n`
}
