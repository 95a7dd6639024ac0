import 'reflect-metadata'
import { createPrivateKey, type webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { ROLE_UNIT, type CertifiedRole } from '../../proto/certificate.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { Random } from '../../runtime/random.ts'
import { BACKDATE_MS, SIGNATURE, newSerial, type RootKeyPair } from './root.ts'

/** 90 days (Swarm row CL-15). */
export const DEFAULT_VALIDITY_MS = 90 * 24 * 3_600_000
/** The shortest validity a user may set (Swarm row CL-15). */
export const MIN_VALIDITY_MS = 3_600_000
const MAX_CSR_LENGTH = 16 * 1024

export interface IssueRequest {
  readonly csrPem: string
  readonly nodeId: string
  readonly role: CertifiedRole
  readonly clusterId: string
  readonly nowMs: number
  /** Default 90 days. */
  readonly validityMs?: number
  readonly random: Random
}

export interface IssuedCertificate {
  readonly certificatePem: string
  readonly expiresAtMs: number
}

/**
 * Certifies the key of a certificate request as a node's. The subject the request asks for is ignored: the manager alone
 * says who a node is.
 *
 * @throws StatusError InvalidArgument when the request is unreadable, not signed by its own key, or of another key type
 */
export async function issueCertificate(
  root: RootKeyPair,
  request: IssueRequest,
): Promise<IssuedCertificate> {
  const publicKey = await checkedKey(request.csrPem)
  const issuer = new x509.X509Certificate(root.certificatePem)
  const unit = ROLE_UNIT[request.role]
  const notAfterMs = Math.min(
    request.nowMs + (request.validityMs || DEFAULT_VALIDITY_MS),
    issuer.notAfter.getTime(),
  )
  // X.509 counts in seconds; rounding down keeps what we record from outliving the certificate.
  const expiresAtMs = Math.floor(notAfterMs / 1000) * 1000
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(request.random),
    subject: [{ CN: [request.nodeId] }, { OU: [unit] }, { O: [request.clusterId] }],
    issuer: issuer.subjectName,
    notBefore: new Date(request.nowMs - BACKDATE_MS),
    notAfter: new Date(expiresAtMs),
    signingAlgorithm: SIGNATURE,
    publicKey,
    signingKey: await signingKey(root.keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: request.nodeId },
        { type: 'dns', value: unit },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  return { certificatePem: certificate.toString('pem'), expiresAtMs }
}

async function checkedKey(csrPem: string): Promise<x509.PublicKey> {
  if (csrPem.length > MAX_CSR_LENGTH) {
    throw invalid(`is longer than ${MAX_CSR_LENGTH} bytes`)
  }
  let csr: x509.Pkcs10CertificateRequest
  try {
    csr = new x509.Pkcs10CertificateRequest(csrPem)
  } catch (cause) {
    throw invalid('cannot be read', cause)
  }
  const { name, namedCurve } = csr.publicKey.algorithm as { name: string; namedCurve?: string }
  if (name !== SIGNATURE.name || namedCurve !== SIGNATURE.namedCurve) {
    throw invalid(`is for a key of type ${name} ${namedCurve ?? ''}, and this takes ECDSA P-256`)
  }
  const signed = await csr.verify().catch(() => false)
  if (!signed) throw invalid('is not signed by the key it asks to certify')
  return csr.publicKey
}

function invalid(what: string, cause?: unknown): StatusError {
  return new StatusError('InvalidArgument', `the certificate request ${what}`, { cause })
}

async function signingKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' })
  return crypto.subtle.importKey('pkcs8', der, SIGNATURE, false, ['sign'])
}
