// What is left of a damaged log, and how to go on from there. Never done on opening: what lies behind the damage may have
// been acknowledged, and only a person can say whether other members hold it.
import { applyChange, decodeChange, NOBODY } from '../core/membership.ts'
import type { Encryption, RaftFs } from '../fs.ts'
import type { Entry, Member, Membership, SnapshotMeta } from '../types.ts'
import { readLog } from './recovery.ts'
import { segmentName, sequenceOf } from './segment.ts'
import { SnapshotStore } from './snapshot-store.ts'

export interface RepairOptions {
  readonly fs: RaftFs
  /** The member's own directory, as of `RaftNode.open`; no process may have it open. */
  readonly dir: string
  readonly encryption?: Encryption | undefined
}

export interface Repair {
  /** What is wrong; undefined when nothing is, and there is nothing to repair. */
  readonly damage: RepairDamage | undefined
  /** The last entry that is kept, of the log or of the snapshot. */
  readonly lastIndex: number
  readonly snapshotIndex: number
  /** The group as the entries that are kept tell it. */
  readonly members: readonly Member[]
}

export interface RepairDamage {
  readonly file: string
  readonly offset: number
  readonly detail: string
  /** The segment that is cut at `offset`, by its number; 0 when it is not known. */
  readonly sequence: number
  /** Files that go altogether. */
  readonly lostFiles: readonly string[]
  /** The highest index of an entry behind the damage that can still be read; 0 when there is none. */
  readonly lostIndex: number
}

/**
 * Says what `repairLog` would do, and changes nothing.
 *
 * @throws WalCorruptError when the snapshot is damaged, or does not reach to what is left of the log: nothing can be salvaged
 * @throws WalVersionError
 */
export async function planRepair(options: RepairOptions): Promise<Repair> {
  const { fs, dir, encryption } = options
  const walDir = `${dir}/wal`
  const snapshot = (await new SnapshotStore(fs, `${dir}/snap`, encryption).load())?.meta
  const log = await readLog(fs, walDir, { encryption, salvage: true })
  const { damage, entries, base } = log
  const snapshotIndex = snapshot?.index ?? 0
  // A log that begins behind the snapshot is of no use, nor is one of which nothing is left.
  const usable = base.index <= snapshotIndex ? entries : []
  const lastIndex = Math.max(snapshotIndex, usable.at(-1)?.index ?? 0)
  const members = membershipOf(snapshot, usable).members
  if (damage === undefined) return { damage, lastIndex, snapshotIndex, members }
  const { sequence, error, lastIndex: lostIndex } = damage
  const files = await segmentsOf(fs, walDir)
  const lostFiles = files
    .filter(s => s > sequence || (s === sequence && error.offset === 0))
    .map(s => `${walDir}/${segmentName(s)}`)
  const { file, offset, detail } = error
  return {
    damage: { file, offset, detail, sequence, lostFiles, lostIndex },
    lastIndex,
    snapshotIndex,
    members,
  }
}

/**
 * Cuts a damaged log before its damage. The files as they were are copied aside first; interrupted, it can be begun again.
 *
 * The member has forgotten what lay behind: entries it had acknowledged, and votes. One of several should not go on from
 * here but join anew.
 *
 * @returns the directory with the files as they were, undefined when there was nothing to repair
 * @throws as planRepair, and what the disk said
 */
export async function repairLog(
  options: RepairOptions,
): Promise<Repair & { readonly aside: string | undefined }> {
  const { fs, dir } = options
  const plan = await planRepair(options)
  const { damage } = plan
  if (damage === undefined) return { ...plan, aside: undefined }
  const walDir = `${dir}/wal`
  const aside = await copyAside(fs, dir)
  // From the end: whenever this is interrupted, what is left is damaged in the same place.
  for (const path of damage.lostFiles.toReversed()) {
    await fs.remove(path)
    await fs.syncDir(walDir)
  }
  if (damage.offset > 0) {
    const whole = await fs.readFile(damage.file)
    const temporary = `${damage.file}.tmp`
    await writeFile(fs, temporary, whole.fill(0, damage.offset))
    await fs.rename(temporary, damage.file)
    await fs.syncDir(walDir)
  }
  return { ...plan, aside }
}

async function copyAside(fs: RaftFs, dir: string): Promise<string> {
  let aside = `${dir}/wal.damaged-1`
  for (let n = 2; await exists(fs, aside); n++) aside = `${dir}/wal.damaged-${n}`
  await fs.mkdir(aside)
  for (const sequence of await segmentsOf(fs, `${dir}/wal`)) {
    const name = segmentName(sequence)
    await writeFile(fs, `${aside}/${name}`, await fs.readFile(`${dir}/wal/${name}`))
  }
  await fs.syncDir(aside)
  await fs.syncDir(dir)
  return aside
}

async function writeFile(fs: RaftFs, path: string, bytes: Uint8Array): Promise<void> {
  const file = await fs.open(path, 'create')
  try {
    await file.write(bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
}

function exists(fs: RaftFs, dir: string): Promise<boolean> {
  return fs.readdir(dir).then(
    () => true,
    () => false,
  )
}

async function segmentsOf(fs: RaftFs, walDir: string): Promise<number[]> {
  const sequences = (await fs.readdir(walDir)).map(sequenceOf).filter(s => s !== undefined)
  return sequences.toSorted((a, b) => a - b)
}

function membershipOf(snapshot: SnapshotMeta | undefined, entries: readonly Entry[]): Membership {
  let membership = snapshot?.membership ?? NOBODY
  for (const { index, kind, data } of entries) {
    if (kind !== 'config' || index <= (snapshot?.index ?? 0)) continue
    const outcome = applyChange(membership, decodeChange(data))
    if (outcome.refused === undefined) membership = outcome.membership
  }
  return membership
}
