import type { Clock } from '../../runtime/clock.ts'
import { StatusError, messageOf, toStatusError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { applyKernel, readDevices, readKernel, readRoutes, type Devices } from './apply.ts'
import type { Commands } from './commands.ts'
import { changeCount, diffKernel } from './diff.ts'
import type { DnsServer } from './dns/server.ts'
import {
  ensureEngineNetworks,
  removeGoneEngineNetworks,
  type EngineNetwork,
  type NetworkEngine,
} from './engine-network.ts'
import type { Firewall } from './firewall.ts'
import { overlapError, underlayMtu } from './host.ts'
import type { KernelState } from './kernel.ts'
import type { NetworkMetrics, SyncKind } from './metrics.ts'
import { nftTable } from './nft.ts'
import {
  bridgeName,
  isOwnDevice,
  planNetworks,
  vxlanName,
  type NetworkPlan,
  type Plan,
} from './plan.ts'
import type { NetworkState } from './types.ts'

/** Twice: devices made in the first round may show what the second must set. */
const MAX_ROUNDS = 2

export interface PassDeps {
  readonly clock: Clock
  readonly log: Log
  readonly commands: Commands
  readonly engine: NetworkEngine
  readonly firewall: Firewall
  readonly dns: DnsServer
  readonly metrics: NetworkMetrics
  /** For messages to people. */
  readonly nodeName: string
}

export interface ReadyNetwork {
  readonly plan: NetworkPlan
  readonly engineNetwork: string
}

export interface PassResult {
  /** Networks a container can join. */
  readonly ready: ReadonlyMap<string, ReadyNetwork>
  /** Networks that cannot be on this node as they are; trying again does not help. */
  readonly refused: ReadonlyMap<string, StatusError>
  /** Networks that failed this time. */
  readonly failed: ReadonlyMap<string, StatusError>
  /** All that is wrong, for people. */
  readonly problems: readonly string[]
  /** Whether the kernel has what the table says, for every network that is not refused. */
  readonly programmed: boolean
  /** Whether another pass soon may mend something. */
  readonly retry: boolean
}

const NOTHING: PassResult = {
  ready: new Map(),
  refused: new Map(),
  failed: new Map(),
  problems: [],
  programmed: true,
  retry: false,
}

/** One pass over the node's networks: list what is, diff with what should be, apply, look again. */
export class NetworkPass {
  readonly #deps: PassDeps
  /** The plan that was programmed last: a difference without a new plan is drift. */
  #lastPlan = ''
  /** The last pass left nothing of ours on this node: without networks there is nothing that could drift. */
  #isBare = false

  constructor(deps: PassDeps) {
    this.#deps = deps
  }

  /** @throws StatusError when the kernel cannot be read at all */
  async run(state: NetworkState): Promise<PassResult> {
    const { commands, dns, engine, firewall, metrics } = this.#deps
    if (this.#isBare && state.networks.size === 0) return NOTHING
    const devices = await readDevices(commands)
    const plan = await this.#plan(state, devices)
    const { networks, refused } = plan
    const problems = [...plan.warnings, ...[...refused.values()].map(messageOf)]

    const listed = await this.#listEngine(networks, devices)
    const present = listed.networks
    if (listed.problem !== undefined) problems.push(listed.problem)
    const gone = await removeGoneEngineNetworks(engine, present, new Set(state.networks.keys()))
    const held = heldDevices(
      state,
      plan,
      devices,
      listed.problem === undefined ? gone.heldVnis : undefined,
    )

    const planned = JSON.stringify([networks, [...held]])
    const isDrift = planned === this.#lastPlan

    const kernel = await this.#timed('fdb', () => this.#converge(networks, devices, held, isDrift))
    metrics.observeKernel(networks, kernel.state)
    const filter = await this.#timed('firewall', async () => {
      const done = await firewall.apply(nftTable(plan, held.size > 0))
      return { ...done, ok: done.problems.length === 0 }
    })
    if (isDrift) metrics.repaired('firewall', filter.changed.length)

    const programmed = networks.filter(network => !kernel.failed.has(network.id))
    const ensured = await this.#timed('engine', async () => {
      const left = present.filter(network => !gone.removed.has(network.id))
      const done = await ensureEngineNetworks(
        engine,
        left,
        listed.problem === undefined ? programmed : [],
      )
      return { ...done, ok: done.failures.size === 0 && listed.problem === undefined }
    })
    if (isDrift) metrics.repaired('engine', ensured.made)
    const names = await this.#timed('dns', async () => {
      const failed = await dns.listenOn(programmed.map(network => network.gateway))
      return { failed, ok: failed.length === 0 }
    })
    const uncut = await firewall.cut()

    const failed = new Map([...kernel.failed, ...ensured.failures])
    for (const network of programmed)
      if (listed.problem !== undefined)
        failed.set(
          network.id,
          new StatusError('Unavailable', `network ${network.name}: ${listed.problem}`),
        )
    problems.push(...[...kernel.failed.values(), ...ensured.failures.values()].map(messageOf))
    problems.push(...kernel.problems, ...filter.problems, ...names.failed, ...uncut)
    this.#lastPlan = kernel.ok ? planned : ''
    const isClean = kernel.ok && filter.ok && names.ok && problems.length === 0
    const hasOwn = [...kernel.state.links.keys()].some(isOwnDevice)
    this.#isBare = isClean && state.networks.size === 0 && !hasOwn
    const ready = new Map<string, ReadyNetwork>()
    for (const network of programmed) {
      const engineNetwork = ensured.names.get(network.id)
      if (engineNetwork !== undefined) ready.set(network.id, { plan: network, engineNetwork })
    }
    return {
      ready,
      refused,
      failed,
      problems,
      programmed: kernel.ok,
      retry: !(kernel.ok && filter.ok && ensured.ok && names.ok) || gone.heldVnis.size > 0,
    }
  }

  async #plan(state: NetworkState, devices: Devices): Promise<Plan> {
    if (state.networks.size === 0) return planNetworks(state, 0)
    const plan = planNetworks(state, underlayMtu(devices, state.address))
    const fresh = plan.networks.filter(network => !devices.links.has(network.bridge))
    if (fresh.length === 0) return plan
    const routes = await readRoutes(this.#deps.commands)
    const refused = new Map(plan.refused)
    for (const network of fresh) {
      const error = overlapError(network, routes, this.#deps.nodeName)
      if (error !== undefined) refused.set(network.id, error)
    }
    return { ...plan, refused, networks: plan.networks.filter(network => !refused.has(network.id)) }
  }

  /** The engine is asked only where it can matter, so that a node on no overlay does not depend on it. */
  async #listEngine(
    networks: readonly NetworkPlan[],
    devices: Devices,
  ): Promise<{ readonly networks: readonly EngineNetwork[]; readonly problem?: string }> {
    if (networks.length === 0 && ![...devices.links.keys()].some(isOwnDevice))
      return { networks: [] }
    try {
      return { networks: await this.#deps.engine.list() }
    } catch (error) {
      return { networks: [], problem: `the engine does not answer: ${messageOf(error)}` }
    }
  }

  async #converge(
    networks: readonly NetworkPlan[],
    devices: Devices,
    held: ReadonlySet<string>,
    isDrift: boolean,
  ): Promise<KernelResult> {
    const { commands, log, metrics } = this.#deps
    let state = await readKernel(commands, networks, devices)
    let changes = diffKernel(state, networks, held)
    const said = new Map<string, string>()
    if (isDrift && changeCount(changes) > 0) {
      metrics.repaired('fdb', changeCount(changes))
      log.warn('network: the kernel had drifted', {
        differences: [...changes.ip, ...changes.bridge].slice(0, 10).map(line => line.text),
        sysctls: changes.sysctls.length,
      })
    }
    for (let round = 0; round < MAX_ROUNDS && changeCount(changes) > 0; round++) {
      for (const { networkId, message } of await applyKernel(commands, changes))
        said.set(networkId, message)
      state = await readKernel(commands, networks)
      changes = diffKernel(state, networks, held)
    }
    const failed = new Map<string, StatusError>()
    const problems: string[] = []
    // What is still different is what failed, whatever the tools said on the way.
    for (const rest of [...changes.ip, ...changes.bridge, ...changes.sysctls]) {
      const wanted = 'text' in rest ? rest.text : `${rest.key}=${rest.value}`
      const reason = said.get(rest.networkId) ?? `"${wanted}" has no effect`
      const network = networks.find(({ id }) => id === rest.networkId)
      if (network === undefined) problems.push(`network devices: ${reason}`)
      else failed.set(network.id, new StatusError('Internal', `network ${network.name}: ${reason}`))
    }
    return { state, failed, problems: [...new Set(problems)], ok: changeCount(changes) === 0 }
  }

  async #timed<T extends { readonly ok: boolean }>(
    kind: SyncKind,
    work: () => Promise<T>,
  ): Promise<T> {
    const { clock, metrics } = this.#deps
    const startedMs = clock.monotonic()
    try {
      const result = await work()
      metrics.synced(kind, clock.monotonic() - startedMs, result.ok)
      return result
    } catch (error) {
      metrics.synced(kind, clock.monotonic() - startedMs, false)
      throw toStatusError(error)
    }
  }
}

interface KernelResult {
  readonly state: KernelState
  readonly failed: ReadonlyMap<string, StatusError>
  readonly problems: readonly string[]
  readonly ok: boolean
}

/** Own devices that stay although no plan wants them. `heldVnis` undefined: the engine cannot say, so all stay. */
function heldDevices(
  state: NetworkState,
  { networks, refused }: Plan,
  { links }: Devices,
  heldVnis: ReadonlySet<number> | undefined,
): ReadonlySet<string> {
  const wanted = new Set(networks.flatMap(network => [network.bridge, network.vxlan]))
  const spare = [...links.keys()].filter(name => isOwnDevice(name) && !wanted.has(name))
  if (heldVnis === undefined) return new Set(spare)
  const vnis = [...heldVnis, ...[...refused.keys()].map(id => state.networks.get(id)?.vni ?? 0)]
  const held = new Set(vnis.flatMap(vni => [bridgeName(vni), vxlanName(vni)]))
  return new Set(spare.filter(name => held.has(name)))
}
