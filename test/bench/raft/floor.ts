// The floor: what the same proposers get when an entry is only appended to one file and made durable, all that wait
// together by one fdatasync; no Raft, no network.
import { nodeFs } from 'raft-ts'
import { type Driven, drive } from './drive.ts'
import { VALUE_BYTES } from './kv.ts'

export async function driveFloor(
  path: string,
  proposers: number,
  seconds: number,
): Promise<Driven> {
  const file = await nodeFs.open(path, 'create')
  const entry = Buffer.alloc(VALUE_BYTES, 7)
  let waiting: (() => void)[] = []
  let writing = false
  const write = async (): Promise<void> => {
    if (writing) return
    writing = true
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      await file.write(Buffer.concat(group.map(() => entry)))
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
