import assert from 'node:assert'
import type { Clock } from '../../../runtime/clock.ts'
import { sleep } from '../../../runtime/clock.ts'
import { StatusError, messageOf } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Random } from '../../../runtime/random.ts'
import { applyActions } from './apply.ts'
import { batch } from './batch.ts'
import { Lanes } from './lanes.ts'
import { ChangeRing } from './ring.ts'
import { type Capture, capture, decodeSnapshot } from './snapshot.ts'
import { TableSet } from './tables.ts'
import { Transaction } from './tx.ts'
import type {
  ChangeBatch,
  Kind,
  Proposer,
  ReadTx,
  Store,
  Synchronous,
  Tx,
  UpdateOptions,
} from './types.ts'
import { View } from './view.ts'
import { decodeTransaction } from './wire.ts'

const DEFAULT_TIMEOUT_MS = 10_000
const MAX_TRIES = 20
/** Tries after which a transaction that keeps losing also waits a random moment. */
const PATIENT_TRIES = 3
const MAX_PAUSE_MS = 20

export interface StoreLimits {
  /** How many changes since() can look back on. Default 20,000. */
  readonly historyChanges?: number
}

/** What the metrics of a store are made of. */
export interface StoreObserver {
  viewed?(seconds: number): void
  updated?(result: 'ok' | 'conflict' | 'invalid' | 'error', seconds: number): void
}

export interface MemoryStoreOptions {
  readonly proposer: Proposer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits?: StoreLimits
  readonly observer?: StoreObserver
}

/** What became of a transaction in the log: `conflict` names the object because of which it was refused. */
export interface TransactionOutcome {
  readonly version: number
  readonly conflict: string | false
}

/**
 * The cluster's state in memory. Writes go out through the proposer and come back, on every member alike, as
 * applyTransaction(); nothing else changes the tables.
 */
export class MemoryStore implements Store {
  readonly #options: MemoryStoreOptions
  readonly #ring: ChangeRing
  readonly #lanes = new Lanes()
  #listeners: readonly ((batch: ChangeBatch) => void)[] = []
  #tables = new TableSet()
  #version = 0

  constructor(options: MemoryStoreOptions) {
    this.#options = options
    this.#ring = new ChangeRing(options.limits?.historyChanges ?? 20_000)
  }

  get version(): number {
    return this.#version
  }

  get watchers(): number {
    return this.#listeners.length
  }

  /** How many objects there are of each kind. */
  counts(): Readonly<Record<Kind, number>> {
    return this.#tables.counts()
  }

  view<T>(read: (tx: ReadTx) => Synchronous<T>): T {
    const { clock, observer } = this.#options
    if (observer?.viewed === undefined) return read(new View(this.#tables, this.#version))
    const startMs = clock.monotonic()
    try {
      return read(new View(this.#tables, this.#version))
    } finally {
      observer.viewed((clock.monotonic() - startMs) / 1000)
    }
  }

  async update<T>(change: (tx: Tx) => Synchronous<T>, options: UpdateOptions = {}): Promise<T> {
    const { clock } = this.#options
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const dueMs = clock.monotonic() + timeoutMs
    let tried = await this.#try(change, options, timeoutMs)
    let leave: (() => void) | undefined
    try {
      for (let tries = 1; !tried.done; tries++) {
        if (tries >= MAX_TRIES) throw tooManyConflicts(tried.conflict)
        // Whoever lost against the same object takes turns, so that each round costs one commit and not one each.
        leave ??= await this.#lanes.enter(tried.conflict)
        if (tries > PATIENT_TRIES) await sleep(clock, this.#options.random.next() * MAX_PAUSE_MS)
        const leftMs = dueMs - clock.monotonic()
        if (leftMs <= 0) throw tooLate(tried.conflict, timeoutMs)
        tried = await this.#try(change, options, leftMs)
      }
      return tried.value
    } finally {
      leave?.()
    }
  }

  batch<T>(
    items: readonly T[],
    change: (tx: Tx, item: T) => void,
    options?: UpdateOptions,
  ): Promise<number> {
    return batch(this, items, change, options)
  }

  watch(listener: (batch: ChangeBatch) => void): () => void {
    // Wrapped, so that watching twice with one function makes two watches.
    const entry = (batch: ChangeBatch): void => listener(batch)
    this.#listeners = [...this.#listeners, entry]
    return () => {
      this.#listeners = this.#listeners.filter(other => other !== entry)
    }
  }

  since(version: number): readonly ChangeBatch[] {
    return this.#ring.since(version)
  }

  /**
   * Applies one committed transaction; called in log order, on every member alike. A transaction that cannot be read
   * is refused everywhere, as a conflict, so that one bad entry does not stop the cluster.
   */
  applyTransaction(index: number, bytes: Uint8Array): TransactionOutcome {
    assert(index > this.#version, `transaction ${index} after version ${this.#version}`)
    this.#version = index
    let actions
    try {
      actions = decodeTransaction(bytes).actions
    } catch (error) {
      const cause = messageOf(error)
      this.#options.log.error('refused a malformed transaction', { index, error: cause })
      return { version: index, conflict: `malformed transaction: ${cause}` }
    }
    const applied = applyActions(this.#tables, index, actions)
    if (applied.conflict !== false) return { version: index, conflict: applied.conflict }
    if (applied.changes.length > 0) this.#publish({ version: index, changes: applied.changes })
    return { version: index, conflict: false }
  }

  /** The state now, for a snapshot: cheap, and unaffected by what is applied later. */
  captureSnapshot(): Capture {
    return capture(this.#tables, this.#version)
  }

  /**
   * Replaces everything by a snapshot that covers the log up to `index`. Watchers get a batch with `reset`.
   *
   * @throws StatusError DataLoss or FailedPrecondition when it cannot be read; the state is then unchanged
   */
  restore(snapshot: Uint8Array, index: number): void {
    this.#tables = decodeSnapshot(snapshot).tables
    this.#version = index
    this.#ring.reset(index)
    this.#notify({ version: index, changes: [], reset: true })
  }

  async #try<T>(
    change: (tx: Tx) => Synchronous<T>,
    options: UpdateOptions,
    timeoutMs: number,
    confirmed = options.ownUse === true || this.#options.proposer.confirm === undefined,
  ): Promise<Tried<T>> {
    const { clock, proposer, observer } = this.#options
    const startMs = clock.monotonic()
    const observe = (result: 'ok' | 'conflict' | 'invalid' | 'error'): void =>
      observer?.updated?.(result, (clock.monotonic() - startMs) / 1000)
    // A refusal, or a change that has nothing to write, says what the state is: it must not come from a deposed leader's.
    const again = async (): Promise<Tried<T>> => {
      await proposer.confirm?.(timeoutMs)
      return this.#try(change, options, timeoutMs - (clock.monotonic() - startMs), true)
    }
    const tx = new Transaction(this.#tables, this.#version, clock.now())
    let value: T
    try {
      value = change(tx)
      assert(!isThenable(value), 'a transaction must be synchronous')
    } catch (error) {
      if (!confirmed) return again()
      observe('invalid')
      throw error
    }
    const actions = tx.actions()
    if (actions.length === 0) return confirmed ? { done: true, value } : again()
    try {
      const { conflict } = await proposer.propose(actions, {
        author: options.author ?? '',
        timeoutMs,
      })
      observe(conflict === false ? 'ok' : 'conflict')
      return conflict === false ? { done: true, value } : { done: false, conflict }
    } catch (error) {
      observe('error')
      throw error
    }
  }

  #publish(batch: ChangeBatch): void {
    this.#ring.push(batch)
    this.#notify(batch)
  }

  #notify(batch: ChangeBatch): void {
    for (const listener of this.#listeners) {
      try {
        listener(batch)
      } catch (error) {
        // One faulty watcher must not keep the others, or the log, from going on.
        this.#options.log.error('a store watcher failed', {
          version: batch.version,
          error: messageOf(error),
        })
      }
    }
  }
}

type Tried<T> =
  | { readonly done: true; readonly value: T }
  | { readonly done: false; readonly conflict: string }

function tooManyConflicts(conflict: string): StatusError {
  return new StatusError(
    'Aborted',
    `${conflict} was changed by others ${MAX_TRIES} times meanwhile; try again`,
  )
}

function tooLate(conflict: string, timeoutMs: number): StatusError {
  return new StatusError(
    'DeadlineExceeded',
    `${conflict} kept being changed by others for ${timeoutMs} ms; nothing was written, try again`,
  )
}

function isThenable(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  )
}
