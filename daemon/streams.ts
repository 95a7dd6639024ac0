// Bytes over the local socket: a backup goes out, one comes in.
import type { PlainOf } from '../proto/codec.ts'
import type { v1 } from '../proto/index.ts'
import type { Outlet } from '../proto/service.ts'
import { sleep, type Clock } from '../runtime/clock.ts'
import type { Duplex } from '../runtime/duplex.ts'
import { StatusError, toStatusError } from '../runtime/errors.ts'

type RestoreChunk = PlainOf<(typeof v1)['RestoreChunk']>

/** Chunks handed to a stream that it has not taken yet. */
const MAX_BACKLOG = 8
const FULL_PAUSE_MS = 5
/** As much as a Raft snapshot may hold, and its frame. */
const MAX_UPLOAD_BYTES = 1024 * 1024 * 1024

/** Sends what `source` gives as fast as the reader takes it, and ends the stream; stops when the reader goes. */
export async function sendAll(
  source: AsyncIterable<Uint8Array>,
  outlet: Outlet<{ data: Uint8Array }>,
  clock: Clock,
): Promise<void> {
  let ended = false
  outlet.onEnd(() => {
    ended = true
  })
  try {
    for await (const data of source) {
      while (!ended && outlet.backlog >= MAX_BACKLOG) await sleep(clock, FULL_PAUSE_MS)
      if (ended) return
      outlet.send({ data })
    }
    outlet.end()
  } catch (error) {
    outlet.end(toStatusError(error))
  }
}

/** An uploaded file, once its last chunk is there. @throws StatusError Cancelled when the sender goes before, ResourceExhausted over 1 GiB */
export function receiveAll(
  stream: Duplex<RestoreChunk, unknown>,
): Promise<{ bytes: Uint8Array; first: RestoreChunk }> {
  return new Promise((resolve, reject) => {
    const chunks: RestoreChunk[] = []
    let size = 0
    let isWhole = false
    stream.onMessage(chunk => {
      if (isWhole) return
      size += chunk.data.length
      if (size > MAX_UPLOAD_BYTES) {
        reject(new StatusError('ResourceExhausted', `a backup over ${MAX_UPLOAD_BYTES} bytes`))
        return
      }
      const [first = chunk] = chunks
      chunks.push(chunk)
      isWhole = chunk.last
      if (isWhole) resolve({ bytes: Buffer.concat(chunks.map(each => each.data)), first })
    })
    stream.onEnd(error => {
      reject(error ?? new StatusError('Cancelled', 'the sender went before the end of the file'))
    })
  })
}
