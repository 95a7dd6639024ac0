// The floor: what the same proposers get when an entry is only appended to one file and made durable, all that wait
// together by one fdatasync; no Raft, no network.
import { nodeFs } from 'raft-ts'
import { type Driven, drive } from './drive.ts'
import { VALUE_BYTES } from './kv.ts'

/** Allocated ahead and used again and again, as a log's segments are. */
const FILE_BYTES = 16 * 1024 * 1024

export async function driveFloor(
  path: string,
  proposers: number,
  seconds: number,
): Promise<Driven> {
  const file = await nodeFs.open(path, 'create')
  const entry = Buffer.alloc(VALUE_BYTES, 7)
  await file.zero(0, FILE_BYTES)
  await file.sync()
  let at = 0
  let waiting: (() => void)[] = []
  let writing = false
  const write = async (): Promise<void> => {
    if (writing) return
    writing = true
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      const bytes = Buffer.concat(group.map(() => entry))
      if (at + bytes.length > FILE_BYTES) at = 0
      await file.write(bytes, at)
      at += bytes.length
      await file.sync()
      for (const done of group) done()
    }
    writing = false
  }
  const append = (): Promise<void> =>
    new Promise(resolve => {
      waiting.push(resolve)
      queueMicrotask(() => void write())
    })
  try {
    return await drive(proposers, seconds, append)
  } finally {
    await file.close()
    await nodeFs.remove(path)
  }
}
