import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'

/** Files as small components need them: whole files, written so that a crash leaves the old or the new one. */
export interface Fs {
  /** undefined when the file does not exist. */
  read(path: string): Promise<Uint8Array | undefined>
  /** Writes a temporary file, fsyncs it, renames it over `path`, fsyncs the directory. Makes missing directories. */
  write(path: string, data: Uint8Array | string, mode?: number): Promise<void>
  /** Names in a directory; empty when it does not exist. */
  list(path: string): Promise<readonly string[]>
  /** Removes a file or a whole directory; silent when it does not exist. */
  remove(path: string): Promise<void>
}

export const systemFs: Fs = {
  read: path => fs.readFile(path).catch(ignore('ENOENT')),

  async write(path, data, mode = 0o600) {
    await fs.mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const temporary = `${path}.tmp`
    const file = await fs.open(temporary, 'w', mode)
    try {
      await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
    await fs.rename(temporary, path)
    const directory = await fs.open(dirname(path), 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },

  list: async path => (await fs.readdir(path).catch(ignore('ENOENT'))) ?? [],

  remove: path => fs.rm(path, { recursive: true, force: true }),
}

function ignore(code: string): (error: NodeJS.ErrnoException) => undefined {
  return error => {
    if (error.code !== code) throw error
    return undefined
  }
}

/** Files in memory. A write is durable at once, as systemFs' is when it resolves. */
export class MemoryFs implements Fs {
  readonly files = new Map<string, Uint8Array>()

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.files.get(path)
  }

  async write(path: string, data: Uint8Array | string): Promise<void> {
    this.files.set(path, typeof data === 'string' ? new TextEncoder().encode(data) : data.slice())
  }

  async list(path: string): Promise<readonly string[]> {
    const prefix = path.endsWith('/') ? path : `${path}/`
    const names = [...this.files.keys()].filter(name => name.startsWith(prefix))
    return [...new Set(names.map(name => name.slice(prefix.length).split('/')[0] ?? ''))]
  }

  async remove(path: string): Promise<void> {
    for (const name of this.files.keys()) {
      if (name === path || name.startsWith(`${path}/`)) this.files.delete(name)
    }
  }
}
