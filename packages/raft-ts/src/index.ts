export { decodeMessage, encodeMessage, MAX_MESSAGE_BYTES } from './codec/message.ts'
export { RaftError, type RaftErrorCode, WalCorruptError, WalVersionError } from './errors.ts'
export type { Encryption, RaftFile, RaftFs } from './fs.ts'
export { RaftNode } from './node.ts'
export { nodeFs } from './node-fs.ts'
export type {
  PeerStatus,
  RaftClock,
  RaftLogger,
  RaftMetrics,
  RaftNodeOptions,
  RaftStatus,
  StateMachine,
} from './options.ts'
export { MemoryFs, VirtualClock } from './testing.ts'
export type { Entry, Member, Membership, Message, Role, SnapshotMeta } from './types.ts'
export {
  planRepair,
  type Repair,
  type RepairDamage,
  type RepairOptions,
  repairLog,
} from './wal/repair.ts'
