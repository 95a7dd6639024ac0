import { WalCorruptError } from '../errors.ts'
import type { Entry, SnapshotMeta } from '../types.ts'
import type { Recovered } from './recovery.ts'

/**
 * What of a recovered log follows the newest snapshot.
 *
 * Entries behind the snapshot stay only if the log contains the snapshot's own last entry: a snapshot from the leader
 * replaces a log that differs, and a crash between saving the one and restarting the other must not mix them.
 * `contained` is false then, and the log has to be restarted at the snapshot before anything is appended.
 *
 * @throws WalCorruptError when entries between the two are missing, or committed ones behind
 */
export function entriesAfter(
  dir: string,
  snapshot: SnapshotMeta | undefined,
  log: Recovered,
): { entries: readonly Entry[]; contained: boolean } {
  const index = snapshot?.index ?? 0
  const term = snapshot?.term ?? 0
  const last = log.base.index + log.entries.length
  if (log.base.index > index)
    throw new WalCorruptError(
      dir,
      0,
      `the log begins after entry ${log.base.index}, the snapshot ends at ${index}`,
    )
  const there =
    index === log.base.index ? log.base.term : log.entries[index - log.base.index - 1]?.term
  if (last < index || there !== term) return { entries: [], contained: false }
  if (log.hardState.commit > last)
    throw new WalCorruptError(
      dir,
      0,
      `the log ends at ${last} but ${log.hardState.commit} was committed`,
    )
  return { entries: log.entries.slice(index - log.base.index), contained: true }
}
