// Users: they create, change and remove services, networks and nodes' availability, one thing at a time each, and
// remember what they were promised.
import { make } from '../../proto/codec.ts'
import { NodeAvailability, type Service, v1 } from '../../proto/index.ts'
import { Client } from './client.ts'
import type { World } from './cluster.ts'
import { type KnownNetwork, drawSpec, rescaled, revisionOf } from './specs.ts'

const OWNERS = 3
const SERVICES_EACH = 2
const NETWORKS_MAX = 3
const THINK_MS = 700
const SUBNETS = ['', '10.40.0.0/28', '10.40.1.0/28', '10.40.1.0/27', '10.40.2.0/29']

/** What may have become of a service: revisions it may be at, 0 for absent. */
export interface Belief {
  readonly name: string
  id: string
  revisions: Set<number>
}

export class Workload {
  readonly beliefs: Belief[] = []
  readonly stats = { done: 0, refused: 0, unknown: 0 }
  readonly #world: World
  readonly #networks: KnownNetwork[] = []
  #revision = 0
  #names = 0

  constructor(world: World) {
    this.#world = world
  }

  start(): void {
    for (let owner = 0; owner < OWNERS; owner++) this.#spawn(this.#own(owner))
    this.#spawn(this.#operate())
  }

  #spawn(work: Promise<void>): void {
    work.catch((error: unknown) => this.#world.fail(error as Error))
  }

  async #own(owner: number): Promise<void> {
    const client = new Client(this.#world)
    const mine: Belief[] = []
    for (let i = 0; i < SERVICES_EACH; i++) {
      const belief = { name: `s${owner}${i}`, id: '', revisions: new Set([0]) }
      mine.push(belief)
      this.beliefs.push(belief)
    }
    while (await this.#think()) await this.#touch(client, this.#world.pick(mine))
  }

  async #touch(client: Client, belief: Belief): Promise<void> {
    const world = this.#world
    if (belief.revisions.has(0)) return this.#create(client, belief)
    const found = await client.call((control, caller) =>
      control.getService({ id: belief.id }, caller),
    )
    if (found.is !== 'done') return
    const service = found.value.service as Service
    const dice = world.random.next()
    if (dice < 0.15) return this.#remove(client, belief)
    const { spec } = service
    if (!spec) return world.fail(`service ${belief.name} has no spec`)
    const revision = ++this.#revision
    const next =
      dice < 0.5
        ? rescaled(spec, world.below(7), revision)
        : drawSpec(world, belief.name, revision, this.#networks, spec.mode === 'global')
    const specVersion = service.meta?.specVersion ?? 0
    const request = { id: belief.id, specVersion, spec: next, rollback: false }
    const outcome = await client.call((control, caller) => control.updateService(request, caller))
    this.#judge(outcome.is, `update ${belief.name} to r${revision}`, outcome)
    if (outcome.is === 'unknown') belief.revisions.add(revision)
    if (outcome.is !== 'done') return
    belief.revisions = new Set([revision])
    this.#promised(belief, outcome.value.service as Service, revision)
  }

  async #create(client: Client, belief: Belief): Promise<void> {
    const world = this.#world
    // A name that may be taken is not used again: what has become of it shall stay known.
    const fresh = belief.revisions.size > 1 ? this.#renewed(belief) : belief
    const revision = ++this.#revision
    const spec = drawSpec(world, fresh.name, revision, this.#networks, world.chance(0.25))
    const outcome = await client.call((control, caller) => control.createService({ spec }, caller))
    this.#judge(outcome.is, `create ${fresh.name} r${revision}`, outcome)
    if (outcome.is === 'unknown') fresh.revisions.add(revision)
    if (outcome.is !== 'done') return
    const service = outcome.value.service as Service
    fresh.id = service.id
    fresh.revisions = new Set([revision])
    this.#promised(fresh, service, revision)
  }

  async #remove(client: Client, belief: Belief): Promise<void> {
    const outcome = await client.call((control, caller) =>
      control.removeService({ id: belief.id }, caller),
    )
    this.#judge(outcome.is, `remove ${belief.name}`, outcome)
    if (outcome.is === 'unknown') belief.revisions.add(0)
    if (outcome.is === 'done') belief.revisions = new Set([0])
  }

  /** The old name's fate is judged at the end; the owner goes on under a new one. */
  #renewed(belief: Belief): Belief {
    this.beliefs.push({ ...belief, revisions: new Set(belief.revisions) })
    this.#names += 1
    Object.assign(belief, { name: `${belief.name.split('-')[0]}-${this.#names}`, id: '' })
    belief.revisions = new Set([0])
    return belief
  }

  async #operate(): Promise<void> {
    const client = new Client(this.#world)
    await this.#createNetwork(client)
    while (await this.#think()) {
      const dice = this.#world.random.next()
      if (dice < 0.25) await this.#createNetwork(client)
      else if (dice < 0.35) await this.#removeNetwork(client)
      else await this.#changeNode(client)
    }
  }

  async #createNetwork(client: Client): Promise<void> {
    if (this.#networks.length >= NETWORKS_MAX) return
    const world = this.#world
    const name = `net${++this.#names}`
    const subnet = world.pick(SUBNETS)
    const spec = make(v1.NetworkSpec, {
      annotations: { name },
      driver: 'overlay',
      ipam: subnet === '' ? [] : [{ subnet }],
    })
    const outcome = await client.call((control, caller) => control.createNetwork({ spec }, caller))
    this.#judge(outcome.is, `create ${name} ${subnet}`, outcome)
    if (outcome.is === 'done') this.#networks.push({ id: outcome.value.network?.id ?? '', subnet })
  }

  async #removeNetwork(client: Client): Promise<void> {
    const [network] = this.#networks
    if (!network) return
    const outcome = await client.call((control, caller) =>
      control.removeNetwork({ id: network.id }, caller),
    )
    this.#judge(outcome.is, `remove network ${network.id}`, outcome)
    if (outcome.is !== 'refused') this.#networks.shift()
  }

  async #changeNode(client: Client): Promise<void> {
    const world = this.#world
    const { id } = world.pick(world.hosts)
    const found = await client.call((control, caller) => control.getNode({ id }, caller))
    if (found.is !== 'done' || !found.value.node?.spec) return
    const { spec, meta } = found.value.node as NonNullable<ReturnType<typeof make<typeof v1.Node>>>
    if (!spec) return
    const isActive = spec.availability === NodeAvailability.ACTIVE
    const next = world.chance(0.2)
      ? { ...spec, annotations: { name: '', labels: { zone: world.pick(['a', 'b']) } } }
      : {
          ...spec,
          availability: isActive
            ? world.pick([NodeAvailability.DRAIN, NodeAvailability.DRAIN, NodeAvailability.PAUSE])
            : NodeAvailability.ACTIVE,
        }
    const request = { id, specVersion: meta?.specVersion ?? 0, spec: next }
    const outcome = await client.call((control, caller) => control.updateNode(request, caller))
    this.#judge(outcome.is, `node ${id} availability ${next.availability}`, outcome)
  }

  /** What was acknowledged is in the history everybody shares. */
  #promised(belief: Belief, service: Service, revision: number): void {
    const known = this.#world.invariants.services.get(service.id)
    const atLeast = service.meta?.version ?? 0
    if (revisionOf(service.spec) !== revision)
      this.#world.fail(
        `service ${belief.name}: r${revision} was acknowledged with r${revisionOf(service.spec)}`,
      )
    if (this.#world.history.version < atLeast || !known)
      this.#world.fail(`service ${belief.name}: r${revision} was acknowledged, but nobody has it`)
  }

  #judge(is: 'done' | 'refused' | 'unknown', what: string, outcome: object): void {
    this.stats[is] += 1
    if (this.#world.tracing)
      this.#world.trace(`user: ${what}: ${is} ${'why' in outcome ? String(outcome.why) : ''}`)
  }

  /** False when the storm is over. */
  async #think(): Promise<boolean> {
    const { timeline, random } = this.#world
    const delayMs = THINK_MS * 2 * random.next()
    await new Promise<void>(resolve => timeline.after(delayMs, resolve))
    return !this.#world.calm
  }
}
