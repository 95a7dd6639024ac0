import assert from 'node:assert'
import type { RaftNode } from 'raft-ts'
import type { StoreAction } from '../../../proto/index.ts'
import type { TransactionOutcome } from '../store/memory-store.ts'
import type { Proposer } from '../store/types.ts'
import { encodeTransaction } from '../store/wire.ts'
import { StatusError } from '../../../runtime/errors.ts'
import { fromRaftError } from './errors.ts'

/** A cut-off leader has stepped down by then, and asking elsewhere is the better use of a caller's time. */
const CONFIRM_MS = 3_000

/** What the metrics of proposals are made of. */
export interface ProposalObserver {
  proposed?(result: 'committed' | 'failed' | 'dropped' | 'timeout', seconds: number): void
}

/** Makes transactions durable through the Raft log. Only the leader's proposals succeed. */
export class RaftProposer implements Proposer {
  readonly #nowMs: () => number
  readonly #observer: ProposalObserver
  #node: RaftNode | undefined

  constructor(nowMs: () => number, observer: ProposalObserver = {}) {
    this.#nowMs = nowMs
    this.#observer = observer
  }

  /** The node to propose to. Once, when it is open. */
  attach(node: RaftNode): void {
    assert(this.#node === undefined, 'a raft proposer serves one node')
    this.#node = node
  }

  async propose(
    actions: readonly StoreAction[],
    options: { readonly author: string; readonly timeoutMs: number },
  ): Promise<TransactionOutcome> {
    const node = this.#node
    if (node === undefined)
      throw new StatusError('Unavailable', 'this manager is starting; try again')
    const bytes = encodeTransaction(actions, options.author)
    const startMs = this.#nowMs()
    try {
      const { result } = await node.propose(bytes, { timeoutMs: options.timeoutMs })
      this.#observe('committed', startMs)
      return result as TransactionOutcome
    } catch (error) {
      const status = fromRaftError(error, id => addressOf(node, id))
      const dropped = status.code === 'Unavailable' || status.code === 'ResourceExhausted'
      const failed = status.code === 'DeadlineExceeded' ? 'timeout' : 'failed'
      this.#observe(dropped ? 'dropped' : failed, startMs)
      throw status
    }
  }

  /** ReadIndex (raft thesis §6.4); calls that come together share one round of heartbeats. */
  async confirm(timeoutMs: number): Promise<void> {
    const node = this.#node
    if (node === undefined)
      throw new StatusError('Unavailable', 'this manager is starting; try again')
    try {
      await node.readIndex({ timeoutMs: Math.min(timeoutMs, CONFIRM_MS) })
    } catch (error) {
      throw new StatusError(
        'Unavailable',
        'no majority of the managers confirms that what this one knows is current; nothing was written, try again',
        { cause: error },
      )
    }
  }

  #observe(
    result: Parameters<NonNullable<ProposalObserver['proposed']>>[0],
    startMs: number,
  ): void {
    this.#observer.proposed?.(result, (this.#nowMs() - startMs) / 1000)
  }
}

/** Where a member can be reached, undefined when it is none. */
export function addressOf(node: RaftNode, id: number): string | undefined {
  return node.status().members.find(member => member.id === id)?.address
}
