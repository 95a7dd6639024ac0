import type { LogEntry, LogsQuery, StreamFrame, StreamRequest } from '../../proto/index.ts'
import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError, codeFromGrpc, toStatusError } from '../../runtime/errors.ts'
import { withTimeout } from '../../runtime/deadline.ts'
import { newId } from '../../runtime/random.ts'
import type { LogsDeps } from './logs.ts'

const OPEN_MS = 10_000

export interface NodeStreamEvents {
  entry(entry: LogEntry): void
  /** Once, at the end. Without an error the node has sent all there is. */
  end(error: StatusError | undefined): void
  /** Instead of end(): this manager does not lead any more and can ask nobody. */
  lostLead(error: StatusError): void
}

/** One node's answer to a subscription: asked for on creation, cancelled by close(). */
export class NodeStream {
  readonly nodeId: string
  readonly taskIds: ReadonlySet<string>
  readonly #events: NodeStreamEvents
  #stream: Duplex<StreamFrame, StreamFrame> | undefined
  #closed = false
  #paused = false

  constructor(deps: LogsDeps, nodeId: string, query: LogsQuery, events: NodeStreamEvents) {
    this.nodeId = nodeId
    this.taskIds = new Set(query.taskIds)
    this.#events = events
    const id = newId(deps.random)
    const opening = open(deps, nodeId, { id, kind: 'logs', logs: query })
    // A stream that opens after we gave up is closed at once.
    opening.then(
      stream => this.#attach(stream),
      () => undefined,
    )
    withTimeout(deps.clock, OPEN_MS, 'opening the log stream', opening).catch((thrown: unknown) =>
      this.#finish(toStatusError(thrown)),
    )
  }

  pause(): void {
    this.#paused = true
    this.#stream?.pause?.()
  }

  resume(): void {
    this.#paused = false
    this.#stream?.resume?.()
  }

  /** Cancels the stream; no event comes any more. */
  close(): void {
    this.#closed = true
    this.#stream?.end(new StatusError('Cancelled', 'the reader of the logs has gone'))
  }

  #attach(stream: Duplex<StreamFrame, StreamFrame>): void {
    this.#stream = stream
    if (this.#closed) return this.close()
    if (this.#paused) this.pause()
    stream.onMessage(frame => this.#frame(frame))
    stream.onEnd(error =>
      this.#finish(error ?? new StatusError('Unavailable', 'the stream ended before its end')),
    )
  }

  #frame(frame: StreamFrame): void {
    if (this.#closed) return
    const { log } = frame
    // A node speaks only for itself, and only of what it was asked (Swarm row LG-06).
    if (log && this.taskIds.has(log.taskId)) this.#events.entry({ ...log, nodeId: this.nodeId })
    if (!frame.end) return
    const error = frame.error
      ? new StatusError(codeFromGrpc(frame.errorCode), frame.error)
      : undefined
    this.#finish(error)
  }

  #finish(error: StatusError | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream?.end()
    if (!this.#stream && error?.code === 'FailedPrecondition') this.#events.lostLead(error)
    else this.#events.end(error)
  }
}

/** Turns what openStream throws at once into a rejection. */
async function open(
  deps: LogsDeps,
  nodeId: string,
  request: StreamRequest,
): Promise<Duplex<StreamFrame, StreamFrame>> {
  return deps.openStream(nodeId, request)
}
