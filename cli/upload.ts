import type { Duplex } from '../runtime/duplex.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import { StatusError } from '../runtime/errors.ts'

const CHUNK_BYTES = 1024 * 1024
const MAX_BACKLOG = 8
const FULL_PAUSE_MS = 5

/** One message of a file on its way; `last` ends it. The address is as in InitRequest. */
export interface UploadChunk {
  readonly data: Uint8Array
  readonly last: boolean
  readonly advertiseAddress: string
}

/**
 * Sends a file in chunks as fast as they are taken and waits for the one answer.
 *
 * @throws StatusError what the other side ended with, Unavailable when it ended without an answer
 */
export async function upload<Answer>(
  stream: Duplex<Answer, UploadChunk>,
  bytes: Uint8Array,
  target: Pick<UploadChunk, 'advertiseAddress'>,
  clock: Clock,
): Promise<Answer> {
  let ended = false
  const answer = new Promise<Answer>((resolve, reject) => {
    stream.onMessage(resolve)
    stream.onEnd(error => {
      ended = true
      reject(error ?? new StatusError('Unavailable', 'the daemon ended without an answer'))
    })
  })
  answer.catch(() => undefined)
  let at = 0
  do {
    const data = bytes.subarray(at, at + CHUNK_BYTES)
    at += CHUNK_BYTES
    stream.send({ ...target, data, last: at >= bytes.length })
    while (!ended && stream.backlog >= MAX_BACKLOG) await sleep(clock, FULL_PAUSE_MS)
  } while (!ended && at < bytes.length)
  return answer
}
