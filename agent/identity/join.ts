// The joiner's side of trust: the root is fetched unverified and believed only when its digest is the token's. The secret
// is sent on a second connection, which verifies against that root (Swarm row SE-07).
import { createSecureContext } from 'node:tls'
import { ChannelCredentials } from '@grpc/grpc-js'
import { unary } from '../../proto/call.ts'
import { MANAGER_NAME } from '../../proto/certificate.ts'
import { clientFor } from '../../proto/grpc.ts'
import { v1, type NodeAvailability } from '../../proto/index.ts'
import { parseToken, rootDigest, type JoinToken } from '../../proto/join-token.ts'
import { clientCredentials } from '../../proto/tls.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { createKey, identityFrom, type Identity } from './identity.ts'
import { certificateRequest } from './csr.ts'

const TIMEOUT_MS = 10_000
const MAX_ROOT_LENGTH = 16 * 1024

export interface JoinOptions {
  /** host:port of managers, tried in order. */
  readonly addresses: readonly string[]
  readonly token: string
  readonly availability: NodeAvailability
  readonly log: Log
  /** Limit of each of the two calls to a manager. Default 10 s. */
  readonly timeoutMs?: number
}

/**
 * Makes a key and has it certified by the cluster of the token.
 *
 * @returns the identity, not yet saved, and the address that answered
 * @throws StatusError InvalidArgument (the token is none), PermissionDenied (wrong cluster, or the secret was refused),
 *   Unavailable (no manager answered)
 */
export async function joinCluster(
  options: JoinOptions,
): Promise<{ readonly identity: Identity; readonly address: string }> {
  const token = parseToken(options.token)
  const keyPem = await createKey()
  let failure: StatusError | undefined
  for (const address of options.addresses) {
    try {
      return { identity: await joinAt(address, token, keyPem, options), address }
    } catch (thrown) {
      if (!(thrown instanceof StatusError)) throw thrown
      options.log.warn('a manager did not let this node join', { address, error: thrown.message })
      if (!isUnreachable(thrown)) throw thrown
      failure = thrown
    }
  }
  const tried = options.addresses.join(', ') || 'no address given'
  throw new StatusError('Unavailable', `no manager answered (${tried})`, { cause: failure })
}

function isUnreachable(error: StatusError): boolean {
  return error.code === 'Unavailable' || error.code === 'DeadlineExceeded'
}

async function joinAt(
  address: string,
  token: JoinToken,
  keyPem: string,
  options: JoinOptions,
): Promise<Identity> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS
  const rootPem = await fetchRoot(address, timeoutMs)
  const digest = rootDigest(rootPem)
  if (digest !== token.digest) {
    throw new StatusError(
      'PermissionDenied',
      `the manager at ${address} is not of the cluster this token was made for (its root is ${digest}, the token says ` +
        `${token.digest}); the token's secret was not sent. Check the address, or get a new token: skein swarm join-token worker`,
    )
  }
  const client = clientFor(
    v1.CA,
    v1,
    address,
    clientCredentials(() => ({ rootPems: [rootPem] })),
  )
  try {
    const request = {
      csrPem: certificateRequest(keyPem),
      tokenSecret: token.secret,
      availability: options.availability,
    }
    const answer = await unary(client, client.issueCertificate, request, { timeoutMs })
    const rootPems = answer.rootPem.length > 0 ? answer.rootPem : [rootPem]
    return identityFrom({ keyPem, certificatePem: answer.certificatePem, rootPems })
  } finally {
    client.close()
  }
}

/** The root certificate a manager shows, over a connection that proves nothing: compare its digest before believing it. */
async function fetchRoot(address: string, timeoutMs: number): Promise<string> {
  // No roots at all, rather than Node's own two hundred, which would be parsed and kept for nothing.
  const context = createSecureContext({ ca: [] })
  const unverified = ChannelCredentials.createFromSecureContext(context, {
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  })
  const client = clientFor(v1.CA, v1, address, unverified, {
    'grpc.ssl_target_name_override': MANAGER_NAME,
    'grpc.max_receive_message_length': MAX_ROOT_LENGTH,
  })
  try {
    const answer = await unary(client, client.getRootCertificate, {}, { timeoutMs })
    return answer.certificatePem
  } finally {
    client.close()
  }
}
