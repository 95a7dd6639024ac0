import type { RefusalReason } from './driver/gate.ts'
import { RaftError } from './errors.ts'
import type { Encryption, RaftFs } from './fs.ts'
import type { Joint, Member, Message, Role } from './types.ts'

/** Time as the node sees it. */
export interface RaftClock {
  /** Milliseconds since an arbitrary origin; never goes back. */
  monotonic(): number
  /** Calls `fn` once, no sooner than `delayMs` from now. Returns its cancel. */
  after(delayMs: number, fn: () => void): () => void
}

/** What the log is for. An exception from any of these ends the node: members would come to different states. */
export interface StateMachine {
  /** Called in order with committed normal entries (never empty ones or config ones). The return values, one an entry, are handed to the proposers. */
  apply(
    entries: readonly {
      readonly index: number
      readonly term: number
      readonly data: Uint8Array
    }[],
  ): readonly unknown[]
  /** The state as of the last applied entry, captured synchronously at the call. */
  snapshot(): Uint8Array | Promise<Uint8Array>
  /** Replaces the whole state. */
  restore(snapshot: Uint8Array, index: number): void
}

/** Where the node says what an operator should know. */
export interface RaftLogger {
  info(message: string, fields?: object): void
  warn(message: string, fields?: object): void
  error(message: string, fields?: object): void
}

/** Called as things happen; each must be cheap and must not throw. */
export interface RaftMetrics {
  fsync?(seconds: number): void
  written?(bytes: number): void
  message?(direction: 'sent' | 'received', type: Message['type']): void
  /** How much later than planned a tick came: the event loop was held up. */
  tickLag?(seconds: number): void
  applied?(entries: number, seconds: number): void
  snapshot?(direction: 'taken' | 'installed', bytes: number): void
  /** This leader's disk has written nothing for so long, and it gives up the leadership. */
  diskStalled?(seconds: number): void
  /** Something that came in was refused; nothing has changed. */
  refused?(reason: RefusalReason): void
  /** At each look at the member's disk; `isLow`: no proposals are taken. */
  disk?(freeBytes: number, isLow: boolean): void
}

/** Times in milliseconds, sizes in bytes. */
export interface RaftNodeOptions {
  /** Random, below 2^53, never used before in this cluster, not 0. */
  readonly id: number
  /** Goes with every message of `encode`; what `receive` gets must name the same. Default: none, and none is looked for. */
  readonly clusterId?: string
  /** This member's own directory; nobody else writes there. */
  readonly dir: string
  readonly fs: RaftFs
  readonly clock: RaftClock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly stateMachine: StateMachine
  /** Fire and forget; order need not be kept, loss and duplication do no harm. */
  send(messages: readonly Message[]): void
  readonly log?: RaftLogger
  /** How often a leader shows itself. Default 100. */
  readonly heartbeatMs?: number
  /** A follower waits one to two times this long before it campaigns. Default 1000. */
  readonly electionTimeoutMs?: number
  /** A member coming back asks before it raises the term. Default true. */
  readonly preVote?: boolean
  /** A leader without a majority steps down, and followers stick to a live leader. Default true. */
  readonly checkQuorum?: boolean
  /**
   * A leader answers reads without asking a majority while its lease holds (raft thesis §6.4.1). It rests on clocks: a host
   * whose clock stands still while others' go on, as in a suspended virtual machine, may serve a stale read. Needs
   * `checkQuorum`, alike on every member; a broken connection no longer shortens failover. Default false: ReadIndex.
   */
  readonly leaseReads?: boolean
  /**
   * A follower sends proposals on to the leader, which takes them only if it has this option too. Default false: `propose`
   * rejects with `NotLeader`.
   */
  readonly forwardProposals?: boolean
  /** How much faster one member's clock may run than another's, for leases. Default 0.1, a tenth. */
  readonly maxClockDrift?: number
  /** Entries applied between two snapshots. Default 10,000. */
  readonly snapshotEntries?: number
  /** A snapshot is also taken when the log in memory exceeds this. Default 64 MiB. */
  readonly snapshotLogBytes?: number
  /** Entries kept behind a snapshot for slow followers, up to a quarter of `snapshotLogBytes`. Default half of `snapshotEntries`. */
  readonly snapshotTailEntries?: number
  /** A larger snapshot is neither taken nor accepted. Default 1 GiB. */
  readonly maxSnapshotBytes?: number
  /** Bytes of a snapshot in one message; four are in flight. Default 256 KiB. */
  readonly snapshotChunkBytes?: number
  /** A larger proposal is refused. Default 2 MiB. */
  readonly maxEntryBytes?: number
  /** Bytes of entries in one append or one batch to apply; one entry may exceed it. Default 1 MiB. */
  readonly maxBatchBytes?: number
  /** Appends in flight to one follower. Default 256. */
  readonly maxInflight?: number
  /** Bytes of entries in flight to one follower. Default 16 MiB. */
  readonly maxInflightBytes?: number
  /** Proposals beyond this many uncommitted bytes are refused. Default 64 MiB. */
  readonly maxUncommittedBytes?: number
  /** Proposals, and reads, that may wait at a time. Default 65,536 each. */
  readonly maxPending?: number
  /** Size at which the log goes on in a new file. Default 16 MiB. */
  readonly segmentBytes?: number
  /** With less free on the disk no proposals are taken; 0: never mind. Default 64 MiB, or two segments if that is more. */
  readonly minFreeBytes?: number
  /** Limit of waits whose caller gives none. Default 10,000. */
  readonly defaultTimeoutMs?: number
  /** Seals log records and snapshots on disk. Default: plain. */
  readonly encrypt?: Encryption
  /** Leader, term, role or members changed. */
  onChange?(status: RaftStatus): void
  /** A failed sync, a damaged log, a diverged state machine: the process must die. Called once. */
  onFatal(error: Error): void
  readonly metrics?: RaftMetrics
}

/** What a leader knows of another member. */
export interface PeerStatus {
  readonly id: number
  readonly matchIndex: number
  /** How long ago the last message came, undefined when none has come. */
  readonly lastContactMs: number | undefined
  readonly state: 'probe' | 'replicate' | 'snapshot'
}

/** What a member knows of itself and its cluster at the moment. */
export interface RaftStatus {
  readonly id: number
  readonly term: number
  readonly role: Role
  readonly leader: number | undefined
  readonly members: readonly Member[]
  /** While a joint change of membership is under way. */
  readonly joint?: Joint
  readonly firstIndex: number
  readonly lastIndex: number
  /** The term of the last entry: a log with a higher one is newer, whatever its length (raft.pdf §5.4.1). */
  readonly lastTerm: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly snapshotIndex: number
  readonly pendingProposals: number
  /** Of a leader only. */
  readonly peers: readonly PeerStatus[]
  readonly removed: boolean
}

type Optional = 'clusterId' | 'log' | 'encrypt' | 'onChange' | 'metrics'

/** Options with every default filled in. */
export type Settings = Required<Omit<RaftNodeOptions, Optional>> &
  Pick<RaftNodeOptions, Optional> & { readonly leaseMs: number }

const KIB = 1024
const MIB = 1024 * KIB

/** @throws RaftError `Refused` for options that contradict each other */
export function withDefaults(options: RaftNodeOptions): Settings {
  const snapshotEntries = options.snapshotEntries ?? 10_000
  const segmentBytes = options.segmentBytes ?? 16 * MIB
  return {
    heartbeatMs: 100,
    electionTimeoutMs: 1000,
    preVote: true,
    checkQuorum: true,
    leaseReads: false,
    forwardProposals: false,
    maxClockDrift: 0.1,
    snapshotLogBytes: 64 * MIB,
    snapshotTailEntries: Math.floor(snapshotEntries / 2),
    maxSnapshotBytes: 1024 * MIB,
    snapshotChunkBytes: 256 * KIB,
    maxEntryBytes: 2 * MIB,
    maxBatchBytes: MIB,
    maxInflight: 256,
    maxInflightBytes: 16 * MIB,
    maxUncommittedBytes: 64 * MIB,
    maxPending: 65_536,
    minFreeBytes: Math.max(64 * MIB, 2 * segmentBytes),
    defaultTimeoutMs: 10_000,
    ...options,
    snapshotEntries,
    leaseMs: leaseMsOf(options),
    segmentBytes,
    send: messages => options.send(messages),
    onFatal: error => options.onFatal(error),
    ...(options.onChange && { onChange: (status: RaftStatus) => options.onChange?.(status) }),
  }
}

/** @throws RaftError `Refused` for a lease that nothing vouches for */
function leaseMsOf(options: RaftNodeOptions): number {
  if (options.leaseReads !== true) return 0
  const drift = options.maxClockDrift ?? 0.1
  if (options.checkQuorum === false)
    throw new RaftError(
      'Refused',
      'leaseReads needs checkQuorum: without it members grant votes while a leader lives',
    )
  if (!(drift >= 0))
    throw new RaftError('Refused', `maxClockDrift is ${drift}; a share of 0 or more is needed`)
  return (options.electionTimeoutMs ?? 1000) / (1 + drift)
}
