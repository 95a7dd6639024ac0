// Reads one object by name, id or prefix of an id, with an error that helps when there is none.
import type { Config, Network, Node, Secret, Service } from '../../proto/index.ts'
import { hasCode } from '../../runtime/errors.ts'
import { nearest } from '../../services/compose/suggest.ts'
import type { Api } from '../connection.ts'
import { Failure } from '../failure.ts'
import { nodeName } from '../model/lookup.ts'
import { named } from '../spec/references.ts'

export function getService(api: Api, reference: string): Promise<Service> {
  return get(
    'service',
    reference,
    async () => (await api.control.getService({ id: reference })).service,
    async () => (await api.control.listServices({})).services.map(each => named(each).name),
  )
}

export function getNode(api: Api, reference: string): Promise<Node> {
  return get(
    'node',
    reference,
    async () => (await api.control.getNode({ id: reference })).node,
    async () => (await api.control.listNodes({})).nodes.map(nodeName),
  )
}

export function getNetwork(api: Api, reference: string): Promise<Network> {
  return get(
    'network',
    reference,
    async () => (await api.control.getNetwork({ id: reference })).network,
    async () => (await api.control.listNetworks({})).networks.map(each => named(each).name),
  )
}

export function getSecret(api: Api, reference: string): Promise<Secret> {
  return get(
    'secret',
    reference,
    async () => (await api.control.getSecret({ id: reference })).secret,
    async () => (await api.control.listSecrets({})).secrets.map(each => named(each).name),
  )
}

export function getConfig(api: Api, reference: string): Promise<Config> {
  return get(
    'config',
    reference,
    async () => (await api.control.getConfig({ id: reference })).config,
    async () => (await api.control.listConfigs({})).configs.map(each => named(each).name),
  )
}

async function get<T>(
  kind: string,
  reference: string,
  ask: () => Promise<T | null>,
  names: () => Promise<readonly string[]>,
): Promise<T> {
  try {
    const found = await ask()
    if (found !== null) return found
  } catch (error) {
    if (!hasCode(error, 'NotFound')) throw error
  }
  const near = nearest(reference, await names())
  throw new Failure(`no such ${kind}: ${reference}`, {
    next: [near === undefined ? `skein ${kind} ls` : `did you mean ${near}?`],
  })
}
