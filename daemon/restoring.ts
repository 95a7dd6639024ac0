// A cluster that begins anew on this host from a backup. Everything is read and checked before anything is written.
import { newId, type Random } from '../runtime/random.ts'
import { nodeFs, seedMember } from 'raft-ts'
import type { Identity } from '../agent/identity/identity.ts'
import { aesSealer } from '../manager/state/raft/sealer.ts'
import { KINDS } from '../manager/state/store/kinds.ts'
import { type Restorable, readRestorable, restoredState } from '../manager/state/store/restored.ts'
import { type BackupHeader, readBackup } from '../proto/backup-file.ts'
import { NodeAvailability } from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { StatusError } from '../runtime/errors.ts'
import { certifyManager, managerNode } from './founding.ts'
import { raftDir, type MemberState } from './member-state.ts'

/** A backup that was found whole, and this node's new identity in its cluster. */
export interface Restoration {
  readonly header: BackupHeader
  readonly identity: Identity
  /** How many objects of each kind there are. */
  readonly objects: Readonly<Record<string, number>>
  readonly state: Restorable
}

/**
 * Reads a backup and certifies this node by the CA in it. Writes nothing.
 *
 * @throws StatusError as readBackup() and readRestorable()
 */
export async function readRestoration(
  bytes: Uint8Array,
  deps: { readonly clock: Clock; readonly random: Random },
): Promise<Restoration> {
  const { header, body } = readBackup(bytes)
  const state = readRestorable(body)
  const { cluster, tables, version } = state
  if (cluster.id !== header.clusterId || version !== header.index || !cluster.rootCa) {
    throw new StatusError('DataLoss', 'the backup’s header is not of its body; take another copy')
  }
  const identity = await certifyManager(cluster.rootCa, {
    clusterId: cluster.id,
    nodeId: newId(deps.random),
    nowMs: deps.clock.now(),
    validityMs: cluster.spec?.certificateValidityMs ?? 0,
    random: deps.random,
  })
  const objects = Object.fromEntries(KINDS.map(kind => [kind, tables.of(kind).size]))
  return { header, identity, objects, state }
}

/** Writes the state of the new group's only member; open it without bootstrap. */
export async function seedRestored(
  { header, identity, state }: Restoration,
  self: { readonly member: MemberState; readonly address: string; readonly dataDir: string },
  deps: { readonly clock: Clock; readonly random: Random },
): Promise<void> {
  const nowMs = deps.clock.now()
  const { raftId, dataKey } = self.member
  const before = state.tables.of('node').list()
  const removed = before.flatMap(node => (node.manager ? [node.manager.raftId] : []))
  const node = managerNode(
    {
      nodeId: identity.nodeId,
      raftId,
      address: self.address,
      availability: NodeAvailability.ACTIVE,
      certificateExpiresAtMs: identity.expiresAtMs,
      nowMs,
    },
    'restored the cluster from a backup, has not connected yet',
  )
  await seedMember({
    fs: nodeFs,
    dir: raftDir(self.dataDir),
    encrypt: aesSealer(dataKey, deps.random),
    self: { id: raftId, address: self.address, learner: false },
    index: header.index,
    term: header.term,
    removed,
    data: await restoredState(state, node, nowMs),
  })
}
