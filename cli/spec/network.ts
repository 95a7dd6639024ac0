import { type Port, v1 } from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { Failure } from '../failure.ts'
import { parsePublish } from '../flags/port.ts'
import { type NetworkFlag, parseAddresses, parseNetwork } from '../flags/reference.ts'
import { pairs } from '../flags/values.ts'
import { endpointMode } from './endpoint-mode.ts'
import { draftOf, type SpecDraft } from './draft.ts'
import type { Flags } from './flags.ts'
import type { References } from './references.ts'

type TaskDraft = NonNullable<SpecDraft['task']>

/** Networks that are no objects of the cluster: the engine's own modes. */
const ENGINE_NETWORKS = ['host', 'none']

export function applyNetworks(task: TaskDraft, flags: Flags, references: References): void {
  for (const name of flags.removed('network')) {
    if (ENGINE_NETWORKS.includes(name)) {
      if (task.container !== null) task.container.networkMode = ''
      continue
    }
    const { id } = references.network(name)
    const kept = task.networks.filter(network => network.target !== id)
    if (kept.length === task.networks.length) {
      throw new Failure(`--network-rm: the service is not attached to network ${name}`)
    }
    task.networks = kept
  }
  for (const text of flags.added('network')) {
    const flag = parseNetwork(text)
    if (ENGINE_NETWORKS.includes(flag.target)) {
      if (task.container !== null) task.container.networkMode = flag.target
      continue
    }
    attach(task, flag, references)
  }
  for (const text of flags.list('address')) {
    const { network, addresses } = parseAddresses(text)
    const { id } = references.network(network)
    const attached = task.networks.find(entry => entry.target === id)
    if (attached === undefined) {
      task.networks.push({ target: id, aliases: [], driverOptions: {}, addresses: [...addresses] })
    } else attached.addresses = [...addresses]
  }
}

function attach(task: TaskDraft, flag: NetworkFlag, references: References): void {
  const { id } = references.network(flag.target)
  if (task.networks.some(network => network.target === id)) {
    throw new Failure(`service is already attached to network ${flag.target}`)
  }
  task.networks.push({
    target: id,
    aliases: [...flag.aliases],
    driverOptions: { ...flag.driverOptions },
    addresses: [...flag.addresses],
  })
}

export function applyEndpoint(spec: SpecDraft, flags: Flags): void {
  const endpoint = (spec.endpoint ??= draftOf(make(v1.EndpointSpec, {})))
  const mode = flags.text('endpointMode')
  if (mode !== undefined) endpoint.mode = endpointMode(mode)
  for (const text of flags.removed('publish')) {
    const gone = parsePublish(text, '--publish-rm')
    const kept = endpoint.ports.filter(port => !gone.some(other => sameTarget(port, other)))
    if (kept.length === endpoint.ports.length) {
      throw new Failure(`--publish-rm: ${text} is not published`)
    }
    endpoint.ports = kept
  }
  for (const port of flags.added('publish').flatMap(text => parsePublish(text))) {
    const isThere = endpoint.ports.some(
      other => sameTarget(port, other) && other.published === port.published,
    )
    if (!isThere) endpoint.ports.push(draftOf(port))
  }
}

/** What names a published port: the published side is not looked at (swarm row SF-34). */
function sameTarget(a: Port, b: Port): boolean {
  return a.target === b.target && a.protocol === b.protocol && a.mode === b.mode
}

/** `--opt k=v` of networks. */
export function driverOptions(texts: readonly string[]): Record<string, string> {
  return pairs('--opt', texts)
}
