import type { Clock } from '../../runtime/clock.ts'
import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { StreamFrame } from '../../proto/index.ts'

/** How long an agent has to open the stream it was asked for. */
export const RENDEZVOUS_LIMIT_MS = 10_000
/** Streams asked for and not open yet, at most. */
export const RENDEZVOUS_MAX = 1_000

interface Waiting {
  readonly nodeId: string
  resolve(stream: Duplex<StreamFrame, StreamFrame>): void
  fail(error: StatusError): void
}

/** Where the streams that agents open meet those who asked for them, by id. */
export class Rendezvous {
  readonly #clock: Clock
  readonly #waiting = new Map<string, Waiting>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * The stream `id` from the node, once it is open.
   * @throws StatusError DeadlineExceeded, ResourceExhausted (too many wait), AlreadyExists, Unavailable (node lost)
   */
  expect(nodeId: string, id: string): Promise<Duplex<StreamFrame, StreamFrame>> {
    if (this.#waiting.size >= RENDEZVOUS_MAX)
      return Promise.reject(
        new StatusError('ResourceExhausted', `${RENDEZVOUS_MAX} streams wait for agents already`),
      )
    if (this.#waiting.has(id))
      return Promise.reject(new StatusError('AlreadyExists', `stream ${id} is waited for already`))
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(RENDEZVOUS_LIMIT_MS, () =>
        settle(() =>
          reject(
            new StatusError(
              'DeadlineExceeded',
              `node ${nodeId} did not open the stream within ${RENDEZVOUS_LIMIT_MS / 1_000} s`,
            ),
          ),
        ),
      )
      const settle = (then: () => void): void => {
        cancel()
        this.#waiting.delete(id)
        then()
      }
      this.#waiting.set(id, {
        nodeId,
        resolve: stream => settle(() => resolve(stream)),
        fail: error => settle(() => reject(error)),
      })
    })
  }

  /** Hands an agent's stream to who waits for it; one nobody waits for is ended. */
  attach(
    peer: { readonly nodeId: string },
    first: StreamFrame,
    stream: Duplex<StreamFrame, StreamFrame>,
  ): void {
    const waiting = this.#waiting.get(first.streamId)
    if (!waiting || waiting.nodeId !== peer.nodeId) {
      stream.end(new StatusError('NotFound', `nobody waits for stream ${first.streamId}`))
      return
    }
    waiting.resolve(takeOver(first, stream))
  }

  /** Fails what waits for a node that is gone, or everything. */
  fail(error: StatusError, nodeId?: string): void {
    for (const waiting of this.#waiting.values())
      if (nodeId === undefined || waiting.nodeId === nodeId) waiting.fail(error)
  }
}

/** Frames kept for who asked for the stream, until they listen. */
const KEPT_MAX = 1_000

/**
 * The stream in the hands of who asked for it. What came with the first frame, and what comes before they listen, is
 * kept for them: agents send on at once.
 */
function takeOver(
  first: StreamFrame,
  stream: Duplex<StreamFrame, StreamFrame>,
): Duplex<StreamFrame, StreamFrame> {
  const kept: StreamFrame[] = saysMore(first) ? [first] : []
  let listen: ((frame: StreamFrame) => void) | undefined
  stream.onMessage(frame => {
    if (listen) listen(frame)
    else if (kept.length < KEPT_MAX) kept.push(frame)
    else stream.end(new StatusError('ResourceExhausted', 'nobody reads the stream'))
  })
  return {
    get backlog() {
      return stream.backlog
    },
    send: frame => stream.send(frame),
    end: error => stream.end(error),
    pause: () => stream.pause?.(),
    resume: () => stream.resume?.(),
    onEnd: listener => stream.onEnd(listener),
    onMessage(listener) {
      listen = listener
      for (const frame of kept.splice(0)) listener(frame)
    },
  }
}

/** Whether the frame carries more than the stream's name. */
function saysMore(frame: StreamFrame): boolean {
  return (
    frame.data.length > 0 ||
    frame.log !== null ||
    frame.end ||
    frame.error !== '' ||
    frame.httpStatus !== 0
  )
}
