import {
  type Encryption,
  type Member,
  type RaftFs,
  type RaftMetrics,
  RaftNode,
  type RaftNodeOptions,
  type RaftStatus,
  type Recovered,
  recoverAlone,
} from 'raft-ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Duplex } from '../../../runtime/duplex.ts'
import { StatusError } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Random } from '../../../runtime/random.ts'
import { MemoryStore, type StoreLimits, type StoreObserver } from '../store/memory-store.ts'
import type { RaftEnvelope } from './envelope.ts'
import { fromRaftError } from './errors.ts'
import { type Leadership, LeadershipWatch } from './leadership.ts'
import { type ProposalObserver, RaftProposer, addressOf } from './raft-proposer.ts'
import { StoreStateMachine } from './state-machine.ts'
import { RaftTransport, type TransportObserver } from './transport.ts'

const DEFAULT_CATCH_UP_MS = 30_000

/** Everything the metrics of a member hook into. */
export interface MemberObserver extends TransportObserver, ProposalObserver, StoreObserver {
  readonly raft?: RaftMetrics
  changed?(status: RaftStatus): void
}

export interface RaftMemberOptions {
  /** newMemberId(random); never used before in this cluster. */
  readonly raftId: number
  /** host:port at which the other managers reach this one. */
  readonly address: string
  readonly clusterId: string
  /** This member's own directory. */
  readonly dir: string
  readonly fs: RaftFs
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Makes this the first member of a new cluster, when the directory holds no state. Else it waits to be added. */
  readonly bootstrap: boolean
  /** A stream to the Raft service at an address; failures show as its end. */
  readonly dial: (address: string) => Duplex<RaftEnvelope, RaftEnvelope>
  /** Encryption at rest, see aesSealer(). Default: plain. */
  readonly sealer?: Encryption
  /** A failed sync or a damaged log: the process must die. */
  readonly onFatal: (error: Error) => void
  readonly storeLimits?: StoreLimits
  readonly observer?: MemberObserver
  /** Default 100. */
  readonly heartbeatMs?: number
  /** Default 1000. */
  readonly electionTimeoutMs?: number
  /** Size of a log segment. Default 16 MiB. */
  readonly segmentBytes?: number
  /** Below this much free space on the disk of `dir` no changes are taken. Default 64 MiB. */
  readonly minFreeBytes?: number
  /** Default 10,000 (Swarm row RF-03). */
  readonly snapshotEntries?: number
}

/** A manager's part in Raft: its node, its connections to the others, and the store they keep together. */
export class RaftMember {
  readonly store: MemoryStore
  readonly #options: RaftMemberOptions
  readonly #node: RaftNode
  readonly #transport: RaftTransport
  readonly #leadership: LeadershipWatch
  readonly #proposer: RaftProposer

  private constructor(
    options: RaftMemberOptions,
    parts: {
      store: MemoryStore
      node: RaftNode
      transport: RaftTransport
      leadership: LeadershipWatch
      proposer: RaftProposer
    },
  ) {
    this.#options = options
    this.store = parts.store
    this.#node = parts.node
    this.#transport = parts.transport
    this.#leadership = parts.leadership
    this.#proposer = parts.proposer
  }

  /**
   * Opens the directory, restores the store and begins to talk to the other members.
   *
   * @throws StatusError DataLoss when the log is damaged, with what to do
   */
  static async open(options: RaftMemberOptions): Promise<RaftMember> {
    const { clock, random, log, fs, dir, observer } = options
    const proposer = new RaftProposer(() => clock.monotonic(), observer)
    const store = new MemoryStore({
      proposer,
      clock,
      random,
      log,
      ...(options.storeLimits && { limits: options.storeLimits }),
      ...(observer && { observer }),
    })
    const leadership = new LeadershipWatch(clock, log)
    let node: RaftNode | undefined
    const transport = new RaftTransport({
      selfId: options.raftId,
      clusterId: options.clusterId,
      clock,
      random,
      log,
      dial: options.dial,
      onMessage: message => node?.step(message),
      onUnreachable: id => node?.reportUnreachable(id),
      ...(observer && { observer }),
    })
    const changed = (status: RaftStatus): void => {
      // Before open() returns there is nobody to tell; what it is then is read below.
      if (node === undefined) return
      transport.setMembers(status.members)
      leadership.update(node, status)
      observer?.changed?.(status)
      if (isAlone(status, options.raftId)) node.campaign()
    }
    const self: Member = { id: options.raftId, address: options.address, learner: false }
    try {
      const begin = options.bootstrap && !(await RaftNode.hasState(fs, dir))
      node = await RaftNode.open(
        {
          ...nodeOptions(options),
          stateMachine: new StoreStateMachine(store, clock),
          send: messages => transport.send(messages),
          onChange: changed,
        },
        begin ? { bootstrap: [self] } : {},
      )
    } catch (error) {
      transport.stop()
      throw fromRaftError(error, () => undefined)
    }
    proposer.attach(node)
    changed(node.status())
    return new RaftMember(options, { store, node, transport, leadership, proposer })
  }

  /**
   * Makes a member that is not open the only one of its group, with all that its log holds; open it as usual then.
   *
   * @throws StatusError DataLoss when the log is damaged, FailedPrecondition when it is no voter; nothing has changed then
   */
  static async recover(options: RaftMemberOptions): Promise<Recovered> {
    const { clock, random, log, address } = options
    // Only the log is applied to it: nothing is proposed.
    const store = new MemoryStore({
      proposer: new RaftProposer(() => clock.monotonic()),
      clock,
      random,
      log,
    })
    try {
      return await recoverAlone(
        {
          ...nodeOptions(options),
          stateMachine: new StoreStateMachine(store, clock),
          send: () => undefined,
        },
        { address },
      )
    } catch (error) {
      throw fromRaftError(error, () => undefined)
    }
  }

  status(): RaftStatus {
    return this.#node.status()
  }

  /** Ids, see keyIdOf(), of the data keys that the log and the snapshot need. */
  keysInUse(): ReadonlySet<string> {
    return this.#node.keysInUse()
  }

  /** Who leads, as far as this member knows. */
  get leadership(): Leadership {
    return this.#leadership.state
  }

  /** Calls `listener` on every change of leadership; returns its cancel. */
  onLeadership(listener: (state: Leadership) => void): () => void {
    return this.#leadership.listen(listener)
  }

  /** Serves a Raft.Messages stream that another manager opened; `peer` is who its certificate says it is. */
  handleMessages(peer: string, stream: Duplex<RaftEnvelope, RaftEnvelope>): void {
    this.#transport.handleMessages(peer, stream)
  }

  /**
   * Resolves when this member's store holds everything that was acknowledged before the call.
   *
   * @throws StatusError Unavailable when no majority confirms that in time
   */
  readIndex(timeoutMs: number = Number.POSITIVE_INFINITY): Promise<void> {
    return this.#proposer.confirm(timeoutMs)
  }

  /**
   * Adds a manager: as a learner, then, once it holds the log, as a voter. On the leader. May be repeated with the same id,
   * e.g. after a lost answer, or with a new address.
   *
   * @param catchUpMs how long the new member may take to catch up; it stays a learner, and the call can be repeated
   * @throws StatusError Unavailable (not the leader; names it), FailedPrecondition (the id was removed, or it cannot catch up)
   */
  async join(
    request: { readonly raftId: number; readonly address: string },
    catchUpMs: number = DEFAULT_CATCH_UP_MS,
  ): Promise<{ readonly clusterId: string; readonly members: readonly Member[] }> {
    const { raftId: id, address } = request
    if (!Number.isSafeInteger(id) || id <= 0)
      throw new StatusError('InvalidArgument', `${id} is no raft id`)
    if (address === '')
      throw new StatusError('InvalidArgument', 'an address is needed that other managers reach')
    await this.#translated(async () => {
      const known = this.#member(id)
      const learner = known?.learner ?? true
      if (known?.address !== address) await this.#node.addMember({ id, address, learner })
      if (learner) await this.#promote(id, address, catchUpMs)
    })
    return { clusterId: this.#options.clusterId, members: this.status().members }
  }

  /**
   * Removes a manager for good: its id never comes back. On the leader, which first hands over when it is itself the one.
   *
   * @throws StatusError FailedPrecondition when the members left and in reach would be no majority (Swarm row RF-11),
   *   Unavailable when this is not, or no longer, the leader; ask again there
   */
  async leave(raftId: number, options: { readonly force?: boolean } = {}): Promise<void> {
    await this.#translated(async () => {
      if (this.#member(raftId) === undefined) return
      const voters = this.status().members.filter(member => !member.learner)
      if (voters.length === 1 && voters[0]?.id === raftId) {
        throw new StatusError(
          'FailedPrecondition',
          'the last manager cannot leave; it holds the state of the cluster',
        )
      }
      if (raftId === this.#options.raftId) {
        await this.#node.transferLeadership()
        throw new StatusError(
          'Unavailable',
          `the leadership was handed over so that this manager can leave; ask ${this.#leaderName()}`,
        )
      }
      await this.#node.removeMember(raftId, options)
    })
  }

  /** Hands the leadership to `to`, or to the voter that is most up to date. @throws StatusError as leave() */
  async transferLeadership(to?: number): Promise<void> {
    await this.#translated(() => this.#node.transferLeadership(to))
  }

  /** Ends this member's part; hands the leadership over first, unless told not to. */
  async stop(options: { readonly transfer?: boolean } = {}): Promise<void> {
    await this.#node.stop(options)
    this.#leadership.stop()
    this.#transport.stop()
  }

  async #promote(id: number, address: string, timeoutMs: number): Promise<void> {
    try {
      await this.#node.promoteMember(id, { timeoutMs })
    } catch (error) {
      const peer = this.status().peers.find(other => other.id === id)
      if (peer === undefined || peer.lastContactMs !== undefined) throw error
      // Swarm row RF-09.
      throw new StatusError(
        'FailedPrecondition',
        `could not connect to the prospective manager using its advertised address: ${address}; is it reachable from here?`,
        { cause: error },
      )
    }
  }

  #member(id: number): Member | undefined {
    return this.status().members.find(member => member.id === id)
  }

  #leaderName(): string {
    const { leader } = this.status()
    return (leader !== undefined && addressOf(this.#node, leader)) || 'the new leader'
  }

  async #translated<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw fromRaftError(error, id => addressOf(this.#node, id))
    }
  }
}

/** The only voter need not wait for an election timeout: nobody else could lead. */
function isAlone(status: RaftStatus, id: number): boolean {
  const voters = status.members.filter(member => !member.learner)
  return status.role === 'follower' && voters.length === 1 && voters[0]?.id === id
}

function nodeOptions(
  options: RaftMemberOptions,
): Omit<RaftNodeOptions, 'stateMachine' | 'send' | 'onChange'> {
  const { raftId, dir, fs, clock, random, log, sealer, observer, onFatal } = options
  return {
    id: raftId,
    dir,
    fs,
    clock,
    random: () => random.next(),
    log: {
      info: (message, fields) => log.info(message, { ...fields }),
      warn: (message, fields) => log.warn(message, { ...fields }),
      error: (message, fields) => log.error(message, { ...fields }),
    },
    onFatal,
    ...(sealer && { encrypt: sealer }),
    ...(observer?.raft && { metrics: observer.raft }),
    ...(options.heartbeatMs !== undefined && { heartbeatMs: options.heartbeatMs }),
    ...(options.electionTimeoutMs !== undefined && {
      electionTimeoutMs: options.electionTimeoutMs,
    }),
    ...(options.segmentBytes !== undefined && { segmentBytes: options.segmentBytes }),
    ...(options.minFreeBytes !== undefined && { minFreeBytes: options.minFreeBytes }),
    ...(options.snapshotEntries !== undefined && { snapshotEntries: options.snapshotEntries }),
  }
}
