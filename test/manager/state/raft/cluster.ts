// Managers in one process: their streams are pairs in memory, their disks too, and time moves when told to.
import { MemoryFs } from 'raft-ts'
import { SimClock } from '../../../../runtime/clock.ts'
import { type Duplex, duplexPair } from '../../../../runtime/duplex.ts'
import { StatusError } from '../../../../runtime/errors.ts'
import { silentLog } from '../../../../runtime/log.ts'
import { seededRandom } from '../../../../runtime/random.ts'
import type { RaftEnvelope } from '../../../../manager/state/raft/envelope.ts'
import { RaftMember, type RaftMemberOptions } from '../../../../manager/state/raft/member.ts'

export type Stream = Duplex<RaftEnvelope, RaftEnvelope>

/** A stream that could not be made. */
export function deadStream(): Stream {
  const [stream, other] = duplexPair<RaftEnvelope, RaftEnvelope>()
  other.end(new StatusError('Unavailable', 'connection refused'))
  return stream
}

export class Cluster {
  readonly clock = new SimClock(1_000_000)
  readonly members = new Map<number, RaftMember>()
  readonly disks = new Map<number, MemoryFs>()
  readonly fatal: Error[] = []
  /** Ids that reach nobody. */
  readonly isolated = new Set<number>()
  readonly #streams = new Map<number, Set<Stream>>()

  async start(id: number, options: Partial<RaftMemberOptions> = {}): Promise<RaftMember> {
    const disk = this.disks.get(id) ?? new MemoryFs()
    this.disks.set(id, disk)
    const member = await this.settle(
      RaftMember.open({
        raftId: id,
        address: `m${id}`,
        clusterId: 'lab',
        dir: 'raft',
        fs: disk,
        clock: this.clock,
        random: seededRandom(id),
        log: silentLog,
        bootstrap: false,
        dial: address => this.#dial(id, Number(address.slice(1))),
        onFatal: error => this.fatal.push(error),
        ...options,
      }),
    )
    this.members.set(id, member)
    return member
  }

  /** As a crash: nobody is told but by broken streams. */
  async kill(id: number): Promise<void> {
    const member = this.members.get(id)
    this.members.delete(id)
    this.#cut(id)
    if (member) await this.settle(member.stop({ transfer: false }))
  }

  isolate(id: number): void {
    this.isolated.add(id)
    this.#cut(id)
  }

  leader(): RaftMember | undefined {
    return [...this.members.values()].find(member => member.leadership.leader)
  }

  /** Moves time on until `done`, at most `limitMs`; how long it took. */
  async until(done: () => boolean, limitMs = 20_000): Promise<number> {
    const startMs = this.clock.monotonic()
    await turn()
    while (!done()) {
      if (this.clock.monotonic() - startMs > limitMs)
        throw new Error(`nothing after ${limitMs} ms: ${done.toString()}`)
      this.clock.advance(5)
      await turn()
    }
    return this.clock.monotonic() - startMs
  }

  /** `work`, with time moving on until it ends. */
  async settle<T>(work: Promise<T>): Promise<T> {
    let ended = false
    const watched = work.finally(() => {
      ended = true
    })
    watched.catch(() => undefined)
    await this.until(() => ended, 120_000)
    return watched
  }

  #dial(from: number, to: number): Stream {
    const target = this.members.get(to)
    if (target === undefined || this.isolated.has(from) || this.isolated.has(to))
      return deadStream()
    const [near, far] = duplexPair<RaftEnvelope, RaftEnvelope>()
    for (const id of [from, to])
      this.#streams.set(id, (this.#streams.get(id) ?? new Set<Stream>()).add(near))
    target.handleMessages(`node-${from}`, far)
    return near
  }

  #cut(id: number): void {
    for (const stream of this.#streams.get(id) ?? [])
      stream.end(new StatusError('Unavailable', 'connection reset'))
    this.#streams.delete(id)
  }
}

/** Lets everything run that waits for no timer. */
export function turn(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve)
  })
}
