// A node's identity on disk: key and certificate in one file, so that no crash can part them; the roots beside it.
import { X509Certificate, createPrivateKey, generateKeyPair } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { identityOf, type CertifiedRole } from '../../proto/certificate.ts'
import type { ClientTrust } from '../../proto/tls.ts'
import { StatusError, messageOf } from '../../runtime/errors.ts'
import type { Fs } from '../../runtime/fs.ts'

const NODE_FILE = 'node.pem'
const ROOT_FILE = 'root.pem'
const OWNER_ONLY = 0o600
const CERTIFICATE_PEM = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g
const KEY_PEM = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----/

export interface Identity {
  readonly nodeId: string
  readonly clusterId: string
  readonly role: CertifiedRole
  readonly keyPem: string
  readonly certificatePem: string
  /** The cluster's roots: one, or two during a rotation. */
  readonly rootPems: readonly string[]
  readonly notBeforeMs: number
  readonly expiresAtMs: number
}

/**
 * Puts a key, its certificate and the roots together.
 * @throws StatusError DataLoss when they do not belong together
 */
export function identityFrom(parts: {
  readonly keyPem: string
  readonly certificatePem: string
  readonly rootPems: readonly string[]
}): Identity {
  try {
    const certificate = new X509Certificate(parts.certificatePem)
    const subject = identityOf(certificate)
    if (!subject) throw new Error('the certificate is not a node certificate')
    if (!certificate.checkPrivateKey(createPrivateKey(parts.keyPem))) {
      throw new Error('the certificate is not of this key')
    }
    const roots = parts.rootPems.map(pem => new X509Certificate(pem))
    if (!roots.some(root => certificate.verify(root.publicKey))) {
      throw new Error('the certificate was not issued by the root beside it')
    }
    return { ...subject, ...parts }
  } catch (cause) {
    throw new StatusError('DataLoss', `the node's identity is damaged: ${messageOf(cause)}`, {
      cause,
    })
  }
}

/**
 * The identity kept in `directory`; undefined when the node has none.
 * @throws StatusError DataLoss naming the directory and the remedy when files are damaged
 */
export async function loadIdentity(fs: Fs, directory: string): Promise<Identity | undefined> {
  const node = await readText(fs, join(directory, NODE_FILE))
  if (node === undefined) return undefined
  const roots = await readText(fs, join(directory, ROOT_FILE))
  try {
    return identityFrom({
      keyPem: KEY_PEM.exec(node)?.[0] ?? '',
      certificatePem: node.match(CERTIFICATE_PEM)?.[0] ?? '',
      rootPems: roots?.match(CERTIFICATE_PEM) ?? [],
    })
  } catch (cause) {
    throw new StatusError(
      'DataLoss',
      `${messageOf(cause)} (${directory}); restore it from a backup, or leave with: skein swarm leave --force, and join again`,
      { cause },
    )
  }
}

/** Writes the identity, readable by its owner alone. The roots go first: without a node file there is no identity. */
export async function saveIdentity(fs: Fs, directory: string, identity: Identity): Promise<void> {
  const roots = `${identity.rootPems.join('\n')}\n`
  await fs.write(join(directory, ROOT_FILE), roots, OWNER_ONLY)
  const node = `${identity.keyPem}\n${identity.certificatePem}\n`
  await fs.write(join(directory, NODE_FILE), node, OWNER_ONLY)
}

/** Forgets the identity: the node is then of no cluster. */
export async function removeIdentity(fs: Fs, directory: string): Promise<void> {
  await fs.remove(join(directory, NODE_FILE))
  await fs.remove(join(directory, ROOT_FILE))
}

/** A new private key, PKCS #8 PEM, ECDSA P-256. */
export async function createKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'prime256v1' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString().trim()
}

/** What the node shows and trusts as a client. */
export function trustOf(identity: Identity): ClientTrust {
  const { rootPems, certificatePem, keyPem, clusterId } = identity
  return { rootPems, certificatePem, keyPem, clusterId }
}

async function readText(fs: Fs, path: string): Promise<string | undefined> {
  const bytes = await fs.read(path)
  return bytes && new TextDecoder().decode(bytes)
}
