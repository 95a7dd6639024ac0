// Encryption at rest of the log and of snapshots: AES-256-GCM, a record at a time.
// Layout: version (1) · key id (4) · nonce (12) · ciphertext · tag (16).
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import type { Encryption } from 'raft-ts'
import { StatusError } from '../../../runtime/errors.ts'
import type { Random } from '../../../runtime/random.ts'

const VERSION = 1
const KEY_BYTES = 32
const KEY_ID_BYTES = 4
const PREFIX_BYTES = 8
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES

/** The data keys of a member: what is written is sealed with `current`; `former` ones only open what they sealed. */
export interface DataKeys {
  /** 32 bytes, as every former one. */
  readonly current: Uint8Array
  readonly former: readonly Uint8Array[]
}

export interface Sealer extends Encryption {
  /** The id of the key that sealed this, see keyIdOf(). */
  keyOf(sealed: Uint8Array): string
  /** From now on these keys. What was sealed with a key that is not among them cannot be opened any more. */
  use(keys: DataKeys): void
}

/**
 * Seals with one key; opens what was sealed with it or with a former one, so that a key can be replaced while records
 * under it remain.
 *
 * @param key 32 bytes, as every old key
 * @param random must be the operating system's: a nonce that comes twice under one key breaks GCM
 * @throws StatusError InvalidArgument on a key of another length
 */
export function aesSealer(
  key: Uint8Array,
  random: Random,
  oldKeys: readonly Uint8Array[] = [],
): Sealer {
  const nextNonce = nonces(random)
  let keys = keyTable({ current: key, former: oldKeys })
  return {
    use(next) {
      keys = keyTable(next)
    },
    keyOf(sealed) {
      return Buffer.from(sealed.buffer, sealed.byteOffset).toString('hex', 1, 1 + KEY_ID_BYTES)
    },
    seal(plain) {
      const nonce = nextNonce()
      const cipher = createCipheriv('aes-256-gcm', keys.current, nonce)
      const body = [cipher.update(plain), cipher.final()]
      return Buffer.concat([Buffer.of(VERSION), keys.id, nonce, ...body, cipher.getAuthTag()])
    },
    open(sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
      if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes[0] !== VERSION)
        throw unreadable('it is not sealed')
      const sealedWith = keys.byId.get(bytes.toString('hex', 1, 1 + KEY_ID_BYTES))
      if (sealedWith === undefined) throw unreadable('it was sealed with another key')
      const cipher = createDecipheriv(
        'aes-256-gcm',
        sealedWith,
        bytes.subarray(1 + KEY_ID_BYTES, HEAD_BYTES),
      )
      cipher.setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([
          cipher.update(bytes.subarray(HEAD_BYTES, -TAG_BYTES)),
          cipher.final(),
        ])
      } catch (error) {
        throw unreadable('it was altered', error)
      }
    },
  }
}

/** A new current key; the former current one stays for what it sealed. */
export function rotated(keys: DataKeys, random: Random): DataKeys {
  return { current: random.bytes(KEY_BYTES), former: [keys.current, ...keys.former] }
}

/** Without the former keys that nothing needs any more. @param inUse ids, see keyIdOf() */
export function pruned(keys: DataKeys, inUse: ReadonlySet<string>): DataKeys {
  return { current: keys.current, former: keys.former.filter(key => inUse.has(keyIdOf(key))) }
}

/**
 * The keys as they may lie on a disk: each sealed with a key-encrypting key of 32 bytes that does not. Wrapping them anew
 * with another one is how that key is replaced; the log itself is not touched.
 */
export function wrapKeys(keys: DataKeys, kek: Uint8Array, random: Random): DataKeys {
  const sealer = aesSealer(kek, random)
  const former = keys.former.map(key => sealer.seal(key))
  return { current: sealer.seal(keys.current), former }
}

/** @throws StatusError FailedPrecondition when `kek` is not the key they were wrapped with, DataLoss when they were altered */
export function unwrapKeys(wrapped: DataKeys, kek: Uint8Array, random: Random): DataKeys {
  const sealer = aesSealer(kek, random)
  for (const key of [wrapped.current, ...wrapped.former]) {
    if (key.length === HEAD_BYTES + KEY_BYTES + TAG_BYTES && sealer.keyOf(key) !== keyIdOf(kek))
      throw new StatusError(
        'FailedPrecondition',
        "this is not the key that the manager's data keys are locked with",
      )
  }
  const former = wrapped.former.map(key => sealer.open(key))
  return { current: sealer.open(wrapped.current), former }
}

interface KeyTable {
  readonly current: Uint8Array
  readonly id: Buffer
  readonly byId: ReadonlyMap<string, Uint8Array>
}

function keyTable({ current, former }: DataKeys): KeyTable {
  const byId = new Map([...former, current].map(known => [keyIdOf(known), known]))
  return { current, id: Buffer.from(keyIdOf(current), 'hex'), byId }
}

/**
 * A random prefix, then a counter: random nonces alone would be at risk after 2^32 records under one key, which a busy
 * cluster writes within months.
 */
function nonces(random: Random): () => Buffer {
  let prefix = random.bytes(PREFIX_BYTES)
  let count = 0
  return () => {
    if (count === 2 ** 32) {
      prefix = random.bytes(PREFIX_BYTES)
      count = 0
    }
    const nonce = Buffer.alloc(NONCE_BYTES)
    nonce.set(prefix)
    nonce.writeUInt32BE(count, PREFIX_BYTES)
    count += 1
    return nonce
  }
}

/** Names a key without telling it: the beginning of a hash, hexadecimal. @throws StatusError InvalidArgument */
export function keyIdOf(key: Uint8Array): string {
  if (key.length !== KEY_BYTES) {
    throw new StatusError(
      'InvalidArgument',
      `a raft encryption key has ${KEY_BYTES} bytes, not ${key.length}`,
    )
  }
  return createHash('sha256')
    .update('skein raft key id')
    .update(key)
    .digest('hex')
    .slice(0, 2 * KEY_ID_BYTES)
}

function unreadable(why: string, cause?: unknown): StatusError {
  return new StatusError('DataLoss', `a raft record on disk cannot be read: ${why}`, { cause })
}
