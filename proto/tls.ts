// TLS as every client of a cluster speaks it: the server must hold a manager certificate of this cluster, whatever its
// address. Certificates are read anew for each connection, so a renewal needs no new channel.
import { ChannelCredentials, type CallCredentials } from '@grpc/grpc-js'
import { createSecureContext, type PeerCertificate } from 'node:tls'
import { MANAGER_NAME, ROLE_UNIT } from './certificate.ts'

/** What a client proves itself with and trusts, at this moment. */
export interface ClientTrust {
  /** PEM of the cluster's roots: one, or two during a rotation. */
  readonly rootPems: readonly string[]
  /** Own certificate and key, PEM; without them the server sees a caller without a role. */
  readonly certificatePem?: string | undefined
  readonly keyPem?: string | undefined
  /** Organisation the server's certificate must name; not checked when absent. */
  readonly clusterId?: string | undefined
}

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>
type ConnectorArguments = Parameters<ChannelCredentials['_createSecureConnector']>

/** Credentials of a client of managers. `trust` is asked at each new connection. */
export function clientCredentials(trust: () => ClientTrust): ChannelCredentials {
  return new LiveCredentials(trust)
}

class LiveCredentials extends ChannelCredentials {
  readonly #trust: () => ClientTrust

  constructor(trust: () => ClientTrust) {
    super()
    this.#trust = trust
  }

  override _isSecure(): boolean {
    return true
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this
  }

  override _createSecureConnector(
    target: ConnectorArguments[0],
    options: ConnectorArguments[1],
    callCredentials?: CallCredentials,
  ): Connector {
    const named = { ...options, 'grpc.ssl_target_name_override': MANAGER_NAME }
    const connector = (): Connector =>
      credentialsNow(this.#trust())._createSecureConnector(target, named, callCredentials)
    const first = connector()
    return {
      connect: socket => connector().connect(socket),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy() {},
    }
  }
}

function credentialsNow(trust: ClientTrust): ChannelCredentials {
  const context = createSecureContext({
    ca: [...trust.rootPems],
    cert: trust.certificatePem,
    key: trust.keyPem,
    minVersion: 'TLSv1.3',
  })
  return ChannelCredentials.createFromSecureContext(context, {
    checkServerIdentity: (_name, certificate) => checkManager(certificate, trust.clusterId),
  })
}

function checkManager(
  certificate: PeerCertificate,
  clusterId: string | undefined,
): Error | undefined {
  const { OU: unit, O: organisation } = certificate.subject
  if (unit !== ROLE_UNIT.manager) {
    return new Error(
      `the server's certificate is of a ${String(unit ?? 'stranger')}, not of a manager`,
    )
  }
  if (clusterId !== undefined && organisation !== clusterId) {
    return new Error(
      `the server's certificate is of cluster ${String(organisation)}, not of ${clusterId}`,
    )
  }
  return undefined
}
