export { decodeMessage, encodeMessage, MAX_MESSAGE_BYTES } from './codec/message.ts'
export type { MemberChange } from './core/membership.ts'
export { RaftError, type RaftErrorCode, WalCorruptError, WalVersionError } from './errors.ts'
export type { RefusalReason } from './driver/gate.ts'
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
export { RECOVERY_GAP, type Recovered, type Seed, recoverAlone, seedMember } from './recover.ts'
export { MemoryFs, VirtualClock } from './testing.ts'
export type { Entry, Joint, Member, Membership, Message, Role, SnapshotMeta } from './types.ts'
export {
  planRepair,
  type Repair,
  type RepairDamage,
  type RepairOptions,
  repairLog,
} from './wal/repair.ts'
