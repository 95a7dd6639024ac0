// One manager: its part in Raft, and, while it leads, the loops that run the cluster. What it serves is plain handlers;
// the daemon puts them on the wire and passes calls that only a leader may answer on to it.
import type { Registry } from 'prom-client'
import type { ManagerFacts, Task } from '../proto/index.ts'
import type { Caller, HandlersOf } from '../proto/service.ts'
import { StatusError, messageOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { caHandlers } from './ca/server.ts'
import { controlHandlers } from './controlapi/control.ts'
import type { ControlDeps, RaftStatus } from './controlapi/deps.ts'
import { type GroupStatus, getManagerStatus } from './controlapi/manager-status.ts'
import type { Dispatcher } from './dispatcher/dispatcher.ts'
import { logsHandlers } from './logbroker/logs.ts'
import type { LeaderDeps, LeaderLoop } from './loop.ts'
import { leaderLoops } from './loops.ts'
import { RoleLoop, type RaftGroup } from './role/loop.ts'
import { explain } from './scheduler/explain.ts'
import { FsyncWindow } from './state/raft/fsync-window.ts'
import { RaftMember, type RaftMemberOptions } from './state/raft/member.ts'
import type { ReadTx, Store, Tx } from './state/store/types.ts'

/** What a manager's state takes of its disk. Bytes; -1: unknown. */
export interface ManagerDisk {
  readonly logBytes: number
  readonly snapshotBytes: number
  /** Unix ms; 0: no snapshot yet. */
  readonly snapshotAtMs: number
  readonly freeBytes: number
  readonly totalBytes: number
}

export interface ManagerOptions extends RaftMemberOptions {
  readonly nodeId: string
  readonly registry: Registry
  /** Looks at the disk under `dir`, for status output. */
  readonly disk: () => Promise<ManagerDisk>
  /** What the manager at an address says of itself. */
  readonly ask: (address: string) => Promise<ManagerFacts>
}

/** What a manager answers, before anybody is authorised and anything is passed on. */
export interface ManagerHandlers {
  readonly CA: HandlersOf<'CA'>
  readonly Control: HandlersOf<'Control'>
  readonly Dispatcher: HandlersOf<'Dispatcher'>
  readonly Logs: HandlersOf<'Logs'>
  readonly Raft: HandlersOf<'Raft'>
}

export class Manager {
  readonly #options: ManagerOptions
  readonly #member: RaftMember
  readonly #syncs: FsyncWindow
  readonly #log: Log
  readonly #listeners = new Set<() => void>()
  #term: Term | undefined
  /** Changes of leadership are carried out one after another. */
  #turn: Promise<void> = Promise.resolve()

  private constructor(options: ManagerOptions, member: RaftMember, syncs: FsyncWindow) {
    this.#options = options
    this.#member = member
    this.#syncs = syncs
    this.#log = options.log.child({ room: 'manager' })
    member.onLeadership(() => this.#leadershipChanged())
    this.#leadershipChanged()
  }

  /** Opens this manager's state and takes part. @throws StatusError DataLoss when the log is damaged */
  static async open(options: ManagerOptions): Promise<Manager> {
    const syncs = new FsyncWindow()
    const { observer } = options
    const fsync = (seconds: number): void => {
      syncs.observe(seconds)
      observer?.raft?.fsync?.(seconds)
    }
    const observed = { ...options, observer: { ...observer, raft: { ...observer?.raft, fsync } } }
    return new Manager(options, await RaftMember.open(observed), syncs)
  }

  get store(): Store {
    return this.#member.store
  }

  get member(): RaftMember {
    return this.#member
  }

  /** Whether this manager leads, with a current store and its loops running. */
  isLeader(): boolean {
    return this.#term !== undefined && this.#member.leadership.leader
  }

  /** host:port of the leader, when another manager is known to lead. */
  leaderAddress(): string | undefined {
    const { leaderAddress } = this.#member.leadership
    return leaderAddress === this.#options.address ? undefined : leaderAddress
  }

  /** Calls `listener` when either of the above may have changed. Returns its cancel. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Writes a new cluster's first objects, once this manager leads it. */
  async found(write: (tx: Tx) => void, timeoutMs: number): Promise<void> {
    await this.untilLeading(timeoutMs)
    await this.store.update(
      tx => {
        write(tx)
      },
      { author: this.#options.nodeId },
    )
  }

  /** Resolves once this manager leads and its loops run. @throws StatusError DeadlineExceeded */
  untilLeading(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (!this.isLeader()) return
        cancel()
        stopListening()
        resolve()
      }
      const stopListening = this.onChange(check)
      const cancel = this.#options.clock.after(timeoutMs, () => {
        stopListening()
        reject(
          new StatusError('DeadlineExceeded', `this manager did not lead within ${timeoutMs} ms`),
        )
      })
      check()
    })
  }

  /** All members of the group, each with what it says of itself when it answers. */
  groupStatus(): Promise<GroupStatus> {
    return getManagerStatus({ store: this.store, raft: this.#asked() }, { all: true })
  }

  handlers(): ManagerHandlers {
    const { clock, random, registry, nodeId } = this.#options
    const deps = { store: this.store, clock, random, log: this.#log, registry }
    const control = {
      ...deps,
      nodeId: () => nodeId,
      raft: this.#asked(),
      current: () => this.#member.readIndex(),
      explain: (tx: ReadTx, task: Task) => explain(task, tx),
    }
    return {
      CA: caHandlers(deps),
      Control: controlHandlers(control),
      Dispatcher: {
        session: (stream, caller) =>
          this.#leading(stream, dispatcher => dispatcher.session(peerOf(caller), stream)),
        stream: (stream, caller) => {
          let attached = false
          stream.onMessage(first => {
            // From the first frame on the dispatcher listens; one that waited beside it is not another first.
            if (attached) return
            attached = true
            this.#leading(stream, dispatcher =>
              dispatcher.attachStream(peerOf(caller), first, stream),
            )
          })
        },
      },
      Logs: logsHandlers({
        ...deps,
        openStream: (target, request) => this.#dispatcher().openStream(target, request),
      }),
      Raft: this.#raftHandlers(),
    }
  }

  /** Ends this manager's part; a leader hands over first. */
  async stop(options: { readonly transfer?: boolean } = {}): Promise<void> {
    await this.#member.stop(options)
    await this.#turn
    await this.#endTerm()
  }

  #raftHandlers(): HandlersOf<'Raft'> {
    return {
      messages: (stream, caller) => this.#member.handleMessages(caller.nodeId, stream),
      join: async (request, caller) => {
        const answer = await this.#member.join(request)
        await this.#recordMember(caller.nodeId, request.raftId, request.address)
        const members = answer.members.map(member => ({ ...member, raftId: member.id }))
        return { clusterId: answer.clusterId, members }
      },
      leave: async (request, caller) => {
        const node = this.store.view(tx => tx.get('node', caller.nodeId))
        if (node?.manager?.raftId !== request.raftId) {
          throw new StatusError(
            'PermissionDenied',
            `node ${caller.nodeId} asked to remove Raft member ${request.raftId}, which is not its own`,
          )
        }
        await this.#member.leave(request.raftId)
        return {}
      },
    }
  }

  /** Ties a Raft member to its node, so that roles can be kept. */
  async #recordMember(nodeId: string, raftId: number, address: string): Promise<void> {
    await this.store.update(
      tx => {
        const node = tx.get('node', nodeId)
        if (!node) throw new StatusError('NotFound', `node ${nodeId} is not in the cluster`)
        if (node.manager?.raftId === raftId && node.manager.address === address) return
        const manager = { raftId, address, leader: false, learner: false, reachability: 2 }
        tx.update('node', { ...node, manager })
      },
      { author: nodeId },
    )
  }

  #leading(
    stream: { end(error?: StatusError): void },
    answer: (dispatcher: Dispatcher) => void,
  ): void {
    try {
      answer(this.#dispatcher())
    } catch (error) {
      stream.end(
        error instanceof StatusError ? error : new StatusError('Internal', messageOf(error)),
      )
    }
  }

  /** @throws StatusError FailedPrecondition, its message ending with where the leader is, on a follower */
  #dispatcher(): Dispatcher {
    if (this.#term && this.isLeader()) return this.#term.dispatcher
    const leader = this.leaderAddress()
    throw new StatusError(
      'FailedPrecondition',
      `this manager does not lead${leader ? `; leader at ${leader}` : ', and knows no leader yet'}`,
    )
  }

  #leadershipChanged(): void {
    this.#turn = this.#turn.then(async () => {
      const { leader, term } = this.#member.leadership
      if (this.#term && (!leader || this.#term.number !== term)) await this.#endTerm()
      if (leader && !this.#term) this.#beginTerm(term)
      for (const listener of this.#listeners) listener()
    })
  }

  #beginTerm(number: number): void {
    const { clock, random, registry } = this.#options
    const deps: LeaderDeps = { store: this.store, clock, random, registry, log: this.#log }
    const { loops, dispatcher } = leaderLoops(deps)
    const term: Term = {
      number,
      dispatcher,
      loops: [...loops, new RoleLoop(deps, this.#raftGroup())],
    }
    this.#term = term
    this.#log.info('leading', { term: number })
    for (const loop of term.loops) loop.start()
  }

  async #endTerm(): Promise<void> {
    const term = this.#term
    this.#term = undefined
    if (!term) return
    this.#log.info('no longer leading', { term: term.number })
    await Promise.all(term.loops.map(loop => loop.stop()))
  }

  #raftGroup(): RaftGroup {
    return {
      members: () => {
        const { members, leader, peers } = this.#member.status()
        return members.map(member => ({
          ...member,
          leader: member.id === leader,
          lastContactMs:
            member.id === leader ? 0 : peers.find(peer => peer.id === member.id)?.lastContactMs,
        }))
      },
      remove: id => this.#member.leave(id),
      transferLeadership: () => this.#member.transferLeadership(),
    }
  }

  #asked(): NonNullable<ControlDeps['raft']> {
    return {
      status: () => this.#raftStatus(),
      facts: () => this.#facts(),
      ask: this.#options.ask,
    }
  }

  async #facts(): Promise<ManagerFacts> {
    const disk = await this.#options.disk()
    const status = this.#member.status()
    const { role, term, lastIndex, lastTerm, commitIndex, appliedIndex, snapshotIndex } = status
    return {
      role,
      term,
      leader: status.leader ?? 0,
      lastIndex,
      lastTerm,
      commitIndex,
      appliedIndex,
      snapshotIndex,
      logEntries: lastIndex - status.firstIndex + 1,
      logBytes: disk.logBytes,
      snapshotBytes: disk.snapshotBytes,
      snapshotAtMs: disk.snapshotAtMs,
      diskFreeBytes: disk.freeBytes,
      diskTotalBytes: disk.totalBytes,
      fsyncP99Us: Math.round(this.#syncs.p99() * 1e6),
    }
  }

  #raftStatus(): RaftStatus {
    const status = this.#member.status()
    const contact = new Map(status.peers.map(peer => [peer.id, peer]))
    return {
      ...status,
      raftId: status.id,
      leader: status.leader ?? 0,
      peers: status.members.map(member => ({
        raftId: member.id,
        address: member.address,
        learner: member.learner,
        matchIndex:
          contact.get(member.id)?.matchIndex ?? (member.id === status.id ? status.lastIndex : 0),
        lastContactMs: contact.get(member.id)?.lastContactMs ?? (member.id === status.id ? 0 : -1),
      })),
    }
  }
}

interface Term {
  readonly number: number
  readonly dispatcher: Dispatcher
  readonly loops: readonly LeaderLoop[]
}

function peerOf(caller: Caller): { nodeId: string; address: string } {
  return { nodeId: caller.nodeId, address: caller.address }
}
