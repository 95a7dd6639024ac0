import { make } from '../proto/codec.ts'
import {
  type LogsQuery,
  type StreamFrame,
  type StreamRequest,
  type Task,
  v1,
} from '../proto/index.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { Duplex } from '../runtime/duplex.ts'
import { type StatusError, grpcCode, hasCode, messageOf, toStatusError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Executor } from './executor/types.ts'

/** Frames the transport has not taken, above which reading the engine pauses. */
const MAX_BACKLOG = 256
const PAUSE_MS = 5
/** A task that is followed before it has a container is looked for this often. */
const WAIT_FOR_CONTAINER_MS = 500

export interface LogServerDeps {
  readonly clock: Clock
  readonly log: Log
  readonly executor: Executor
  task(id: string): Task | undefined
}

/**
 * Answers one logs request on its stream: entries in the order of each task's own output, then a frame with `end`. Ends
 * when the other side does. A node holds at most a few hundred frames of it, however slow the reader.
 */
export async function serveLogs(
  request: StreamRequest,
  query: LogsQuery,
  duplex: Duplex<StreamFrame, StreamFrame>,
  deps: LogServerDeps,
): Promise<void> {
  const abort = new AbortController()
  duplex.onEnd(() => abort.abort())
  const send = (frame: Partial<StreamFrame>): void =>
    duplex.send({ ...make(v1.StreamFrame, { streamId: request.id }), ...frame })
  send({})
  try {
    await Promise.all(
      query.taskIds.map(id => pump(id, query, { duplex, deps, send, signal: abort.signal })),
    )
    send({ end: true })
  } catch (thrown) {
    if (abort.signal.aborted) return
    const error: StatusError = toStatusError(thrown)
    deps.log.warn('logs cannot be read', { stream: request.id, error: messageOf(error) })
    send({ end: true, error: error.message, errorCode: grpcCode(error.code) })
  } finally {
    abort.abort()
    duplex.end()
  }
}

interface Pump {
  readonly duplex: Duplex<StreamFrame, StreamFrame>
  readonly deps: LogServerDeps
  readonly signal: AbortSignal
  readonly send: (frame: Partial<StreamFrame>) => void
}

async function pump(
  taskId: string,
  query: LogsQuery,
  { duplex, deps, signal, send }: Pump,
): Promise<void> {
  const { clock, executor } = deps
  while (!signal.aborted) {
    const task = deps.task(taskId)
    if (!task) return
    try {
      for await (const log of executor.logs(task, query, signal)) {
        while (duplex.backlog > MAX_BACKLOG && !signal.aborted) await sleep(clock, PAUSE_MS, signal)
        if (signal.aborted) return
        send({ log })
      }
      return
    } catch (error) {
      if (signal.aborted) return
      // A task without a container has no output; a follower waits for its first line.
      if (!hasCode(error, 'NotFound')) throw error
      if (!query.follow) return
      await sleep(clock, WAIT_FOR_CONTAINER_MS, signal).catch(() => undefined)
    }
  }
}
