import { make } from '../../proto/codec.ts'
import { PublishMode, v1, type Network, type NetworkSpec } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/random.ts'
import { isTerminal, observedState, taskName } from '../../services/model/task.ts'
import { parseCidr } from '../../services/net/ip.ts'
import { validateNetwork } from '../../services/spec/validate.ts'
import { collision, takenByRoute, type Taken } from '../allocator/subnet.ts'
import type { ReadTx } from '../state/store/types.ts'
import type { ControlDeps } from './deps.ts'
import { requireSpec, committed } from './sequence.ts'
import { refuseWhileUsed, usersOf } from './usage.ts'

/** Names that mean something to an engine already. */
const PREDEFINED = ['bridge', 'host', 'none', 'default']
const MTU_OPTION = 'com.docker.network.driver.mtu'

/** The allocator gives it its VXLAN id and, when none was asked for, its subnet. */
export async function createNetwork(
  deps: ControlDeps,
  request: { readonly spec: NetworkSpec | null },
  author: string,
): Promise<{ network: Network }> {
  const asked = withOptions(requireSpec(request.spec, 'network create'))
  validateNetwork(asked)
  const spec = { ...asked, driver: 'overlay' }
  const name = spec.annotations?.name ?? ''
  if (PREDEFINED.includes(name.toLowerCase())) {
    throw new StatusError('InvalidArgument', `network ${name}: this name is the engine's own`)
  }
  const id = newId(deps.random)
  await deps.store.update(
    tx => {
      checkFree(tx, spec, name)
      tx.create('network', { ...make(v1.Network, { id }), spec })
    },
    { author },
  )
  return {
    network: committed(
      deps.store.view(tx => tx.get('network', id)),
      `network ${name}`,
    ),
  }
}

export async function getNetwork(
  deps: ControlDeps,
  request: { readonly id: string },
): Promise<{ network: Network }> {
  return { network: deps.store.view(tx => tx.resolve('network', request.id)) }
}

export async function listNetworks(deps: ControlDeps): Promise<{ networks: readonly Network[] }> {
  return { networks: deps.store.view(tx => tx.list('network')) }
}

/** @throws StatusError FailedPrecondition while a service or a live task is on it */
export async function removeNetwork(
  deps: ControlDeps,
  request: { readonly id: string },
  author: string,
): Promise<object> {
  await deps.store.update(
    tx => {
      const network = tx.resolve('network', request.id)
      const name = network.spec?.annotations?.name ?? network.id
      const users = usersOf(tx, spec => spec.networks.some(({ target }) => target === network.id))
      const attached = tx
        .list('task')
        .filter(task => !isTerminal(observedState(task)))
        .filter(task => task.networks.some(({ networkId }) => networkId === network.id))
        .filter(task => !users.services.includes(task.serviceName))
        .map(taskName)
      refuseWhileUsed(`network ${name}`, {
        services: network.spec?.ingress ? publishers(tx) : users.services,
        tasks: [...new Set([...users.tasks, ...attached])],
      })
      tx.delete('network', network.id)
    },
    { author },
  )
  return {}
}

/** Services that publish ports on every node. */
function publishers(tx: ReadTx): readonly string[] {
  return tx
    .list('service')
    .filter(service =>
      service.spec?.endpoint?.ports.some(({ mode }) => mode === PublishMode.INGRESS),
    )
    .map(service => service.spec?.annotations?.name ?? service.id)
}

/** Docker's driver options that say what fields of ours say; others would be promises nobody keeps. */
function withOptions(spec: NetworkSpec): NetworkSpec {
  const fail = (problem: string): never => {
    const name = spec.annotations?.name ?? ''
    throw new StatusError('InvalidArgument', `network ${name}: driverOptions: ${problem}`)
  }
  let { encrypted, mtu } = spec
  for (const [key, value] of Object.entries(spec.driverOptions)) {
    if (key === 'encrypted') {
      if (!['', 'true', 'false'].includes(value)) fail(`encrypted: "${value}" is not true or false`)
      encrypted = value !== 'false'
    } else if (key === MTU_OPTION) {
      if (!/^[0-9]{1,5}$/.test(value)) fail(`${key}: "${value}" is not a number of bytes`)
      mtu = Number(value)
    } else {
      fail(`unknown option "${key}"; known are encrypted and ${MTU_OPTION}`)
    }
  }
  if (encrypted) {
    const name = spec.annotations?.name ?? ''
    throw new StatusError(
      'Unimplemented',
      `network ${name}: encrypted networks are not supported by this version; leave out --opt encrypted, or run the service's own TLS`,
    )
  }
  return { ...spec, encrypted, mtu }
}

function checkFree(tx: ReadTx, spec: NetworkSpec, name: string): void {
  if (spec.ingress) {
    const other = tx.list('network').find(network => network.spec?.ingress)
    if (other) {
      throw new StatusError(
        'AlreadyExists',
        `network ${name}: the cluster has an ingress network already, ${other.spec?.annotations?.name ?? other.id}`,
      )
    }
  }
  const subnet = spec.ipam[0]?.subnet ?? ''
  const inTheWay = subnet === '' ? undefined : collision(subnet, takenSubnets(tx))
  if (inTheWay === undefined) return
  throw new StatusError(
    'InvalidArgument',
    `network ${name}: subnet ${subnet} overlaps with ${inTheWay}; choose another, or leave it to the cluster`,
  )
}

function takenSubnets(tx: ReadTx): readonly Taken[] {
  const networks = tx.list('network').flatMap(({ id, subnet, spec }) => {
    const text = subnet || spec?.ipam[0]?.subnet
    const what = `network ${spec?.annotations?.name ?? id} (${text})`
    return text ? [{ cidr: parseCidr(text), what }] : []
  })
  const routes = tx.list('node').flatMap(({ id, description }) => {
    const hostname = description?.hostname || id
    return (description?.hostRoutes ?? []).flatMap(route => takenByRoute(route, hostname) ?? [])
  })
  return [...networks, ...routes]
}
