import { make } from '../../proto/codec.ts'
import { v1, type Secret, type SecretSpec } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/random.ts'
import { equal } from '../../services/spec/equal.ts'
import { validateSecret } from '../../services/spec/validate.ts'
import type { ControlDeps } from './deps.ts'
import { redactSecret } from './redact.ts'
import { checkSequence, committed, requireSpec } from './sequence.ts'
import { inContainer, refuseWhileUsed, usersOf } from './usage.ts'

/** Secrets never change but for their labels, and their data never leaves again (Swarm rows SC-01 … SC-05). */
export async function createSecret(
  deps: ControlDeps,
  request: { readonly spec: SecretSpec | null },
  author: string,
): Promise<{ secret: Secret }> {
  const spec = requireSpec(request.spec, 'secret create')
  validateSecret(spec)
  if (spec.driver?.name) {
    throw new StatusError(
      'Unimplemented',
      `secret ${spec.annotations?.name ?? ''}: this version reads no secrets from drivers (${spec.driver.name}); give the data`,
    )
  }
  const id = newId(deps.random)
  await deps.store.update(tx => tx.create('secret', { ...make(v1.Secret, { id }), spec }), {
    author,
  })
  return answer(deps, id)
}

export async function getSecret(
  deps: ControlDeps,
  request: { readonly id: string },
): Promise<{ secret: Secret }> {
  return { secret: redactSecret(deps.store.view(tx => tx.resolve('secret', request.id))) }
}

export async function listSecrets(deps: ControlDeps): Promise<{ secrets: Secret[] }> {
  return { secrets: deps.store.view(tx => tx.list('secret')).map(redactSecret) }
}

/** @throws StatusError InvalidArgument when anything but labels would change */
export async function updateSecret(
  deps: ControlDeps,
  request: { readonly id: string; readonly specVersion: number; readonly spec: SecretSpec | null },
  author: string,
): Promise<{ secret: Secret }> {
  const asked = requireSpec(request.spec, `secret ${request.id}`)
  const id = await deps.store.update(
    tx => {
      const secret = tx.resolve('secret', request.id)
      checkSequence('secret', secret, request.specVersion)
      const before = secret.spec
      const labels = asked.annotations?.labels ?? {}
      const name = before?.annotations?.name ?? ''
      const data = asked.data.length > 0 ? asked.data : (before?.data ?? asked.data)
      const spec = { ...asked, data }
      if (!equal(spec, before && { ...before, annotations: { name, labels } })) {
        throw new StatusError(
          'InvalidArgument',
          `secret ${name || secret.id}: only updates to labels are allowed; create another secret and change the services to it`,
        )
      }
      validateSecret(spec)
      tx.update('secret', { ...secret, spec }, { spec: true })
      return secret.id
    },
    { author },
  )
  return answer(deps, id)
}

/** @throws StatusError FailedPrecondition while a service or a live task uses it */
export async function removeSecret(
  deps: ControlDeps,
  request: { readonly id: string },
  author: string,
): Promise<object> {
  await deps.store.update(
    tx => {
      const { id, spec } = tx.resolve('secret', request.id)
      const uses = inContainer(({ secrets }) => secrets.some(({ secretId }) => secretId === id))
      refuseWhileUsed(`secret ${spec?.annotations?.name ?? id}`, usersOf(tx, uses))
      tx.delete('secret', id)
    },
    { author },
  )
  return {}
}

function answer(deps: ControlDeps, id: string): { secret: Secret } {
  const secret = deps.store.view(tx => tx.get('secret', id))
  return { secret: redactSecret(committed(secret, `secret ${id}`)) }
}
