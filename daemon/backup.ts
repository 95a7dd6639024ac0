import { BackupFramer } from '../proto/backup-file.ts'
import { snapshotParts } from '../manager/state/store/snapshot.ts'
import type { Manager } from '../manager/manager.ts'
import { sleep, type Clock } from '../runtime/clock.ts'
import { StatusError, toStatusError } from '../runtime/errors.ts'
import { VERSION } from './version.ts'

const READ_LIMIT_MS = 10_000
const MAX_CHUNK_BYTES = 1024 * 1024

/**
 * A backup of the cluster's state, a chunk of at most a mebibyte at a time. It holds every write that was acknowledged
 * before the call; the objects are immutable, so writes go on meanwhile and are not in it.
 *
 * @param options.stale take this manager's own state, without asking the leader whether it is current
 * @throws StatusError DeadlineExceeded or Unavailable when there is no leader to ask
 */
export async function* backupOf(
  manager: Manager,
  options: { readonly stale: boolean; readonly clock: Clock },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { clock } = options
  const { member } = manager
  if (!options.stale) await member.readIndex(READ_LIMIT_MS).catch(withoutLeader)
  const captured = member.store.captureSnapshot()
  const [cluster] = captured.objects.cluster
  const framer = new BackupFramer()
  yield framer.begin({
    clusterId: cluster?.id ?? '',
    clusterName: cluster?.spec?.annotations?.name ?? '',
    index: captured.version,
    term: member.status().term,
    createdAtMs: clock.now(),
    skeinVersion: VERSION,
  })
  for (const part of snapshotParts(captured)) {
    for (let at = 0; at < part.length; at += MAX_CHUNK_BYTES)
      yield framer.body(part.subarray(at, at + MAX_CHUNK_BYTES))
    // A turn for everything else: a large state takes a while.
    await sleep(clock, 0)
  }
  yield framer.end()
}

function withoutLeader(error: unknown): never {
  const { code, message } = toStatusError(error)
  throw new StatusError(
    code,
    `${message}; to take what this manager has all the same: skein cluster backup --stale FILE`,
    { cause: error },
  )
}
