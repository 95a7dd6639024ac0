import type { Service } from '../../proto/index.ts'
import { hasCode } from '../../runtime/errors.ts'
import type { Api } from '../connection.ts'
import { Failure } from '../failure.ts'
import {
  type ClusterState,
  type Plan,
  type ServicePlan,
  idsOf,
  nameOf,
  resolveSpec,
  unusedPayloads,
} from './plan.ts'

export async function fetchState(api: Api): Promise<ClusterState> {
  const [{ services }, { networks }, { secrets }, { configs }] = await Promise.all([
    api.control.listServices({}),
    api.control.listNetworks({}),
    api.control.listSecrets({}),
    api.control.listConfigs({}),
  ])
  return { services, networks, secrets, configs }
}

/**
 * Carries a plan out, in Swarm's order (row ST-03).
 *
 * @param say told each step as it is taken
 * @returns the services that changed, to wait for
 */
export async function applyPlan(
  api: Api,
  plan: Plan,
  prunes: boolean,
  say: (text: string) => void,
): Promise<readonly Service[]> {
  if (prunes) {
    for (const service of plan.leftOver) {
      say(`Removing service ${nameOf(service)}`)
      await api.control.removeService({ id: service.id })
    }
  }
  const networks = []
  for (const network of plan.networks) {
    if (network.spec === undefined) networks.push(network)
    else {
      say(`Creating network ${network.name}`)
      const created = await api.control.createNetwork({ spec: network.spec })
      networks.push({ ...network, id: created.network?.id ?? '' })
    }
  }
  const secrets = []
  for (const secret of plan.secrets) {
    if (secret.spec === undefined) secrets.push(secret)
    else {
      say(`Creating secret ${secret.name}`)
      const created = await api.control.createSecret({ spec: secret.spec })
      secrets.push({ ...secret, id: created.secret?.id ?? '' })
    }
  }
  const configs = []
  for (const config of plan.configs) {
    if (config.spec === undefined) configs.push(config)
    else {
      say(`Creating config ${config.name}`)
      const created = await api.control.createConfig({ spec: config.spec })
      configs.push({ ...config, id: created.config?.id ?? '' })
    }
  }
  const ids = idsOf({ networks, secrets, configs })
  const changed: Service[] = []
  for (const service of plan.services) {
    if (service.kind === 'keep') continue
    say(`${service.kind === 'create' ? 'Creating' : 'Updating'} service ${service.name}`)
    const spec = resolveSpec(service.init, ids, service.existing)
    changed.push(await writeService(api, service, spec))
  }
  return changed
}

async function writeService(
  api: Api,
  plan: ServicePlan,
  spec: ReturnType<typeof resolveSpec>,
): Promise<Service> {
  const { existing } = plan
  const service =
    existing === undefined
      ? (await api.control.createService({ spec })).service
      : (
          await api.control.updateService({
            id: existing.id,
            specVersion: existing.meta?.specVersion ?? 0,
            spec,
          })
        ).service
  if (service === null) throw new Failure('the manager answered without a service')
  return service
}

/** Removes secrets and configs of the stack that no service refers to any more. What is still in use stays. */
export async function removeUnused(
  api: Api,
  stack: string,
  say: (text: string) => void,
): Promise<void> {
  const state = await fetchState(api)
  for (const secret of unusedPayloads(state.secrets, stack, state.services)) {
    await ignoringUse(
      () => api.control.removeSecret({ id: secret.id }),
      () => say(`Removed secret ${nameOf(secret)}, no longer used`),
    )
  }
  for (const config of unusedPayloads(state.configs, stack, state.services)) {
    await ignoringUse(
      () => api.control.removeConfig({ id: config.id }),
      () => say(`Removed config ${nameOf(config)}, no longer used`),
    )
  }
}

/** A manager knows better what is in use; it will be tried again at the next deploy. */
async function ignoringUse(remove: () => Promise<unknown>, done: () => void): Promise<void> {
  try {
    await remove()
    done()
  } catch (error) {
    if (!hasCode(error, 'FailedPrecondition', 'NotFound', 'InvalidArgument')) throw error
  }
}
