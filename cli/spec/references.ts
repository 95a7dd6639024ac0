import type { Config, Network, Secret } from '../../proto/index.ts'
import type { Api } from '../connection.ts'
import { find, type Named } from '../model/lookup.ts'

/** Turns the names users write into what specs carry. All throw a Failure for a name nobody has. */
export interface References {
  network(reference: string): Named
  secret(reference: string): Named
  config(reference: string): Named
}

export interface ReferenceLists {
  readonly networks: readonly Network[]
  readonly secrets: readonly Secret[]
  readonly configs: readonly Config[]
}

export function referencesIn(lists: ReferenceLists): References {
  const networks = lists.networks.map(named)
  const secrets = lists.secrets.map(named)
  const configs = lists.configs.map(named)
  return {
    network: reference => find(networks, reference, 'network'),
    secret: reference => find(secrets, reference, 'secret'),
    config: reference => find(configs, reference, 'config'),
  }
}

/** Asks for the lists that are needed only. */
export async function fetchReferences(
  api: Api,
  needs: { readonly networks: boolean; readonly secrets: boolean; readonly configs: boolean },
): Promise<References> {
  const [networks, secrets, configs] = await Promise.all([
    needs.networks ? api.control.listNetworks({}).then(answer => answer.networks) : [],
    needs.secrets ? api.control.listSecrets({}).then(answer => answer.secrets) : [],
    needs.configs ? api.control.listConfigs({}).then(answer => answer.configs) : [],
  ])
  return referencesIn({ networks, secrets, configs })
}

/** The id and name of an object whose spec carries its name. */
export function named(object: {
  readonly id: string
  readonly spec: { readonly annotations: { readonly name: string } | null } | null
}): Named {
  return { id: object.id, name: object.spec?.annotations?.name ?? '' }
}
