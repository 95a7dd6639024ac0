import type { Raft, Ready } from '../core/raft.ts'
import { RaftError } from '../errors.ts'
import type { Settings } from '../options.ts'
import { type Entry, entryBytes, type Message } from '../types.ts'
import { DiskWatch } from './disk-watch.ts'
import type { Leadership } from './leadership.ts'
import type { Loop } from './loop.ts'
import type { OwnSnapshots } from './own-snapshots.ts'
import type { Proposals } from './proposals.ts'
import type { Reads } from './reads.ts'
import type { Reporter } from './reporter.ts'
import type { SnapshotExchange } from './snapshot-exchange.ts'
import type { Writer } from './writer.ts'

/** Applied in one turn before others get theirs: heartbeats must leave while a long log is replayed. */
const MAX_APPLY_PER_TURN = 4096
const MAX_APPLY_BYTES_PER_TURN = 4 * 1024 * 1024
const TICKS_PER_HEARTBEAT = 5

/** What a turn puts to work. */
export interface TurnParts {
  readonly settings: Settings
  readonly raft: Raft
  readonly loop: Loop
  readonly writer: Writer
  readonly leadership: Leadership
  readonly proposals: Proposals
  readonly reads: Reads
  readonly exchange: SnapshotExchange
  readonly snapshots: OwnSnapshots
  readonly reporter: Reporter
}

/** Does what the core's `Ready`s say: send, write, apply. */
export class Turns {
  readonly #parts: TurnParts
  readonly #disk: DiskWatch
  #lastTickMs: number
  /** Up to when the core knows that time has passed. */
  #clockMs: number

  constructor(parts: TurnParts) {
    this.#parts = parts
    this.#disk = new DiskWatch(parts.settings.electionTimeoutMs)
    this.#lastTickMs = parts.loop.nowMs
    this.#clockMs = parts.loop.nowMs
  }

  start(): void {
    const { loop, settings } = this.#parts
    loop.every('tick', settings.heartbeatMs / TICKS_PER_HEARTBEAT, () => this.#tick())
    loop.schedule()
  }

  run(): void {
    const { raft, loop, writer, leadership, reads, reporter, snapshots } = this.#parts
    this.noteTime()
    reads.poll(loop.nowMs)
    let applied = 0
    let appliedBytes = 0
    for (let ready = raft.ready(); ready !== undefined; ready = raft.ready()) {
      this.transmit(ready.messages)
      writer.push(ready)
      for (const read of ready.reads) reads.answered(read.context, read.index)
      this.#apply(ready.committed)
      applied += ready.committed.length
      for (const entry of ready.committed) appliedBytes += entryBytes(entry)
      if (loop.isStopped()) return
      if (applied > MAX_APPLY_PER_TURN || appliedBytes > MAX_APPLY_BYTES_PER_TURN) {
        loop.once('turn', 0, () => loop.schedule())
        break
      }
    }
    leadership.leadAlone()
    reads.applied(raft.state.log.applied)
    if (leadership.noteEnd()) this.#giveUp()
    loop.checkWaits()
    snapshots.takeWhenDue()
    reporter.check()
  }

  /** Before anything that may be a read: a lease that ended while this process was held up must not answer it. */
  noteTime(): void {
    this.#parts.raft.elapse(this.#sinceClockMs())
  }

  /** What the writer has made durable may be vouched for. */
  written(ready: Ready): void {
    const { settings, raft, loop, snapshots } = this.#parts
    loop.guard(() => {
      raft.written(ready.write)
      if (ready.snapshot !== undefined) {
        const { meta, data } = ready.snapshot
        settings.stateMachine.restore(data, meta.index)
        raft.snapshotApplied(meta)
        settings.metrics?.snapshot?.('installed', data.length)
        settings.log?.info('installed a snapshot', { index: meta.index, bytes: data.length })
        snapshots.release(meta)
      }
      this.transmit(ready.afterWrite)
    })
    loop.schedule()
  }

  transmit(messages: readonly Message[]): void {
    const { settings, loop, exchange } = this.#parts
    if (loop.isStopped() || messages.length === 0) return
    const wire = messages.filter(m => m.type !== 'snapshot')
    for (const m of wire) settings.metrics?.message?.('sent', m.type)
    if (wire.length > 0) settings.send(wire)
    for (const m of messages) if (m.type === 'snapshot') exchange.start(m.to)
  }

  #tick(): void {
    const { settings, raft, loop, leadership, proposals, reads, exchange } = this.#parts
    const { metrics, electionTimeoutMs, heartbeatMs } = settings
    const { nowMs } = loop
    const elapsedMs = nowMs - this.#lastTickMs
    this.#lastTickMs = nowMs
    metrics?.tickLag?.(Math.max(0, elapsedMs - heartbeatMs / TICKS_PER_HEARTBEAT) / 1000)
    // After a pause of ours, messages that came meanwhile get a chance before we conclude that none came.
    const countedMs = Math.min(elapsedMs, electionTimeoutMs / 2)
    raft.tick(countedMs, this.#sinceClockMs())
    const stalledMs = this.#disk.check(raft.state, countedMs)
    if (stalledMs !== undefined) leadership.yieldToDisk(stalledMs)
    proposals.expire(nowMs)
    reads.expire(nowMs)
    exchange.tick(nowMs)
    loop.schedule()
  }

  #sinceClockMs(): number {
    const { nowMs } = this.#parts.loop
    const sinceMs = nowMs - this.#clockMs
    this.#clockMs = nowMs
    return sinceMs
  }

  #apply(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    const { settings, raft, loop, proposals } = this.#parts
    const startMs = loop.nowMs
    const normal = entries.filter(e => e.kind === 'normal')
    const results = normal.length === 0 ? [] : settings.stateMachine.apply(normal)
    const outcome = raft.applied(entries)
    proposals.applied(entries, normal, results, outcome)
    settings.metrics?.applied?.(entries.length, (loop.nowMs - startMs) / 1000)
  }

  /** Waits of a leader end with its leadership: what became of the entries is for the next leader to decide. */
  #giveUp(): void {
    const { raft, proposals, exchange } = this.#parts
    const { leader } = raft.state
    proposals.failAll(
      () =>
        new RaftError('OutcomeUnknown', 'leadership was lost; the entry may still commit', {
          leader,
        }),
    )
    exchange.clear()
  }
}
