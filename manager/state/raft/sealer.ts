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

/**
 * Seals with `key`; opens what was sealed with it or with one of `oldKeys`, so that a key can be replaced while records
 * under the former one remain.
 *
 * @param key 32 bytes, as every old key
 * @param random must be the operating system's: a nonce that comes twice under one key breaks GCM
 * @throws StatusError InvalidArgument on a key of another length
 */
export function aesSealer(
  key: Uint8Array,
  random: Random,
  oldKeys: readonly Uint8Array[] = [],
): Encryption {
  const keys = new Map([...oldKeys, key].map(known => [keyId(known), known]))
  const id = Buffer.from(keyId(key), 'hex')
  const nextNonce = nonces(random)
  return {
    seal(plain) {
      const nonce = nextNonce()
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const body = [cipher.update(plain), cipher.final()]
      return Buffer.concat([Buffer.of(VERSION), id, nonce, ...body, cipher.getAuthTag()])
    },
    open(sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
      if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes[0] !== VERSION)
        throw unreadable('it is not sealed')
      const sealedWith = keys.get(bytes.toString('hex', 1, 1 + KEY_ID_BYTES))
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

function keyId(key: Uint8Array): string {
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
