// Whether what is applied could survive the loss of all memory: it is on the disks of a majority, synced.
import { readLog } from '../../src/wal/recovery.ts'
import { SnapshotStore } from '../../src/wal/snapshot-store.ts'
import type { MemoryFs } from '../../src/index.ts'

/** Whether the disk, as it would be after a power failure now, holds the entry or a snapshot that covers it. */
export async function holds(disk: MemoryFs, index: number, term: number): Promise<boolean> {
  const fs = disk.durable()
  const covered = await snapshotIndex(fs)
  if (covered >= index) return true
  try {
    const { base, entries } = await readLog(fs, 'data/wal')
    return entries[index - base.index - 1]?.term === term
  } catch {
    return false
  }
}

async function snapshotIndex(fs: MemoryFs): Promise<number> {
  try {
    return (await new SnapshotStore(fs, 'data/snap').load())?.meta.index ?? 0
  } catch {
    return 0
  }
}
