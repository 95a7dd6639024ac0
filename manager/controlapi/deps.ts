import type { Explanation, ManagerFacts, Task } from '../../proto/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Random } from '../../runtime/random.ts'
import type { ReadTx, Store } from '../state/store/types.ts'

/** One Raft member as status output shows it. */
export interface RaftPeer {
  readonly raftId: number
  readonly address: string
  readonly learner: boolean
  readonly matchIndex: number
  /** Milliseconds ago; -1: never. */
  readonly lastContactMs: number
}

/** Raft as this manager sees it. */
export interface RaftStatus {
  readonly raftId: number
  /** leader, follower, candidate, learner */
  readonly role: string
  readonly term: number
  readonly leader: number
  readonly lastIndex: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly snapshotIndex: number
  readonly peers: readonly RaftPeer[]
}

/** What the control API is given. */
export interface ControlDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Node id of this manager. */
  readonly nodeId: () => string
  /**
   * Resolves when the store holds everything that was acknowledged before the call; asked before each read, so that a
   * deposed leader does not answer with what it last knew. Absent where the store is the only one.
   */
  readonly current?: () => Promise<void>
  /** Absent when the state is not kept by Raft. */
  readonly raft?: {
    status(): RaftStatus
    /** This manager's own facts. */
    facts(): Promise<ManagerFacts>
    /** What the manager at an address says of itself; rejects when it does not answer. */
    ask(address: string): Promise<ManagerFacts>
  }
  /** The scheduler's explain mode, on the state it is given. */
  readonly explain?: (tx: ReadTx, task: Task) => Explanation
}
