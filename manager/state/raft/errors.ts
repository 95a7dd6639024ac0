import { RaftError, type RaftErrorCode, WalCorruptError } from 'raft-ts'
import { type Code, StatusError, toStatusError } from '../../../runtime/errors.ts'

const CODES: Record<RaftErrorCode, Code> = {
  NotLeader: 'Unavailable',
  ProposalDropped: 'Unavailable',
  OutcomeUnknown: 'Aborted',
  TooLarge: 'ResourceExhausted',
  Stopped: 'Unavailable',
  Timeout: 'DeadlineExceeded',
  Refused: 'FailedPrecondition',
  Corrupt: 'DataLoss',
  DiskLow: 'ResourceExhausted',
  DiskFailed: 'DataLoss',
}

/**
 * What callers of a store or of the membership see of a Raft error. One that names the leader says its address, so that
 * the caller can go there.
 */
export function fromRaftError(
  error: unknown,
  addressOf: (id: number) => string | undefined,
): StatusError {
  if (!(error instanceof RaftError)) return toStatusError(error)
  return new StatusError(CODES[error.code], explain(error, addressOf), { cause: error })
}

function explain(error: RaftError, addressOf: (id: number) => string | undefined): string {
  if (error instanceof WalCorruptError)
    return `raft: ${error.file} is damaged at byte ${error.offset}: ${error.detail}. When there are other managers, demote and remove this node there, then here: skein swarm leave --force, and join again. To salvage what comes before the damage, stop the daemon, then: skein manager repair`
  if (error.code !== 'NotLeader') return `raft: ${error.message}`
  const address = error.leader === undefined ? undefined : addressOf(error.leader)
  if (address !== undefined) return `this manager does not lead; the leader is at ${address}`
  // Swarm row RF-12.
  return "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."
}
