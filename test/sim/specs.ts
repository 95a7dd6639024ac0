// Service specs as a capricious user would write them.
import { make } from '../../proto/codec.ts'
import type { ServiceSpec, ServiceSpecInit } from '../../proto/index.ts'
import { PublishMode, UpdateFailureAction, UpdateOrder, v1 } from '../../proto/index.ts'
import { numberToIp, parseCidr } from '../../services/net/ip.ts'
import type { World } from './cluster.ts'

const CONSTRAINTS = [
  ['node.labels.zone==a'],
  ['node.labels.zone!=a'],
  ['node.role==worker'],
  ['node.hostname!=n2', 'node.labels.zone==b'],
]
const GIB = 2 ** 30
const PORTS = [8000, 8001, 8002]

export interface KnownNetwork {
  readonly id: string
  readonly subnet: string
}

/** A new spec for a service called `name`; `revision` can be read in it. */
export function drawSpec(
  world: World,
  name: string,
  revision: number,
  networks: readonly KnownNetwork[],
  isGlobal: boolean,
): ServiceSpec {
  const replicas = world.below(6)
  const network = networks.length > 0 && world.chance(0.6) ? world.pick(networks) : undefined
  const addresses = network ? drawAddresses(world, network, isGlobal) : []
  const init: ServiceSpecInit = {
    annotations: { name },
    ...(isGlobal ? { global: {} } : { replicated: { replicas } }),
    task: {
      container: {
        image: `web:${1 + world.below(3)}`,
        env: [`REVISION=${revision}`],
        stopGraceMs: 1_000,
      },
      restart: { delayMs: world.pick([0, 200, 1_000]) },
      resources: drawResources(world),
      placement: {
        constraints: world.chance(0.35) ? world.pick(CONSTRAINTS) : [],
        preferences: world.chance(0.3) ? [{ spread: 'node.labels.zone' }] : [],
        maxReplicasPerNode: !isGlobal && world.chance(0.2) ? 1 + world.below(2) : 0,
      },
      networks: network ? [{ target: network.id, aliases: [], addresses }] : [],
    },
    update: drawUpdate(world, false, addresses.length > 0),
    rollback: drawUpdate(world, true, addresses.length > 0),
    endpoint: { ports: drawPorts(world) },
  } as ServiceSpecInit
  return make(v1.ServiceSpec, init)
}

/** The same service with another number of replicas. */
export function rescaled(spec: ServiceSpec, replicas: number, revision: number): ServiceSpec {
  const revised = withRevision(spec, revision)
  return revised.mode === 'replicated' ? { ...revised, replicated: { replicas } } : revised
}

/** What revisionOf() reads, in a label: a change of it alone replaces no task. */
function withRevision(spec: ServiceSpec, revision: number): ServiceSpec {
  const annotations = spec.annotations ?? { name: '', labels: {} }
  return {
    ...spec,
    annotations: { ...annotations, labels: { ...annotations.labels, revision: String(revision) } },
  }
}

export function revisionOf(spec: ServiceSpec | null | undefined): number {
  const label = spec?.annotations?.labels['revision']
  if (label !== undefined) return Number(label)
  const [env] = spec?.task?.container?.env ?? []
  return Number(env?.split('=')[1] ?? 0)
}

function drawResources(world: World): object {
  if (world.chance(0.4)) return {}
  const nanoCpus = world.pick([0.25, 0.5, 1, 1.5]) * 1e9
  return { reservations: { nanoCpus, memoryBytes: world.pick([0, 0.25, 1]) * GIB } }
}

/** Fixed addresses for some of the first slots, in the middle of the subnet, where services meet. */
function drawAddresses(world: World, network: KnownNetwork, isGlobal: boolean): readonly string[] {
  if (isGlobal || network.subnet === '' || !world.chance(0.4)) return []
  const { base, size } = parseCidr(network.subnet)
  const from = base + 4 + world.below(Math.min(size, 16) - 8)
  return Array.from({ length: 1 + world.below(3) }, (_, i) => numberToIp(from + i))
}

function drawUpdate(world: World, isRollback: boolean, isFixed: boolean): object {
  return {
    parallelism: world.below(3),
    delayMs: world.pick([0, 100]),
    monitorMs: world.pick([50, 500]),
    // Two tasks of a slot cannot share a fixed address.
    order: isFixed || world.chance(0.5) ? UpdateOrder.STOP_FIRST : UpdateOrder.START_FIRST,
    failureAction: world.pick([
      UpdateFailureAction.FAILURE_CONTINUE,
      UpdateFailureAction.FAILURE_PAUSE,
      isRollback ? UpdateFailureAction.FAILURE_PAUSE : UpdateFailureAction.FAILURE_ROLLBACK,
    ]),
    maxFailureRatio: world.pick([0, 0.5]),
  }
}

function drawPorts(world: World): readonly object[] {
  if (world.chance(0.6)) return []
  const mode = world.pick([PublishMode.INGRESS, PublishMode.INGRESS, PublishMode.HOST])
  return [{ target: 80, published: world.chance(0.5) ? 0 : world.pick(PORTS), mode }]
}
