import { execFile } from 'node:child_process'
import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

/** Linux' statfs type of tmpfs (statfs(2)). */
const TMPFS_MAGIC = 0x01021994
const MOUNT_TIMEOUT_MS = 10_000

export interface FileOwner {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** Files that must never reach a disk, with owners and modes. */
export interface PrivateFiles {
  /** Makes `dir` and sees to it that it lies in memory; a directory that does already is left alone. */
  mount(dir: string): Promise<void>
  /** Writes the whole file, making its directory. */
  write(path: string, data: Uint8Array | string, owner: FileOwner): Promise<void>
  /** Names in a directory; empty when it does not exist. */
  list(dir: string): Promise<readonly string[]>
  /** Removes a file or a whole directory; silent when it does not exist. */
  remove(path: string): Promise<void>
}

const run = promisify(execFile)

export const systemPrivateFiles: PrivateFiles = {
  async mount(dir) {
    await fs.mkdir(dir, { recursive: true, mode: 0o700 })
    if ((await fs.statfs(dir)).type === TMPFS_MAGIC) return
    const options = 'mode=0700,nosuid,nodev,noexec'
    await run('mount', ['-t', 'tmpfs', '-o', options, 'skein', dir], { timeout: MOUNT_TIMEOUT_MS })
  },

  async write(path, data, { uid, gid, mode }) {
    await fs.mkdir(dirname(path), { recursive: true, mode: 0o700 })
    // A new file each time: one that a container has mounted is never changed under it.
    await fs.rm(path, { force: true })
    await fs.writeFile(path, data, { mode: 0o600, flag: 'wx' })
    await fs.chown(path, uid, gid)
    await fs.chmod(path, mode)
  },

  list: dir =>
    fs.readdir(dir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    }),

  remove: path => fs.rm(path, { recursive: true, force: true }),
}

/** Private files in memory, for tests and simulations. */
export class MemoryPrivateFiles implements PrivateFiles {
  readonly files = new Map<string, { readonly data: Uint8Array; readonly owner: FileOwner }>()
  readonly mounted = new Set<string>()

  async mount(dir: string): Promise<void> {
    this.mounted.add(dir)
  }

  async write(path: string, data: Uint8Array | string, owner: FileOwner): Promise<void> {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data.slice()
    this.files.set(path, { data: bytes, owner })
  }

  async list(dir: string): Promise<readonly string[]> {
    const inside = [...this.files.keys()].filter(path => path.startsWith(`${dir}/`))
    return [...new Set(inside.map(path => path.slice(dir.length + 1).split('/')[0] ?? ''))]
  }

  async remove(path: string): Promise<void> {
    for (const name of this.files.keys()) {
      if (name === path || name.startsWith(`${path}/`)) this.files.delete(name)
    }
  }
}
