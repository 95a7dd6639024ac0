// One reader's logs: a stream per node that has tasks of it, merged in order of arrival. A slow reader slows the nodes
// down instead of filling the manager's memory; a follower is kept going through updates and lost nodes.
import { make } from '../../proto/codec.ts'
import type { PlainOf } from '../../proto/codec.ts'
import { v1, type LogEntry, type LogsQuery } from '../../proto/index.ts'
import type { Outlet } from '../../proto/service.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { LogsDeps } from './logs.ts'
import { NodeStream } from './node-stream.ts'
import { planLogs, type LogTargets } from './targets.ts'

/** Entries that make a message at most; fewer go when FLUSH_MS have passed. */
const BATCH_ENTRIES = 256
const BATCH_BYTES = 256 * 1024
const FLUSH_MS = 10
/** Messages the reader may lag behind before the nodes are told to wait. */
const HIGH_WATER = 16
/** Bytes held for a reader when a node cannot be told to wait. */
const MAX_HELD_BYTES = 16 * 1024 * 1024
/** Streams that broke are asked for again this often while following. */
const RETRY_MS = 1_000

type LogsMessage = PlainOf<(typeof v1)['LogsMessage']>
type Stamp = Pick<LogEntry, 'timeMs' | 'timeSubNs'>

export class LogSubscription {
  readonly #deps: LogsDeps
  readonly #targets: LogTargets
  readonly #query: LogsQuery
  readonly #outlet: Outlet<LogsMessage>
  readonly #relayed: (bytes: number) => void
  readonly #streams = new Set<NodeStream>()
  /** Tasks whose lines come, or have come to their end. */
  readonly #covered = new Set<string>()
  /** Tasks whose stream broke, to be asked for again. */
  readonly #broken = new Set<string>()
  /** Last line of each task, so that a stream asked for again gives none twice. */
  readonly #last = new Map<string, Stamp>()
  readonly #warned = new Set<string>()
  #held: LogEntry[] = []
  #heldBytes = 0
  #stopped = false
  #planned = false
  #paused = false
  #cancelFlush: (() => void) | undefined
  #cancelRetry: (() => void) | undefined
  #cancelWatch: (() => void) | undefined

  constructor(
    deps: LogsDeps,
    targets: LogTargets,
    query: LogsQuery | null,
    outlet: Outlet<LogsMessage>,
    relayed: (bytes: number) => void,
  ) {
    const asked = query ?? make(v1.LogsQuery, { tail: -1 })
    const neither = !asked.stdout && !asked.stderr
    this.#deps = deps
    this.#targets = targets
    this.#query = neither ? { ...asked, stdout: true, stderr: true } : asked
    this.#outlet = outlet
    this.#relayed = relayed
  }

  start(): void {
    if (this.#query.follow) {
      this.#cancelWatch = this.#deps.store.watch(batch => {
        const concerns = batch.changes.some(({ kind }) => kind === 'task' || kind === 'node')
        if (batch.reset || concerns) this.#plan()
      })
    }
    this.#plan()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelWatch?.()
    this.#cancelFlush?.()
    this.#cancelRetry?.()
    for (const stream of this.#streams) stream.close()
    this.#streams.clear()
  }

  /** Asks the nodes for what does not come yet. */
  #plan(): void {
    if (this.#stopped) return
    const { follow } = this.#query
    const { nodes, warnings } = this.#deps.store.view(tx => planLogs(tx, this.#targets, follow))
    for (const warning of warnings) this.#warn(warning)
    for (const { nodeId, taskIds } of nodes) {
      const missing = taskIds.filter(id => !this.#covered.has(id))
      const fresh = missing.filter(id => !this.#last.has(id))
      // The tail asked for is that of what there is at the start: of later tasks every line is new.
      const tail = this.#planned ? -1 : this.#query.tail
      if (fresh.length > 0) this.#ask(nodeId, { ...this.#query, tail, taskIds: fresh })
      for (const id of missing) {
        const last = this.#last.get(id)
        const since = { taskIds: [id], tail: -1, sinceMs: last?.timeMs ?? 0 }
        if (last) this.#ask(nodeId, { ...this.#query, ...since }, last)
      }
    }
    this.#planned = true
    this.#endIfDone()
  }

  /** @param after lines up to this one have been given before */
  #ask(nodeId: string, query: LogsQuery, after?: Stamp): void {
    for (const id of query.taskIds) this.#covered.add(id)
    const stream = new NodeStream(this.#deps, nodeId, query, {
      entry: entry => {
        if (!after || isLater(entry, after)) this.#entry(entry)
      },
      end: error => this.#ended(stream, error),
      lostLead: error => this.#end(error),
    })
    this.#streams.add(stream)
    if (this.#paused) stream.pause()
  }

  #entry(entry: LogEntry): void {
    if (this.#query.follow) {
      this.#last.set(entry.taskId, { timeMs: entry.timeMs, timeSubNs: entry.timeSubNs })
    }
    this.#held.push(entry)
    this.#heldBytes += entry.data.length
    if (this.#heldBytes > MAX_HELD_BYTES) {
      return this.#end(
        new StatusError(
          'ResourceExhausted',
          `the logs come faster than they are read: ${MAX_HELD_BYTES} bytes wait; ask for less with --since or --tail`,
        ),
      )
    }
    if (this.#held.length >= BATCH_ENTRIES || this.#heldBytes >= BATCH_BYTES) this.#flush()
    else this.#flushSoon()
  }

  #flushSoon(): void {
    this.#cancelFlush ??= this.#deps.clock.after(FLUSH_MS, () => {
      this.#cancelFlush = undefined
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#stopped) return
    const behind = this.#outlet.backlog >= HIGH_WATER
    if (behind !== this.#paused) {
      this.#paused = behind
      for (const stream of this.#streams) {
        if (behind) stream.pause()
        else stream.resume()
      }
    }
    if (behind) return this.#flushSoon()
    if (this.#held.length > 0) {
      this.#relayed(this.#heldBytes)
      this.#outlet.send({ entries: this.#held, warning: '' })
      this.#held = []
      this.#heldBytes = 0
    }
    this.#endIfDone()
  }

  #ended(stream: NodeStream, error: StatusError | undefined): void {
    this.#streams.delete(stream)
    if (this.#stopped) return
    if (error) {
      this.#warn(`${this.#naming(stream)}: ${error.message}; lines may be missing`)
      if (this.#query.follow) this.#askAgain(stream.taskIds)
    }
    this.#endIfDone()
  }

  #askAgain(taskIds: Iterable<string>): void {
    for (const id of taskIds) this.#broken.add(id)
    this.#cancelRetry ??= this.#deps.clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined
      for (const id of this.#broken) this.#covered.delete(id)
      this.#broken.clear()
      this.#plan()
    })
  }

  #naming(stream: NodeStream): string {
    const node = this.#deps.store.view(tx => tx.get('node', stream.nodeId))
    return `node ${node?.description?.hostname || stream.nodeId}`
  }

  #warn(warning: string): void {
    if (this.#warned.has(warning)) return
    this.#warned.add(warning)
    this.#outlet.send({ entries: [], warning })
  }

  /** Without following, the end is when every node has sent all; a follower's when nothing can come any more. */
  #endIfDone(): void {
    if (this.#streams.size > 0 || this.#cancelRetry) return
    if (this.#query.follow && this.#mayComeMore()) return
    if (this.#held.length > 0) return this.#flushSoon()
    this.#end()
  }

  #mayComeMore(): boolean {
    const { serviceIds, taskIds } = this.#targets
    return this.#deps.store.view(
      tx =>
        [...serviceIds].some(id => tx.get('service', id) || tx.tasksOfService(id).length > 0) ||
        [...taskIds].some(id => tx.get('task', id) && !this.#covered.has(id)),
    )
  }

  #end(error?: StatusError): void {
    if (this.#stopped) return
    this.stop()
    this.#outlet.end(error)
  }
}

function isLater(entry: Stamp, last: Stamp): boolean {
  if (entry.timeMs !== last.timeMs) return entry.timeMs > last.timeMs
  return entry.timeSubNs > last.timeSubNs
}
