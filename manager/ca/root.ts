import 'reflect-metadata'
import { type webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import type { RootCa } from '../../proto/index.ts'
import { rootDigest } from '../../proto/join-token.ts'
import type { Random } from '../../runtime/random.ts'
import { newTokenSecret } from './token.ts'

export const SIGNATURE = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const ROOT_YEARS = 20
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Certificates are valid this long before they are made, so that clocks may differ (Swarm row SE-02). */
export const BACKDATE_MS = HOUR_MS

/** A certificate authority's certificate and its private key, PEM. */
export interface RootKeyPair {
  readonly certificatePem: string
  readonly keyPem: string
}

/** A new self-signed root for `clusterId`: ECDSA P-256, 20 years (Swarm row SE-01). */
export async function createRoot(options: {
  readonly clusterId: string
  readonly nowMs: number
  readonly random: Random
}): Promise<RootKeyPair> {
  const keys = await crypto.subtle.generateKey(SIGNATURE, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(options.random),
    name: [{ CN: ['skein-ca'] }, { O: [options.clusterId] }],
    notBefore: new Date(options.nowMs - BACKDATE_MS),
    notAfter: new Date(options.nowMs + ROOT_YEARS * 365 * DAY_MS),
    signingAlgorithm: SIGNATURE,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificatePem: certificate.toString('pem'), keyPem: await privateKeyPem(keys) }
}

/** Everything a new cluster's RootCa holds: root, digest, both join secrets. */
export async function createRootCa(options: {
  readonly clusterId: string
  readonly nowMs: number
  readonly random: Random
}): Promise<RootCa> {
  const root = await createRoot(options)
  return {
    ...root,
    digest: rootDigest(root.certificatePem),
    workerSecret: newTokenSecret(options.random),
    managerSecret: newTokenSecret(options.random),
    nextCertificatePem: '',
    nextKeyPem: '',
  }
}

/** A positive serial number, hex, of 16 random bytes. */
export function newSerial(random: Random): string {
  const bytes = Buffer.from(random.bytes(16))
  return `01${bytes.toString('hex')}`
}

/** The private key of a pair as PKCS #8 PEM. */
export async function privateKeyPem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  return x509.PemConverter.encode(
    await crypto.subtle.exportKey('pkcs8', keys.privateKey),
    'PRIVATE KEY',
  )
}
