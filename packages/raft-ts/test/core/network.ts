import { RaftLog } from '../../src/core/log.ts'
import { applyChange } from '../../src/core/membership.ts'
import { Raft, type Ready } from '../../src/core/raft.ts'
import type { CoreConfig } from '../../src/core/state.ts'
import type { Entry, HardState, Member, Membership, Message } from '../../src/types.ts'

export const ELECTION_MS = 100

export interface Peer {
  readonly raft: Raft
  readonly applied: Entry[]
  readonly reads: { context: number; index: number }[]
  /** Writes not yet declared durable; filled only while `slowDisk`. */
  readonly writes: Ready[]
  slowDisk: boolean
  disk: HardState
}

/** Cores wired by hand: messages wait in `queue` until delivered, so a test decides what is lost and when. */
export class Network {
  readonly peers = new Map<number, Peer>()
  queue: Message[] = []
  drop: (m: Message) => boolean = () => false
  readonly seen: Message[] = []

  constructor(
    ids: readonly number[],
    options: {
      learners?: readonly number[]
      config?: Partial<CoreConfig>
      logs?: Record<number, number[]>
    } = {},
  ) {
    const members = ids.map(
      (id): Member => ({ id, address: '', learner: options.learners?.includes(id) ?? false }),
    )
    for (const id of ids)
      this.add(id, { members, removed: [] }, options.logs?.[id] ?? [], options.config)
  }

  add(
    id: number,
    membership: Membership,
    terms: readonly number[] = [],
    config: Partial<CoreConfig> = {},
  ): Peer {
    const entries = terms.map(
      (term, i): Entry => ({ index: i + 1, term, kind: 'normal', data: new Uint8Array(0) }),
    )
    const hardState = { term: terms.at(-1) ?? 0, vote: 0, commit: 0 }
    const raft = new Raft(
      {
        id,
        heartbeatMs: 10,
        electionTimeoutMs: ELECTION_MS,
        preVote: true,
        checkQuorum: true,
        maxInflight: 16,
        maxInflightBytes: 1e6,
        maxBatchBytes: 1e6,
        maxUncommittedBytes: 1e6,
        random: () => id / 10,
        ...config,
      },
      { log: new RaftLog({ index: 0, term: 0 }, entries, 0), hardState, membership },
    )
    const peer = { raft, applied: [], reads: [], writes: [], slowDisk: false, disk: hardState }
    this.peers.set(id, peer)
    return peer
  }

  peer(id: number): Peer {
    const peer = this.peers.get(id)
    if (peer === undefined) throw new Error(`no peer ${id}`)
    return peer
  }

  raft(id: number): Raft {
    return this.peer(id).raft
  }

  role(id: number): string {
    return this.raft(id).state.role
  }

  /** Takes all that peers have to say and writes what they have to write. */
  collect(): void {
    for (const peer of this.peers.values()) {
      for (let ready = peer.raft.ready(); ready !== undefined; ready = peer.raft.ready()) {
        this.#post(ready.messages)
        peer.reads.push(...ready.reads)
        peer.applied.push(...ready.committed)
        peer.raft.applied(ready.committed)
        peer.writes.push(ready)
        if (!peer.slowDisk) this.sync(peer)
      }
    }
  }

  sync(peer: Peer): void {
    for (const ready of peer.writes.splice(0)) {
      peer.disk = ready.hardState
      peer.raft.written(ready.write)
      this.#post(ready.afterWrite)
    }
  }

  /** Delivers until nobody has anything left to say. */
  settle(): void {
    for (let rounds = 0; rounds < 1000; rounds++) {
      this.collect()
      const batch = this.queue.splice(0)
      if (batch.length === 0) return
      for (const m of batch) if (!this.drop(m)) this.peers.get(m.to)?.raft.step(m)
    }
    throw new Error('the network does not come to rest')
  }

  tick(ms: number, ...ids: number[]): void {
    const who = ids.length > 0 ? ids : [...this.peers.keys()]
    for (let at = 0; at < ms; at += 5) {
      for (const id of who) this.raft(id).tick(5)
      this.settle()
    }
  }

  /** Makes `id` the leader, whatever the others' patience. */
  elect(id: number): void {
    for (const peer of this.peers.values()) peer.raft.forgetLeader()
    this.raft(id).campaign()
    this.settle()
  }

  cut(...ids: number[]): void {
    this.drop = m => ids.includes(m.from) !== ids.includes(m.to)
  }

  heal(): void {
    this.drop = () => false
  }

  change(id: number, change: Parameters<typeof applyChange>[1]): ReturnType<Raft['proposeChange']> {
    const outcome = this.raft(id).proposeChange(change)
    this.settle()
    return outcome
  }

  #post(messages: readonly Message[]): void {
    this.queue.push(...messages)
    this.seen.push(...messages)
  }
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
