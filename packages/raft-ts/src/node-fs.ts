import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  statfs,
} from 'node:fs/promises'
import type { RaftFile, RaftFs } from './fs.ts'

const ZEROS = new Uint8Array(256 * 1024)

/** The machine's disk. The only module of the package that touches `node:fs`. */
export const nodeFs: RaftFs = {
  async mkdir(path) {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
  readdir: path => readdir(path),
  readFile: path => readFile(path),
  rename: (from, to) => rename(from, to),
  remove: path => rm(path, { force: true }),
  async syncDir(path) {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
  async open(path, mode) {
    return fileOf(await open(path, mode === 'create' ? 'w' : 'r+', 0o600))
  },
}

/** What of a file handle `fileOf` uses. */
export type Handle = Pick<FileHandle, 'write' | 'datasync' | 'close'>

/** A file on an open handle. Exported so that a handle that writes less than it is asked to can be tried. */
export function fileOf(handle: Handle): RaftFile {
  return {
    async write(data, position) {
      for (let done = 0; done < data.length; ) {
        const rest = data.length - done
        const { bytesWritten } = await handle.write(data, done, rest, position + done)
        done += bytesWritten
      }
    },
    async zero(from, to) {
      for (let at = from; at < to; ) {
        const length = Math.min(ZEROS.length, to - at)
        const { bytesWritten } = await handle.write(ZEROS, 0, length, at)
        at += bytesWritten
      }
    },
    sync: () => handle.datasync(),
    close: () => handle.close(),
  }
}
