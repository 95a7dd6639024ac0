// The join token, read by the joiner and made by the manager: SKNTKN-1-<digest of the root certificate>-<secret>.
// The digest proves the cluster to the joiner, the secret proves the joiner to the cluster (Swarm row SE-06).
import { X509Certificate, createHash, timingSafeEqual } from 'node:crypto'
import { StatusError } from '../runtime/errors.ts'

const PREFIX = 'SKNTKN'
const VERSION = '1'
const DIGEST_LENGTH = 50
const SECRET_LENGTH = 25
const REMEDY = 'print one on a manager with: skein swarm join-token worker'

export interface JoinToken {
  /** rootDigest() of the cluster's CA. */
  readonly digest: string
  readonly secret: string
}

/** The token as people paste it. */
export function formatToken(token: JoinToken): string {
  return [PREFIX, VERSION, token.digest, token.secret].join('-')
}

/** @throws StatusError InvalidArgument saying what the text is instead of a token. The text itself is not repeated. */
export function parseToken(text: string): JoinToken {
  const [prefix, version, digest, secret, ...rest] = text.trim().split('-')
  if (prefix === 'SWMTKN') throw refused(`a join token of Docker Swarm, not of Skein; ${REMEDY}`)
  if (prefix !== PREFIX) {
    throw refused(`not a join token (one begins with ${PREFIX}-${VERSION}-); ${REMEDY}`)
  }
  if (version !== VERSION) {
    const found =
      version && /^[0-9]{1,4}$/.test(version) ? `version ${version}` : 'no known version'
    throw refused(
      `a join token of ${found}, and this Skein reads version ${VERSION}; use the same version of Skein as the cluster`,
    )
  }
  if (!isBase36(digest, DIGEST_LENGTH) || !isBase36(secret, SECRET_LENGTH) || rest.length > 0) {
    throw refused(`damaged: part of it is missing or was changed; copy it whole, or ${REMEDY}`)
  }
  return { digest, secret }
}

function refused(what: string): StatusError {
  return new StatusError('InvalidArgument', `the join token is ${what}`)
}

function isBase36(text: string | undefined, length: number): text is string {
  return text !== undefined && text.length === length && /^[0-9a-z]+$/.test(text)
}

/**
 * SHA-256 of a certificate's DER form, in base 36, 50 characters.
 * @throws StatusError InvalidArgument when `certificatePem` is no certificate
 */
export function rootDigest(certificatePem: string): string {
  let der: Uint8Array
  try {
    der = new X509Certificate(certificatePem).raw
  } catch (cause) {
    throw new StatusError('InvalidArgument', 'the root certificate cannot be read', { cause })
  }
  const hash = createHash('sha256').update(der).digest('hex')
  return BigInt(`0x${hash}`).toString(36).padStart(DIGEST_LENGTH, '0')
}

/** Compares two secrets in a time that does not depend on where they differ. Empty never equals. */
export function sameSecret(left: string, right: string): boolean {
  if (left === '' || right === '') return false
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}
