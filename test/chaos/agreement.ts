// What each manager's disk says once nothing runs any more: the log and snapshot of each are opened as a manager would, and
// the state they lead to is compared byte for byte.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { RaftNode, type StateMachine, nodeFs } from 'raft-ts'
import { memberState } from '../../daemon/member-state.ts'
import { aesSealer } from '../../manager/state/raft/sealer.ts'
import { StoreStateMachine } from '../../manager/state/raft/state-machine.ts'
import { MemoryProposer } from '../../manager/state/store/memory-proposer.ts'
import { MemoryStore } from '../../manager/state/store/memory-store.ts'
import { encodeSnapshot } from '../../manager/state/store/snapshot.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemFs } from '../../runtime/fs.ts'
import { silentLog } from '../../runtime/log.ts'
import { systemRandom } from '../../runtime/random.ts'
import { until } from '../support/cluster.ts'

/** A manager's state as its disk tells it, at one index. */
export interface Replica {
  readonly name: string
  /** Committed, as far as this disk knows. */
  readonly committed: number
  readonly index: number
  readonly digest: string
  readonly configs: readonly string[]
}

/** Reads all replicas at the last index that every one of them knows to be committed. */
export async function readReplicas(
  dataDirs: readonly { readonly name: string; readonly dir: string }[],
): Promise<readonly Replica[]> {
  const ends = await Promise.all(
    dataDirs.map(({ name, dir }) => open(name, dir, Number.POSITIVE_INFINITY)),
  )
  const index = Math.min(...ends.map(replica => replica.committed))
  return Promise.all(dataDirs.map(({ name, dir }) => open(name, dir, index)))
}

async function open(name: string, dataDir: string, last: number): Promise<Replica> {
  const { raftId, dataKey, formerKeys } = await memberState(systemFs, dataDir, systemRandom)
  const store = new MemoryStore({
    proposer: new MemoryProposer(),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  })
  let failure: Error | undefined
  const node = await RaftNode.open({
    id: raftId,
    dir: join(dataDir, 'manager', 'raft'),
    fs: nodeFs,
    clock: systemClock,
    random: () => systemRandom.next(),
    encrypt: aesSealer(dataKey, systemRandom, formerKeys),
    stateMachine: upTo(new StoreStateMachine(store, systemClock), last),
    send: () => undefined,
    // Nobody is there to vote: it stays as it is.
    electionTimeoutMs: 24 * 3_600_000,
    onFatal: error => (failure = error),
  })
  await until(
    async () => failure ?? node.status().appliedIndex >= node.status().commitIndex,
    30_000,
    () => `${name}: the log is not applied`,
  )
  const committed = node.status().commitIndex
  await node.stop({ transfer: false })
  if (failure) throw new Error(`${name}: ${failure.message}`, { cause: failure })
  if (store.version > last)
    throw new Error(
      `${name} took a snapshot at ${store.version}, and another manager has only got to ${last}: it did not catch up`,
    )
  const bytes = await encodeSnapshot(store.captureSnapshot(), () => Promise.resolve())
  return {
    name,
    committed,
    index: Math.min(last, committed),
    digest: createHash('sha256').update(bytes).digest('hex'),
    configs: store.view(tx => tx.list('config').map(c => c.spec?.annotations?.name ?? '')),
  }
}

/** The state machine without what comes after an index. */
function upTo(inner: StoreStateMachine, last: number): StateMachine {
  return {
    apply: entries => [
      ...inner.apply(entries.filter(entry => entry.index <= last)),
      ...entries.filter(entry => entry.index > last).map(() => undefined),
    ],
    snapshot: () => inner.snapshot(),
    restore: (snapshot, index) => inner.restore(snapshot, index),
  }
}
