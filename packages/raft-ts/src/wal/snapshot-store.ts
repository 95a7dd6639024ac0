import { ByteReader, ByteWriter } from '../codec/bytes.ts'
import { crc32 } from '../codec/crc32.ts'
import { readSnapshotMeta, writeSnapshotMeta } from '../codec/entry.ts'
import { diskFailed, RaftError, WalCorruptError } from '../errors.ts'
import type { Encryption, RaftFs } from '../fs.ts'
import type { Snapshot } from '../types.ts'
import { isNoSpace } from './spares.ts'

const MAGIC = new TextEncoder().encode('raftsnp1')

/** A snapshot as bytes: meta, then the state machine's own. Also what travels in chunks. */
export function encodeSnapshot(snapshot: Snapshot): Uint8Array {
  const body = new ByteWriter(snapshot.data.length + 256)
  writeSnapshotMeta(body, snapshot.meta)
  body.raw(snapshot.data)
  return withChecksum(body.finish())
}

/** @throws RaftError `Corrupt` */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const reader = new ByteReader(checked(bytes))
  const meta = readSnapshotMeta(reader)
  return { meta, data: reader.rest() }
}

/** Keeps the newest snapshot: written to a temporary file, synced, renamed, and the directory synced. */
export class SnapshotStore {
  readonly #fs: RaftFs
  readonly #dir: string
  readonly #encryption: Encryption | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #keys: readonly string[] = []

  constructor(fs: RaftFs, dir: string, encryption?: Encryption) {
    this.#fs = fs
    this.#dir = dir
    this.#encryption = encryption
  }

  /**
   * The newest snapshot, if any. Removes what an interrupted `save` left behind.
   *
   * @throws WalCorruptError when it is damaged: an older one could lack acknowledged entries
   */
  load(): Promise<Snapshot | undefined> {
    return this.#inTurn(() => this.#load())
  }

  /** Resolves when the snapshot would survive a crash; older ones are gone then. */
  save(snapshot: Snapshot): Promise<void> {
    return this.#inTurn(() => this.#save(snapshot))
  }

  /** Names of the keys that the snapshot, and one being written, are sealed with. */
  keysInUse(): readonly string[] {
    return this.#keys
  }

  /** One is read for a follower while the next is being written: it must not lose its temporary file, nor remove ours. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #load(): Promise<Snapshot | undefined> {
    const names = await this.#fs.readdir(this.#dir)
    for (const name of names)
      if (name.endsWith('.tmp')) await this.#fs.remove(`${this.#dir}/${name}`)
    const newest = names.filter(isSnapshot).sort().at(-1)
    if (newest === undefined) return undefined
    const path = `${this.#dir}/${newest}`
    const file = await this.#fs.readFile(path)
    try {
      const sealed = checked(file)
      const key = this.#encryption?.keyOf?.(sealed)
      this.#keys = key === undefined ? [] : [key]
      return decodeSnapshot(this.#encryption === undefined ? sealed : this.#encryption.open(sealed))
    } catch (error) {
      throw new WalCorruptError(path, 0, String(error))
    }
  }

  async #save(snapshot: Snapshot): Promise<void> {
    const name = snapshotName(snapshot.meta.index)
    const temporary = `${this.#dir}/${name}.tmp`
    const plain = encodeSnapshot(snapshot)
    const sealed = this.#encryption === undefined ? plain : this.#encryption.seal(plain)
    const key = this.#encryption?.keyOf?.(sealed)
    const keys = key === undefined ? [] : [key]
    this.#keys = [...this.#keys, ...keys]
    try {
      await this.#write(temporary, withChecksum(sealed))
    } catch (error) {
      // On a full disk it would take the room that the log needs.
      await this.#fs.remove(temporary).catch(() => undefined)
      throw error
    }
    await this.#fs.rename(temporary, `${this.#dir}/${name}`)
    await this.#fs.syncDir(this.#dir)
    const older = (await this.#fs.readdir(this.#dir)).filter(n => isSnapshot(n) && n < name)
    for (const old of older) await this.#fs.remove(`${this.#dir}/${old}`)
    this.#keys = keys
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#fs.open(path, 'create')
    try {
      await file.write(bytes, 0)
      await file.sync().catch((error: unknown) => {
        // A full disk is well, and the file goes. Anything else says that the disk loses what it took.
        throw isNoSpace(error) ? error : diskFailed(path, error)
      })
    } finally {
      await file.close()
    }
  }
}

function snapshotName(index: number): string {
  return `${String(index).padStart(16, '0')}.snap`
}

function isSnapshot(name: string): boolean {
  return /^\d{16}\.snap$/.test(name)
}

function withChecksum(body: Uint8Array): Uint8Array {
  const out = new Uint8Array(MAGIC.length + 4 + body.length)
  out.set(MAGIC)
  new DataView(out.buffer).setUint32(MAGIC.length, crc32(body), true)
  out.set(body, MAGIC.length + 4)
  return out
}

function checked(bytes: Uint8Array): Uint8Array {
  const start = MAGIC.length + 4
  if (bytes.length < start || MAGIC.some((byte, i) => bytes[i] !== byte))
    throw new RaftError('Corrupt', 'not a snapshot')
  const stored = new DataView(bytes.buffer, bytes.byteOffset + MAGIC.length, 4).getUint32(0, true)
  const body = bytes.subarray(start)
  if (crc32(body) !== stored) throw new RaftError('Corrupt', 'the snapshot checksum does not match')
  return body
}
