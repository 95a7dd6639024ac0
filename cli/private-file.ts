import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from './failure.ts'

const OWNER_ONLY = 0o600

/** `writePrivateFile` of the Context, on the real disk. */
export async function writePrivateFile(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  const onDisk = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      throw new Failure(`cannot write ${path}: ${(error as Error).message}`, { cause: error })
    }
  }
  const file = await onDisk(open(temporary, 'wx', OWNER_ONLY))
  try {
    for await (const chunk of chunks) await onDisk(file.writeFile(chunk))
    await onDisk(file.sync())
    await file.close()
    await onDisk(rename(temporary, path))
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(temporary, { force: true })
    throw error
  }
  await onDisk(syncDirectory(dirname(path)))
}

async function syncDirectory(path: string): Promise<void> {
  const directory: FileHandle = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
