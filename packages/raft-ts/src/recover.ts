// State that did not come by the log: a member begun from a copy, and a survivor made the only member of its group. Both
// are one snapshot on disk, written whole or not at all, which the next open() takes up.
import { NOBODY, applyChange, decodeChange } from './core/membership.ts'
import { openStorage } from './driver/open.ts'
import { RaftError } from './errors.ts'
import type { Encryption, RaftFs } from './fs.ts'
import { type RaftNodeOptions, withDefaults } from './options.ts'
import type { Entry, Member, Membership } from './types.ts'
import { SnapshotStore } from './wal/snapshot-store.ts'

/**
 * How far the index jumps. Entries that the members left behind have, or wrote since, may have indexes beyond ours: what
 * is written from now on must not be taken for them by whoever remembers an index.
 */
export const RECOVERY_GAP = 1_000_000_000

export interface Seed {
  readonly fs: RaftFs
  /** The member's own directory, without state so far. */
  readonly dir: string
  readonly encrypt?: Encryption
  /** The only voter of the new group. */
  readonly self: Member
  /** Of the copy: the member goes on RECOVERY_GAP behind. */
  readonly index: number
  readonly term: number
  /** Ids of the group the copy was made of: they never come back. */
  readonly removed: readonly number[]
  /** What the state machine's restore() is to be given. */
  readonly data: Uint8Array
}

/**
 * Begins a member from a copy of a state machine. Open it without bootstrap; it leads alone.
 *
 * @throws RaftError `Refused` when the directory holds a member's state
 */
export async function seedMember(seed: Seed): Promise<void> {
  const { fs, dir, self } = seed
  const snapDir = `${dir}/snap`
  await fs.mkdir(snapDir)
  await fs.syncDir(dir)
  if ((await fs.readdir(snapDir)).some(name => name.endsWith('.snap')))
    throw new RaftError('Refused', `${dir} already holds a member's state`)
  const meta = {
    index: seed.index + RECOVERY_GAP,
    term: seed.term,
    membership: alone(self, seed.removed),
  }
  await new SnapshotStore(fs, snapDir, seed.encrypt).save({ meta, data: seed.data })
}

/** What a survivor had, and so what the group goes on with. */
export interface Recovered {
  /** The last entry of its log; all up to it were applied, also those it did not know to be committed. */
  readonly lastIndex: number
  /** Up to here it knew that entries were committed. */
  readonly commitIndex: number
  readonly term: number
  /** The members that were left behind. */
  readonly lost: readonly Member[]
}

/**
 * Makes a stopped member the only one of its group, when a majority is gone for good. Nothing of its log is thrown away:
 * an entry it holds may have been acknowledged by a leader that is gone, whether this member was told or not. The others'
 * ids are removed, so that one that comes back after all learns that it is out.
 *
 * Unsafe by nature: if the others live, there are two groups from now on. The caller makes sure that they do not.
 *
 * @throws RaftError `Refused` when `self` is no voter; WalCorruptError. Nothing has changed then
 */
export async function recoverAlone(
  options: RaftNodeOptions,
  self: Pick<Member, 'address'>,
): Promise<Recovered> {
  const settings = withDefaults(options)
  const { id, dir, fs, encrypt, stateMachine } = settings
  const { wal, snapshot, hardState, entries } = await openStorage(settings, undefined)
  try {
    if (snapshot !== undefined) stateMachine.restore(snapshot.data, snapshot.meta.index)
    const membership = replay(entries, snapshot?.meta.membership ?? NOBODY, options)
    const known = membership.members.find(member => member.id === id)
    if (known === undefined || known.learner)
      throw new RaftError('Refused', `member ${id} is no voter; recover on one that is`)
    const lost = membership.members.filter(member => member.id !== id)
    const lastIndex = entries.at(-1)?.index ?? snapshot?.meta.index ?? 0
    const removed = [...membership.removed, ...lost.map(member => member.id)]
    const meta = {
      index: lastIndex + RECOVERY_GAP,
      term: hardState.term,
      membership: alone({ id, learner: false, ...self }, removed),
    }
    const data = await stateMachine.snapshot()
    await new SnapshotStore(fs, `${dir}/snap`, encrypt).save({ meta, data })
    return { lastIndex, commitIndex: hardState.commit, term: hardState.term, lost }
  } finally {
    await wal.close()
  }
}

function replay(
  entries: readonly Entry[],
  start: Membership,
  { stateMachine }: RaftNodeOptions,
): Membership {
  let membership = start
  for (const entry of entries) {
    if (entry.kind === 'normal') stateMachine.apply([entry])
    else if (entry.kind === 'config') {
      const outcome = applyChange(membership, decodeChange(entry.data))
      if (outcome.refused === undefined) membership = outcome.membership
    }
  }
  return membership
}

function alone(self: Member, removed: readonly number[]): Membership {
  return { ...NOBODY, members: [{ ...self, learner: false }], removed: [...new Set(removed)] }
}
