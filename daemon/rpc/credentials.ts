// Server credentials: a client certificate is asked for, not demanded, because CA answers joiners that have none yet; who
// may call what is decided per call (peer.ts, authorize.ts). The certificate may be replaced while serving: open
// connections stay, new ones get the new one.
import { ServerCredentials } from '@grpc/grpc-js'
import { createSecureContext, type SecureContextOptions } from 'node:tls'

export interface ServerMaterial {
  readonly keyPem: string
  readonly certificatePem: string
  /** Roots that client certificates are checked against. */
  readonly rootPems: readonly string[]
}

export class ReplaceableCredentials extends ServerCredentials {
  constructor(material: ServerMaterial) {
    super({ requestCert: true, rejectUnauthorized: false }, contextOf(material))
  }

  /** From now on new connections get `material`. @throws Error when they do not fit; the old ones stay */
  replace(material: ServerMaterial): void {
    const context = contextOf(material)
    createSecureContext(context)
    this.updateSecureContextOptions(context)
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this
  }
}

function contextOf(material: ServerMaterial): SecureContextOptions {
  return {
    key: material.keyPem,
    cert: material.certificatePem,
    ca: [...material.rootPems],
    minVersion: 'TLSv1.3',
  }
}
