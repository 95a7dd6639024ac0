// A PKCS #10 certificate request (RFC 2986) without a subject: the manager says who a node is. Written out here because it
// is four DER values around what node:crypto gives, and the X.509 library would stay in every agent's memory for it.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'

const SEQUENCE = 0x30
const BIT_STRING = 0x03
/** [0] IMPLICIT SET OF Attribute, empty. */
const NO_ATTRIBUTES = Buffer.of(0xa0, 0x00)
/** INTEGER 0: the only version there is. */
const VERSION = Buffer.of(0x02, 0x01, 0x00)
/** AlgorithmIdentifier of ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758). */
const ECDSA_WITH_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex')
const LINE = /.{1,64}/g

/**
 * A request, PEM, to certify the public half of a key.
 * @param keyPem ECDSA P-256, PKCS #8
 */
export function certificateRequest(keyPem: string): string {
  const key = createPrivateKey(keyPem)
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const subject = der(SEQUENCE)
  const info = der(SEQUENCE, VERSION, subject, publicKey, NO_ATTRIBUTES)
  const noUnusedBits = Buffer.of(0)
  const signature = der(BIT_STRING, noUnusedBits, sign('sha256', info, key))
  const request = der(SEQUENCE, info, ECDSA_WITH_SHA256, signature).toString('base64')
  const lines = request.match(LINE) ?? []
  return [
    '-----BEGIN CERTIFICATE REQUEST-----',
    ...lines,
    '-----END CERTIFICATE REQUEST-----',
    '',
  ].join('\n')
}

/** One DER value: tag, length in the fewest bytes, contents. */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents)
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body])
  const length = Buffer.from(
    body.length.toString(16).padStart(body.length > 0xff ? 4 : 2, '0'),
    'hex',
  )
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, body])
}
