import { make } from '../../proto/codec.ts'
import { v1, type Config, type ConfigSpec } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/random.ts'
import { equal } from '../../services/spec/equal.ts'
import { validateConfig } from '../../services/spec/validate.ts'
import type { ControlDeps } from './deps.ts'
import { checkSequence, committed, requireSpec } from './sequence.ts'
import { inContainer, refuseWhileUsed, usersOf } from './usage.ts'

/** Configs never change but for their labels (Swarm rows SC-02 … SC-05). */
export async function createConfig(
  deps: ControlDeps,
  request: { readonly spec: ConfigSpec | null },
  author: string,
): Promise<{ config: Config }> {
  const spec = requireSpec(request.spec, 'config create')
  validateConfig(spec)
  const id = newId(deps.random)
  await deps.store.update(tx => tx.create('config', { ...make(v1.Config, { id }), spec }), {
    author,
  })
  return answer(deps, id)
}

export async function getConfig(
  deps: ControlDeps,
  request: { readonly id: string },
): Promise<{ config: Config }> {
  return { config: deps.store.view(tx => tx.resolve('config', request.id)) }
}

export async function listConfigs(deps: ControlDeps): Promise<{ configs: readonly Config[] }> {
  return { configs: deps.store.view(tx => tx.list('config')) }
}

/** @throws StatusError InvalidArgument when anything but labels would change */
export async function updateConfig(
  deps: ControlDeps,
  request: { readonly id: string; readonly specVersion: number; readonly spec: ConfigSpec | null },
  author: string,
): Promise<{ config: Config }> {
  const asked = requireSpec(request.spec, `config ${request.id}`)
  const id = await deps.store.update(
    tx => {
      const config = tx.resolve('config', request.id)
      checkSequence('config', config, request.specVersion)
      const before = config.spec
      const labels = asked.annotations?.labels ?? {}
      const name = before?.annotations?.name ?? ''
      const data = asked.data.length > 0 ? asked.data : (before?.data ?? asked.data)
      const spec = { ...asked, data }
      if (!equal(spec, before && { ...before, annotations: { name, labels } })) {
        throw new StatusError(
          'InvalidArgument',
          `config ${name || config.id}: only updates to labels are allowed; create another config and change the services to it`,
        )
      }
      validateConfig(spec)
      tx.update('config', { ...config, spec }, { spec: true })
      return config.id
    },
    { author },
  )
  return answer(deps, id)
}

/** @throws StatusError FailedPrecondition while a service or a live task uses it */
export async function removeConfig(
  deps: ControlDeps,
  request: { readonly id: string },
  author: string,
): Promise<object> {
  await deps.store.update(
    tx => {
      const { id, spec } = tx.resolve('config', request.id)
      const uses = inContainer(({ configs }) => configs.some(({ configId }) => configId === id))
      refuseWhileUsed(`config ${spec?.annotations?.name ?? id}`, usersOf(tx, uses))
      tx.delete('config', id)
    },
    { author },
  )
  return {}
}

function answer(deps: ControlDeps, id: string): { config: Config } {
  const config = deps.store.view(tx => tx.get('config', id))
  return { config: committed(config, `config ${id}`) }
}
