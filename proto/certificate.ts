// What a node certificate says, agreed between the manager that issues it and everyone who reads it:
// CN = node id, OU = role, O = cluster id. Addresses are only hints and never decide.
import type { X509Certificate } from 'node:crypto'

export type CertifiedRole = 'manager' | 'worker'

/** Organisational unit, and one of the DNS names, of a node certificate. */
export const ROLE_UNIT = { manager: 'skein-manager', worker: 'skein-worker' } as const

/** The TLS server name every client asks for: only managers serve. */
export const MANAGER_NAME = ROLE_UNIT.manager

export interface CertificateIdentity {
  readonly nodeId: string
  readonly role: CertifiedRole
  readonly clusterId: string
  readonly notBeforeMs: number
  readonly expiresAtMs: number
}

/** The identity in a certificate's subject, unverified; undefined when it is not shaped like a node's. */
export function identityOf(certificate: X509Certificate): CertificateIdentity | undefined {
  const subject = certificate.toLegacyObject().subject as unknown as Record<string, unknown> | null
  const nodeId = subject?.['CN']
  const clusterId = subject?.['O']
  const role = roleOfUnit(subject?.['OU'])
  if (typeof nodeId !== 'string' || typeof clusterId !== 'string' || !role) return undefined
  return {
    nodeId,
    role,
    clusterId,
    notBeforeMs: Date.parse(certificate.validFrom),
    expiresAtMs: Date.parse(certificate.validTo),
  }
}

function roleOfUnit(unit: unknown): CertifiedRole | undefined {
  if (unit === ROLE_UNIT.manager) return 'manager'
  if (unit === ROLE_UNIT.worker) return 'worker'
  return undefined
}

export type CertificateVerdict =
  | { readonly ok: true; readonly identity: CertificateIdentity }
  | { readonly ok: false; readonly reason: string }

/**
 * Whether one of `roots` signed `certificate` for a node of `clusterId`, and it is valid at `nowMs`.
 * `clusterId` undefined accepts whatever cluster the root is of.
 */
export function verifyNodeCertificate(
  certificate: X509Certificate,
  roots: readonly X509Certificate[],
  clusterId: string | undefined,
  nowMs: number,
): CertificateVerdict {
  const signed = roots.some(
    root => certificate.checkIssued(root) && certificate.verify(root.publicKey),
  )
  if (!signed) return { ok: false, reason: 'its certificate was not issued by this cluster' }
  const identity = identityOf(certificate)
  if (!identity || certificate.ca) {
    return { ok: false, reason: 'its certificate is not a node certificate' }
  }
  if (clusterId !== undefined && identity.clusterId !== clusterId) {
    return { ok: false, reason: `its certificate is of cluster ${identity.clusterId}` }
  }
  if (nowMs < identity.notBeforeMs) {
    return { ok: false, reason: `its certificate is not valid before ${certificate.validFrom}` }
  }
  if (nowMs >= identity.expiresAtMs) {
    return { ok: false, reason: `its certificate expired on ${certificate.validTo}` }
  }
  return { ok: true, identity }
}
