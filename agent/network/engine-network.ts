import type Dockerode from 'dockerode'
import type { Clock } from '../../runtime/clock.ts'
import { withTimeout } from '../../runtime/deadline.ts'
import { StatusError, messageOf } from '../../runtime/errors.ts'
import type { NetworkPlan } from './plan.ts'

// The engine's half of an overlay: an ordinary bridge network on the agent's bridge. Its address range is the gateway alone,
// so the engine never gives out an address by itself; the managers do.

export const NETWORK_ID_LABEL = 'io.skein.network.id'
export const VNI_LABEL = 'io.skein.vni'
const BRIDGE_OPTION = 'com.docker.network.bridge.name'
const MTU_OPTION = 'com.docker.network.driver.mtu'
const CALL_TIMEOUT_MS = 30_000

/** A network of the engine, as far as the agent looks at it. */
export interface EngineNetwork {
  readonly id: string
  readonly name: string
  readonly internal: boolean
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly subnet: string
  readonly gateway: string
  readonly range: string
}

/** The engine calls that are needed. */
export interface NetworkEngine {
  list(): Promise<readonly EngineNetwork[]>
  /** Containers that run on it. */
  users(id: string): Promise<number>
  /** @returns its id */
  create(options: Dockerode.NetworkCreateOptions): Promise<string>
  remove(id: string): Promise<void>
}

/** @throws whatever dockerode throws, or StatusError DeadlineExceeded */
export function dockerNetworkEngine(docker: Dockerode, clock: Clock): NetworkEngine {
  const limited = <T>(what: string, work: Promise<T>): Promise<T> =>
    withTimeout(clock, CALL_TIMEOUT_MS, `engine: ${what}`, work)
  return {
    list: async () => (await limited('list networks', docker.listNetworks())).map(engineNetwork),
    users: async id => {
      const info = await limited('inspect network', docker.getNetwork(id).inspect())
      return Object.keys(info.Containers ?? {}).length
    },
    create: async options =>
      (await limited(`create network ${options.Name}`, docker.createNetwork(options))).id,
    remove: async id => {
      await limited('remove network', docker.getNetwork(id).remove())
    },
  }
}

function engineNetwork(info: Dockerode.NetworkInspectInfo): EngineNetwork {
  const ipam = info.IPAM?.Config?.[0]
  return {
    id: info.Id,
    name: info.Name,
    internal: info.Internal,
    options: info.Options ?? {},
    labels: info.Labels ?? {},
    subnet: ipam?.Subnet ?? '',
    gateway: ipam?.Gateway ?? '',
    range: ipam?.IPRange ?? '',
  }
}

/** The body of POST /networks/create. */
export function engineNetworkOptions(
  network: NetworkPlan,
  name: string,
): Dockerode.NetworkCreateOptions {
  return {
    Name: name,
    Driver: 'bridge',
    CheckDuplicate: true,
    Internal: network.internal,
    EnableIPv6: false,
    Options: {
      [BRIDGE_OPTION]: network.bridge,
      [MTU_OPTION]: String(network.mtu),
      'com.docker.network.bridge.enable_icc': 'true',
      'com.docker.network.bridge.enable_ip_masquerade': 'true',
      // Engines from 28 on drop what comes from other hosts otherwise; older ones ignore it. Skein's forward chain guards.
      'com.docker.network.bridge.gateway_mode_ipv4': 'nat-unprotected',
    },
    IPAM: {
      Config: [
        { Subnet: network.subnet, Gateway: network.gateway, IPRange: `${network.gateway}/32` },
      ],
    },
    Labels: { [NETWORK_ID_LABEL]: network.id, [VNI_LABEL]: String(network.vni) },
  }
}

/** In what an engine's network differs from the plan, such as `gateway 10.0.0.1 instead of 10.0.0.254`; undefined: in nothing. */
export function engineNetworkDrift(have: EngineNetwork, want: NetworkPlan): string | undefined {
  const facts: readonly (readonly [string, string, string])[] = [
    ['bridge', have.options[BRIDGE_OPTION] ?? '', want.bridge],
    ['subnet', have.subnet, want.subnet],
    ['gateway', have.gateway, want.gateway],
    ['range', have.range, `${want.gateway}/32`],
    ['MTU', have.options[MTU_OPTION] ?? '', String(want.mtu)],
    ['internal', String(have.internal), String(want.internal)],
  ]
  const wrong = facts.filter(([, is, should]) => is !== should)
  if (wrong.length === 0) return undefined
  return wrong
    .map(([what, is, should]) => `${what} ${is || 'none'} instead of ${should}`)
    .join(', ')
}

/** The network's own name if the engine has no other of that name, else one with a piece of its id. */
export function engineNetworkName(network: NetworkPlan, taken: ReadonlySet<string>): string {
  return taken.has(network.name) ? `${network.name}.${network.id.slice(0, 8)}` : network.name
}

/**
 * Removes the engine's networks of overlays that left. Containers that still run hold theirs.
 * @param present what the engine listed
 * @param wantedIds ids of the overlays this node is on
 */
export async function removeGoneEngineNetworks(
  engine: NetworkEngine,
  present: readonly EngineNetwork[],
  wantedIds: ReadonlySet<string>,
): Promise<{ readonly heldVnis: ReadonlySet<number>; readonly removed: ReadonlySet<string> }> {
  const heldVnis = new Set<number>()
  const removed = new Set<string>()
  for (const have of present) {
    const id = have.labels[NETWORK_ID_LABEL]
    if (id === undefined || wantedIds.has(id)) continue
    try {
      await engine.remove(have.id)
      removed.add(have.id)
    } catch (error) {
      // Most often containers that are still being stopped; the next pass tries again.
      if (isGone(error)) removed.add(have.id)
      else heldVnis.add(Number(have.labels[VNI_LABEL]))
    }
  }
  return { heldVnis, removed }
}

export interface EnsuredNetworks {
  /** Network id → the engine network's name. */
  readonly names: ReadonlyMap<string, string>
  readonly failures: ReadonlyMap<string, StatusError>
  /** How many were made. */
  readonly made: number
}

/**
 * Makes the engine have one network for each overlay. Needs the bridges to be there with their addresses.
 * @param present what the engine has
 */
export async function ensureEngineNetworks(
  engine: NetworkEngine,
  present: readonly EngineNetwork[],
  networks: readonly NetworkPlan[],
): Promise<EnsuredNetworks> {
  const names = new Map<string, string>()
  const failures = new Map<string, StatusError>()
  const taken = [...present]
  let made = 0
  for (const network of networks) {
    try {
      const ensured = await ensureOne(engine, network, taken)
      names.set(network.id, ensured.name)
      if (ensured.made !== undefined) taken.push(ensured.made)
      if (ensured.made !== undefined) made += 1
    } catch (error) {
      const code = error instanceof StatusError ? error.code : 'Unavailable'
      const message = `network ${network.name}: the engine did not take it: ${messageOf(error)}`
      failures.set(network.id, new StatusError(code, message, { cause: error }))
    }
  }
  return { names, failures, made }
}

async function ensureOne(
  engine: NetworkEngine,
  network: NetworkPlan,
  present: readonly EngineNetwork[],
): Promise<{ readonly name: string; readonly made?: EngineNetwork }> {
  const own = present.filter(have => have.labels[NETWORK_ID_LABEL] === network.id)
  const good = own.find(have => engineNetworkDrift(have, network) === undefined)
  if (good !== undefined) return { name: good.name }
  for (const have of own) {
    if ((await engine.users(have.id)) > 0)
      throw new StatusError(
        'FailedPrecondition',
        `its network ${have.name} has ${engineNetworkDrift(have, network)} and is in use; it is made anew when its last container is gone`,
      )
    await engine.remove(have.id)
  }
  const others = present.filter(have => !own.includes(have))
  const name = engineNetworkName(network, new Set(others.map(have => have.name)))
  const id = await engine.create(engineNetworkOptions(network, name))
  return { name, made: { ...NEW, id, name } }
}

/** Stands for a network just made while the others of the same pass choose their names. */
const NEW = { internal: false, options: {}, labels: {}, subnet: '', gateway: '', range: '' }

function isGone(error: unknown): boolean {
  return (error as { statusCode?: number } | undefined)?.statusCode === 404
}
