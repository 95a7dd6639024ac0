import { v1, NodeRole } from '../../proto/index.ts'
import { unary } from '../../proto/call.ts'
import { clientFor } from '../../proto/grpc.ts'
import { clientCredentials } from '../../proto/tls.ts'
import { StatusError } from '../../runtime/errors.ts'
import { createKey, identityFrom, trustOf, type Identity } from './identity.ts'
import { certificateRequest } from './csr.ts'

/** Renewal falls between this and SPREAD more of the lifetime, so that nodes that joined together do not return together. */
const HALF_LIFE = 0.5
const SPREAD = 0.1

export type RenewalPlan =
  | { readonly kind: 'wait'; readonly dueInMs: number }
  | { readonly kind: 'renew'; readonly reason: string }
  /** Too late to renew: the certificate no longer proves the node (Swarm row SE-19). */
  | { readonly kind: 'expired'; readonly message: string }

/**
 * What to do about a certificate at `nowMs`.
 *
 * @param jitter in [0, 1), drawn once per certificate
 * @param desiredRole what the node's object says it should be; another role than the certificate's renews at once
 */
export function planRenewal(
  identity: Pick<Identity, 'notBeforeMs' | 'expiresAtMs' | 'role'>,
  nowMs: number,
  jitter: number,
  desiredRole: Identity['role'] = identity.role,
): RenewalPlan {
  if (nowMs >= identity.expiresAtMs) {
    const when = new Date(identity.expiresAtMs).toISOString()
    return {
      kind: 'expired',
      message: `the node's certificate expired on ${when}; leave with: skein swarm leave --force, and join again`,
    }
  }
  if (desiredRole !== identity.role) {
    return { kind: 'renew', reason: `the node is to be a ${desiredRole}` }
  }
  const lifetimeMs = identity.expiresAtMs - identity.notBeforeMs
  const dueMs = identity.notBeforeMs + lifetimeMs * (HALF_LIFE + SPREAD * jitter)
  if (nowMs >= dueMs) return { kind: 'renew', reason: 'half of its validity has passed' }
  return { kind: 'wait', dueInMs: Math.ceil(dueMs - nowMs) }
}

/**
 * Asks the managers, one after another, for a certificate of a new key, proving the node with the one it holds.
 * The role in the answer is what the node's object says now: this is how promotion and demotion reach the node.
 *
 * @throws StatusError as CA.IssueCertificate (the last manager's answer), or Unavailable when no address was given
 */
export async function renewIdentity(
  identity: Identity,
  addresses: readonly string[],
  timeoutMs = 10_000,
): Promise<Identity> {
  const keyPem = await createKey()
  const csrPem = certificateRequest(keyPem)
  let failure = new StatusError('Unavailable', 'no manager to renew the certificate with is known')
  for (const address of addresses) {
    const client = clientFor(
      v1.CA,
      v1,
      address,
      clientCredentials(() => trustOf(identity)),
    )
    try {
      const answer = await unary(client, client.issueCertificate, { csrPem }, { timeoutMs })
      return identityFrom({
        keyPem,
        certificatePem: answer.certificatePem,
        rootPems: answer.rootPem,
      })
    } catch (thrown) {
      if (!(thrown instanceof StatusError)) throw thrown
      failure = thrown
    } finally {
      client.close()
    }
  }
  throw failure
}

/** The certified role that a node's spec asks for. */
export function desiredRole(role: NodeRole): Identity['role'] {
  return role === NodeRole.MANAGER ? 'manager' : 'worker'
}
