// Who calls: the client certificate, verified against the cluster's root on every call, so that a removed node or an
// expired certificate loses its rights on connections that are already open.
import { X509Certificate } from 'node:crypto'
import type { ServerUnaryCall } from '@grpc/grpc-js'
import { verifyNodeCertificate, type CertificateVerdict } from '../../proto/certificate.ts'
import type { Caller } from '../../proto/service.ts'
import { StatusError } from '../../runtime/errors.ts'

/** Metadata by which a manager passes on for whom it calls: "<node id>:<role>", and the caller's address. */
export const FORWARDED_FOR = 'skein-forwarded-for'
export const FORWARDED_ADDRESS = 'skein-forwarded-address'

const CACHE_LIMIT = 4_096

/** What all kinds of server calls have. */
export type AnyCall = Pick<
  ServerUnaryCall<unknown, unknown>,
  'metadata' | 'getPeer' | 'getAuthContext' | 'getPath'
>

export interface PeerTrust {
  /** PEM of the cluster's roots. */
  roots(): readonly string[]
  clusterId(): string
  /** Whether the node was removed from the cluster. */
  isRevoked(nodeId: string): boolean
  /** Wall time, Unix ms. */
  nowMs(): number
}

/** Identifies callers of a TLS server. @throws StatusError PermissionDenied when a caller that is no manager forwards */
export function certificateIdentifier(trust: PeerTrust): (call: AnyCall) => Caller {
  let cachedRoots: readonly string[] = []
  let roots: readonly X509Certificate[] = []
  const verdicts = new Map<string, CertificateVerdict>()

  const verdictOf = (raw: Buffer, fingerprint: string): CertificateVerdict => {
    const pems = trust.roots()
    if (pems.join() !== cachedRoots.join()) {
      cachedRoots = pems
      roots = pems.map(pem => new X509Certificate(pem))
      verdicts.clear()
    }
    let verdict = verdicts.get(fingerprint)
    if (!verdict) {
      verdict = verifyNodeCertificate(
        new X509Certificate(raw),
        roots,
        trust.clusterId(),
        trust.nowMs(),
      )
      if (verdicts.size >= CACHE_LIMIT) verdicts.clear()
      if (verdict.ok) verdicts.set(fingerprint, verdict)
    }
    return verdict
  }

  return call => {
    const address = call.getPeer()
    const certificate = call.getAuthContext().sslPeerCertificate
    if (!certificate) return { nodeId: '', role: 'none', address }
    const verdict = verdictOf(certificate.raw, certificate.fingerprint256)
    if (!verdict.ok) return { nodeId: '', role: 'none', address, doubt: verdict.reason }
    const { nodeId, role, expiresAtMs } = verdict.identity
    if (trust.isRevoked(nodeId)) {
      const doubt = `node ${nodeId} was removed from the cluster`
      return { nodeId: '', role: 'none', address, doubt }
    }
    if (trust.nowMs() >= expiresAtMs) {
      return { nodeId: '', role: 'none', address, doubt: 'its certificate has expired' }
    }
    return forwarded(call, { nodeId, role, address }, trust)
  }
}

/** Identifies callers of the local socket: its file mode was the check. */
export function localIdentifier(nodeId: () => string): (call: AnyCall) => Caller {
  return () => ({ nodeId: nodeId(), role: 'local', address: 'local' })
}

function forwarded(call: AnyCall, direct: Caller, trust: PeerTrust): Caller {
  const [header] = call.metadata.get(FORWARDED_FOR)
  if (header === undefined) return direct
  if (direct.role !== 'manager') {
    throw new StatusError(
      'PermissionDenied',
      `${direct.role} ${direct.nodeId} called for another node; only managers may pass calls on`,
    )
  }
  const [nodeId = '', role] = String(header).split(':')
  if (role !== 'manager' && role !== 'worker' && role !== 'none' && role !== 'local') {
    throw new StatusError('InvalidArgument', `${FORWARDED_FOR} names no known role`)
  }
  const address = String(call.metadata.get(FORWARDED_ADDRESS)[0] ?? direct.address)
  if (nodeId !== '' && trust.isRevoked(nodeId)) {
    const doubt = `node ${nodeId} was removed from the cluster`
    return { nodeId: '', role: 'none', address, doubt, forwardedFrom: direct.nodeId }
  }
  return { nodeId, role, address, forwardedFrom: direct.nodeId }
}
