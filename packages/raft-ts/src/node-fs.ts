import { mkdir, open, readdir, readFile, rename, rm, truncate } from 'node:fs/promises'
import type { RaftFile, RaftFs } from './fs.ts'

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
  truncate: (path, size) => truncate(path, size),
  async open(path, mode): Promise<RaftFile> {
    const handle = await open(path, mode === 'append' ? 'a' : 'w', 0o600)
    return {
      async write(data) {
        for (let offset = 0; offset < data.length; ) {
          const { bytesWritten } = await handle.write(data, offset, data.length - offset)
          offset += bytesWritten
        }
      },
      sync: () => handle.datasync(),
      close: () => handle.close(),
    }
  },
}
