import { encodeChange } from '../core/membership.ts'
import { RaftError } from '../errors.ts'
import type { RaftFs } from '../fs.ts'
import type { Settings } from '../options.ts'
import type { Entry, HardState, Member, Snapshot } from '../types.ts'
import { readLog } from '../wal/recovery.ts'
import { entriesAfter } from '../wal/restore.ts'
import { SnapshotStore } from '../wal/snapshot-store.ts'
import { Wal } from '../wal/wal.ts'

export interface Opened {
  readonly wal: Wal
  readonly store: SnapshotStore
  readonly snapshot: Snapshot | undefined
  readonly hardState: HardState
  readonly entries: readonly Entry[]
}

const NOTHING: HardState = { term: 0, vote: 0, commit: 0 }

/** Opens or begins a member's directory: `wal/` and `snap/` inside `dir`. */
export async function openStorage(
  settings: Settings,
  bootstrap: readonly Member[] | undefined,
): Promise<Opened> {
  const { fs, dir, id, encrypt } = settings
  const walDir = `${dir}/wal`
  const snapDir = `${dir}/snap`
  await fs.mkdir(walDir)
  await fs.mkdir(snapDir)
  await fs.syncDir(dir)
  // Killed between a file's creation and the sync of its name, we find the file here, and a power failure would not.
  await fs.syncDir(walDir)
  await fs.syncDir(snapDir)
  const store = new SnapshotStore(fs, snapDir, encrypt)
  const snapshot = await store.load()
  const { wal, found } = await Wal.open({
    fs,
    dir: walDir,
    id,
    segmentBytes: settings.segmentBytes,
    encryption: encrypt,
    onSync: seconds => settings.metrics?.fsync?.(seconds),
    onWritten: bytes => settings.metrics?.written?.(bytes),
    monotonicMs: () => settings.clock.monotonic(),
  })
  const empty = found.records === 0 && snapshot === undefined
  if (bootstrap !== undefined) {
    if (!empty)
      throw new RaftError(
        'Refused',
        `${dir} already holds a member's state; open it without bootstrap`,
      )
    return { wal, store, snapshot, ...(await begin(wal, id, bootstrap)) }
  }
  if (empty) return { wal, store, snapshot, hardState: NOTHING, entries: [] }
  const { entries, contained } = entriesAfter(walDir, snapshot?.meta, found)
  const commit = contained ? found.hardState.commit : 0
  const hardState = {
    // A joiner may have crashed between saving its first snapshot and its first record; no vote of that term left it.
    vote: found.hardState.term < (snapshot?.meta.term ?? 0) ? 0 : found.hardState.vote,
    term: Math.max(found.hardState.term, snapshot?.meta.term ?? 0),
    commit: Math.max(commit, snapshot?.meta.index ?? 0),
  }
  if (!contained && snapshot !== undefined)
    await wal.append({ hardState, restart: snapshot.meta, entries: [] })
  return { wal, store, snapshot, hardState, entries }
}

/** Whether `dir` holds a member's state. Damaged state is state: opening it will say what is wrong. */
export async function hasState(fs: RaftFs, dir: string): Promise<boolean> {
  const names = async (path: string): Promise<string[]> => {
    try {
      return await fs.readdir(path)
    } catch {
      return []
    }
  }
  if ((await names(`${dir}/snap`)).some(name => name.endsWith('.snap'))) return true
  if ((await names(`${dir}/wal`)).length === 0) return false
  try {
    return (await readLog(fs, `${dir}/wal`, { encryption: undefined, countOnly: true })).records > 0
  } catch {
    return true
  }
}

/**
 * The first members enter through an entry like all later ones, so that whoever joins learns of them from the log.
 * Every first member writes the same entry; it counts as committed because all begin with it.
 */
async function begin(
  wal: Wal,
  id: number,
  members: readonly Member[],
): Promise<{ hardState: HardState; entries: readonly Entry[] }> {
  const ids = new Set(members.map(m => m.id))
  if (ids.size !== members.length)
    throw new RaftError('Refused', 'two bootstrap members have the same id')
  if (!members.some(m => m.id === id && !m.learner))
    throw new RaftError('Refused', `member ${id} is not among the bootstrap voters`)
  const data = encodeChange({ kind: 'bootstrap', members })
  const entries: readonly Entry[] = [{ index: 1, term: 1, kind: 'config', data }]
  const hardState = { term: 1, vote: 0, commit: 1 }
  await wal.append({ hardState, restart: undefined, entries })
  return { hardState, entries }
}
