// The engine's log stream (moby api/types/stdcopy): without a terminal each message is a frame of 8 bytes (stream,
// three zeros, big-endian length) and data; with one the bytes come raw.
import type { LogEntry } from '../../../proto/index.ts'
import { StatusError } from '../../../runtime/errors.ts'

const HEADER_BYTES = 8
const MAX_FRAME_BYTES = 16 * 1_048_576
/** A longer line is passed on in parts. */
const MAX_LINE_BYTES = 1_048_576
const STDERR = 2
const NEWLINE = 10
const SPACE = 32
const CARRIAGE_RETURN = 13

export interface Frame {
  readonly stderr: boolean
  readonly data: Uint8Array
}

/** The frames of a log stream; a raw stream gives its chunks as frames of standard output. */
export async function* splitFrames(
  stream: AsyncIterable<unknown>,
  tty: boolean,
): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of stream) {
    const bytes = chunk as Buffer
    if (tty) {
      yield { stderr: false, data: bytes }
      continue
    }
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    for (;;) {
      if (rest.length < HEADER_BYTES) break
      const length = rest.readUInt32BE(4)
      if (length > MAX_FRAME_BYTES) {
        throw new StatusError('DataLoss', `engine: log frame of ${length} bytes`)
      }
      if (rest.length < HEADER_BYTES + length) break
      const data = rest.subarray(HEADER_BYTES, HEADER_BYTES + length)
      yield { stderr: rest[0] === STDERR, data }
      rest = rest.subarray(HEADER_BYTES + length)
    }
  }
}

type Line = Pick<LogEntry, 'timeMs' | 'timeSubNs' | 'stderr' | 'data'>

/**
 * Lines with their times, out of frames read with `timestamps=1`. Long lines come in several frames, each with a time of
 * its own in front: they are joined, with the first one's time. Order within a stream is kept.
 */
export async function* readLines(frames: AsyncIterable<Frame>, tty: boolean): AsyncGenerator<Line> {
  const out = new LineBuilder(false)
  const err = new LineBuilder(true)
  for await (const frame of frames) {
    const builder = frame.stderr ? err : out
    yield* tty ? builder.addRaw(frame.data) : builder.addFrame(frame.data)
  }
  yield* out.flush()
  yield* err.flush()
}

class LineBuilder {
  readonly #stderr: boolean
  #parts: Uint8Array[] = []
  #bytes = 0
  #time: { timeMs: number; timeSubNs: number } | undefined

  constructor(stderr: boolean) {
    this.#stderr = stderr
  }

  /** A frame is one message of the container with its time in front; only its last byte can be a newline that ends it. */
  *addFrame(data: Uint8Array): Generator<Line> {
    const { time, rest } = takeTime(data)
    this.#time ??= time
    yield* this.#add(rest)
  }

  /** Raw bytes cut anywhere; each line begins with its time. */
  *addRaw(data: Uint8Array): Generator<Line> {
    yield* this.#add(data)
  }

  *#add(data: Uint8Array): Generator<Line> {
    let from = 0
    for (;;) {
      const at = data.indexOf(NEWLINE, from)
      if (at < 0) break
      this.#push(data.subarray(from, at))
      yield* this.flush()
      from = at + 1
    }
    this.#push(data.subarray(from))
    if (this.#bytes > MAX_LINE_BYTES) yield* this.flush()
  }

  #push(part: Uint8Array): void {
    if (part.length === 0) return
    // The frame's bytes belong to a buffer that is used again.
    this.#parts.push(part.slice())
    this.#bytes += part.length
  }

  /** What is there as a line, even an empty one when a time came for it. */
  *flush(): Generator<Line> {
    let data: Uint8Array = Buffer.concat(this.#parts)
    let time = this.#time
    this.#parts = []
    this.#bytes = 0
    this.#time = undefined
    if (!time) {
      if (data.length === 0) return
      const taken = takeTime(data)
      time = taken.time ?? { timeMs: 0, timeSubNs: 0 }
      data = taken.rest
    }
    if (data.at(-1) === CARRIAGE_RETURN) data = data.subarray(0, -1)
    yield { ...time, stderr: this.#stderr, data }
  }
}

interface Timed {
  readonly time: { timeMs: number; timeSubNs: number } | undefined
  readonly rest: Uint8Array
}

/** Takes `2026-01-02T03:04:05.123456789Z ` off the front. */
function takeTime(data: Uint8Array): Timed {
  const space = data.indexOf(SPACE)
  const end = space < 0 ? data.length : space
  if (end < 20 || end > 40) return { time: undefined, rest: data }
  const text = Buffer.from(data.subarray(0, end)).toString('latin1')
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\r?$/.exec(text)
  if (!match) return { time: undefined, rest: data }
  const fraction = (match[2] ?? '').padEnd(9, '0')
  const timeMs = Date.parse(`${match[1]}.${fraction.slice(0, 3)}${match[3]}`)
  return {
    time: { timeMs, timeSubNs: Number(fraction.slice(3)) },
    rest: data.subarray(end + 1),
  }
}
