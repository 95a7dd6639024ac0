import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { ManagerDisk } from '../manager/manager.ts'

/** What a manager's Raft directory takes of its disk, and what is left there. */
export async function managerDisk(raftDir: string): Promise<ManagerDisk> {
  const [wal, snapshots, disk] = await Promise.all([
    filesIn(join(raftDir, 'wal')),
    filesIn(join(raftDir, 'snap')),
    statfs(raftDir).catch(() => undefined),
  ])
  const snapshot = snapshots.filter(file => file.name.endsWith('.snap')).at(-1)
  return {
    logBytes: wal.reduce((sum, file) => sum + file.bytes, 0),
    snapshotBytes: snapshot?.bytes ?? 0,
    snapshotAtMs: snapshot?.changedAtMs ?? 0,
    freeBytes: disk ? disk.bavail * disk.bsize : -1,
    totalBytes: disk ? disk.blocks * disk.bsize : -1,
  }
}

interface FoundFile {
  readonly name: string
  /** Its length: a segment may be longer than what is written of it. */
  readonly bytes: number
  readonly changedAtMs: number
}

async function filesIn(dir: string): Promise<readonly FoundFile[]> {
  const names = (await readdir(dir).catch((): string[] => [])).toSorted()
  const files = names.map(async name => {
    // A segment may be released between the listing and the look at it.
    const found = await stat(join(dir, name)).catch(() => undefined)
    return found ? [{ name, bytes: found.size, changedAtMs: Math.floor(found.mtimeMs) }] : []
  })
  return (await Promise.all(files)).flat()
}
