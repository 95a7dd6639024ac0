// Secrets and configs cannot change, so a new content is a new object with a name of its own, and services are moved to
// it. What Swarm users do by hand with version suffixes.
import { createHash } from 'node:crypto'
import type { ConfigSpecInit, SecretSpecInit } from '../../proto/index.ts'
import type { Declared } from '../../services/compose/stack.ts'
import { Failure } from '../failure.ts'

/** Name in the stack, without a hash. */
export const SOURCE_LABEL = 'skein.stack.source'
/** Short hash of the content, by which a change is seen: the content of a secret is never told. */
export const DIGEST_LABEL = 'skein.stack.digest'
const DIGEST_LENGTH = 8

/** A secret or config the cluster has. */
export interface Stored {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Undefined for secrets. */
  readonly data?: Uint8Array
}

type PayloadInit = SecretSpecInit | ConfigSpecInit

export interface PayloadPlan<S extends PayloadInit> {
  readonly kind: 'keep' | 'create' | 'replace'
  /** Name in the stack, what services refer to. */
  readonly source: string
  /** Name in the cluster, the source or with a hash behind it. */
  readonly name: string
  /** Id of what is kept. */
  readonly id: string
  /** What is to be created. */
  readonly spec: S | undefined
}

/** The first characters of the content's SHA-256. */
export function digestOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex').slice(0, DIGEST_LENGTH)
}

/**
 * What to do so that the cluster has the declared content under some name.
 * @throws Failure when something declared external is not there
 */
export function planPayload<S extends PayloadInit>(
  kind: 'secret' | 'config',
  declared: Declared<S>,
  stored: readonly Stored[],
): PayloadPlan<S> {
  const source = declared.name
  if (declared.external) {
    const found = stored.find(object => object.name === source)
    if (found === undefined) {
      throw new Failure(`${kind} "${source}" is declared as external, but could not be found`, {
        next: [`skein ${kind} create ${source} FILE`],
      })
    }
    return { kind: 'keep', source, name: found.name, id: found.id, spec: undefined }
  }
  const data = declared.spec.data ?? new Uint8Array()
  const digest = digestOf(data)
  const versions = stored.filter(
    object => object.name === source || object.labels[SOURCE_LABEL] === source,
  )
  const same = versions.find(object => isSame(object, data, digest))
  if (same !== undefined) {
    return { kind: 'keep', source, name: same.name, id: same.id, spec: undefined }
  }
  const isFirst = versions.length === 0
  const name = isFirst ? source : `${source}-${digest}`
  const labels = {
    ...declared.spec.annotations?.labels,
    [SOURCE_LABEL]: source,
    [DIGEST_LABEL]: digest,
  }
  const spec = { ...declared.spec, annotations: { name, labels } }
  return { kind: isFirst ? 'create' : 'replace', source, name, id: '', spec }
}

function isSame(object: Stored, data: Uint8Array, digest: string): boolean {
  const known = object.labels[DIGEST_LABEL]
  if (known !== undefined) return known === digest
  return (
    object.data !== undefined && digestOf(object.data) === digest && equalBytes(object.data, data)
  )
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
