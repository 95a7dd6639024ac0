// What a restarted daemon needs to adopt its containers and to serve names before it has reached a manager: its tasks
// and its network tables. Secrets and configs are never written to disk (Swarm row DP-12).
import { codec, make } from '../proto/codec.ts'
import { type NetworkTable, type NodePeer, type Task, v1 } from '../proto/index.ts'
import { messageOf } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import type { Log } from '../runtime/log.ts'

const MAGIC = 0x534b4e31 // "SKN1"
const HEADER_BYTES = 8

const tasks = codec(v1.Task)
const assignments = codec(v1.Assignments)

export interface StoredNetworks {
  readonly networks: readonly NetworkTable[]
  readonly peers: readonly NodePeer[]
}

/** The agent's assignments on disk: one file a task, one for all networks. Each file is a magic, a CRC-32, a message. */
export class Storage {
  readonly #fs: Fs
  readonly #log: Log
  readonly #dir: string

  constructor(deps: { readonly fs: Fs; readonly log: Log; readonly dir: string }) {
    this.#fs = deps.fs
    this.#log = deps.log
    this.#dir = deps.dir
  }

  /** Every task whose file is whole. A file that is not is logged and left for the next write to replace. */
  async loadTasks(): Promise<readonly Task[]> {
    const names = await this.#fs.list(`${this.#dir}/tasks`)
    const loaded: Task[] = []
    for (const name of names) {
      if (name.endsWith('.tmp')) continue
      const task = await this.#load(`${this.#dir}/tasks/${name}`, bytes => tasks.decode(bytes))
      if (task && task.id === name) loaded.push(task)
      else if (task)
        this.#log.error('task file has the wrong name, skipped', { file: name, task: task.id })
    }
    return loaded
  }

  async saveTask(task: Task): Promise<void> {
    await this.#fs.write(this.#taskPath(task.id), seal(tasks.encode(task)))
  }

  async removeTask(id: string): Promise<void> {
    await this.#fs.remove(this.#taskPath(id))
  }

  async loadNetworks(): Promise<StoredNetworks> {
    const stored = await this.#load(`${this.#dir}/networks`, bytes => assignments.decode(bytes))
    return stored ?? { networks: [], peers: [] }
  }

  async saveNetworks(stored: StoredNetworks): Promise<void> {
    const message = make(v1.Assignments, { complete: true })
    const bytes = assignments.encode({ ...message, ...stored })
    await this.#fs.write(`${this.#dir}/networks`, seal(bytes))
  }

  #taskPath(id: string): string {
    return `${this.#dir}/tasks/${id}`
  }

  async #load<T>(path: string, decode: (bytes: Uint8Array) => T): Promise<T | undefined> {
    try {
      const bytes = await this.#fs.read(path)
      return bytes && decode(unseal(bytes))
    } catch (error) {
      this.#log.error('state file is damaged, skipped', { file: path, error: messageOf(error) })
      return undefined
    }
  }
}

function seal(payload: Uint8Array): Uint8Array {
  const file = new Uint8Array(HEADER_BYTES + payload.length)
  const header = new DataView(file.buffer)
  header.setUint32(0, MAGIC)
  header.setUint32(4, crc32(payload))
  file.set(payload, HEADER_BYTES)
  return file
}

function unseal(file: Uint8Array): Uint8Array {
  if (file.length < HEADER_BYTES) throw new Error(`only ${file.length} bytes long`)
  const header = new DataView(file.buffer, file.byteOffset, file.byteLength)
  if (header.getUint32(0) !== MAGIC) throw new Error('unknown format')
  const payload = file.subarray(HEADER_BYTES)
  if (header.getUint32(4) !== crc32(payload)) throw new Error('checksum mismatch')
  return payload
}

/** CRC-32 (IEEE 802.3), bit by bit: these files are small and written rarely. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1))
  }
  return ~crc >>> 0
}
