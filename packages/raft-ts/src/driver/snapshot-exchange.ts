import type { Raft } from '../core/raft.ts'
import { RaftError } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { Message, Snapshot, SnapshotChunk, SnapshotChunkResponse } from '../types.ts'
import { decodeSnapshot, encodeSnapshot, type SnapshotStore } from '../wal/snapshot-store.ts'
import type { Loop } from './loop.ts'
import type { Refusals } from './refusals.ts'
import { type Accepted, SnapshotReceiver } from './snapshot-receiver.ts'
import { SnapshotSender } from './snapshot-sender.ts'

/** Snapshots on the wire. The core speaks of whole ones; peers see chunks. */
export class SnapshotExchange {
  readonly #settings: Settings
  readonly #raft: Raft
  readonly #refusals: Refusals
  readonly #transmit: (messages: readonly Message[]) => void
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver

  constructor(
    settings: Settings,
    raft: Raft,
    loop: Loop,
    store: SnapshotStore,
    refusals: Refusals,
    transmit: (messages: readonly Message[]) => void,
  ) {
    this.#settings = settings
    this.#raft = raft
    this.#refusals = refusals
    this.#transmit = transmit
    this.#receiver = new SnapshotReceiver(settings.maxSnapshotBytes)
    this.#sender = new SnapshotSender({
      chunkBytes: settings.snapshotChunkBytes,
      retryMs: settings.electionTimeoutMs,
      load: () => load(store),
      send: chunk => transmit([{ ...chunk, from: settings.id, term: raft.state.term }]),
      finished: (to, delivered) => {
        raft.reportSnapshot(to, delivered)
        loop.schedule()
      },
      nowMs: () => loop.nowMs,
    })
  }

  start(to: number): void {
    this.#sender.start(to)
  }

  abort(to: number): void {
    this.#sender.abort(to)
  }

  tick(nowMs: number): void {
    this.#sender.tick(nowMs)
  }

  clear(): void {
    this.#sender.clear()
  }

  onResponse(m: SnapshotChunkResponse): void {
    this.#sender.onResponse(m)
  }

  /** Only our leader's, of this term. What is committed here already counts as received. */
  onChunk(m: SnapshotChunk): void {
    const s = this.#raft.state
    if (m.term !== s.term || m.from !== s.leader) return
    const held = m.index <= s.log.committed
    const answer: Accepted | undefined = held ? { offset: m.total } : this.#receiver.accept(m)
    if (answer === undefined) return
    if (answer.refused !== undefined)
      this.#refusals.note({ reason: 'snapshot', detail: answer.refused })
    const envelope = { from: this.#settings.id, to: m.from, term: s.term }
    const { index } = m
    this.#transmit([{ type: 'snapshotChunkResponse', ...envelope, index, offset: answer.offset }])
    const snapshot = answer.complete && this.#decode(answer.complete, m)
    if (snapshot !== undefined)
      this.#raft.step({ type: 'snapshot', from: m.from, to: s.id, term: m.term, snapshot })
  }

  /** Bytes that are what the leader sent, and yet may be no snapshot of what it announced. */
  #decode(bytes: Uint8Array, { index, from }: SnapshotChunk): Snapshot | undefined {
    const refuse = (detail: string): undefined => {
      this.#refusals.note({ reason: 'snapshot', detail: `snapshot from ${from}: ${detail}` })
    }
    try {
      const snapshot = decodeSnapshot(bytes)
      const { meta } = snapshot
      if (meta.index !== index) return refuse(`it ends at ${meta.index}, not at ${index}`)
      if (meta.membership.members.length === 0) return refuse('it has no members')
      return snapshot
    } catch (error) {
      return refuse(String(error))
    }
  }
}

async function load(store: SnapshotStore): Promise<{ index: number; bytes: Uint8Array }> {
  const snapshot = await store.load()
  if (snapshot === undefined) throw new RaftError('Refused', 'there is no snapshot')
  return { index: snapshot.meta.index, bytes: encodeSnapshot(snapshot) }
}
