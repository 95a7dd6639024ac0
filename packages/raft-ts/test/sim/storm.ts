import { isDeepStrictEqual } from 'node:util'
import { checkRegisters } from '../../../../test/support/linearizability.ts'
import { stream } from './chance.ts'
import { Clients } from './clients.ts'
import { CALMING, drawClimate } from './climate.ts'
import { grow, plan } from './faults.ts'
import { type Host, World, type WorldOptions } from './world.ts'

const BOOT_MS = 3000
const HEALING_MS = 10_000
const EXPLANATION_STEPS = 300_000

/** What a seed has seen; all of it in numbers, so that seeds can be summed up. */
export type Totals = Readonly<Record<string, number>>

/**
 * One life of a cluster: clients and faults for some seconds, then calm. Throws when an invariant is broken at any step,
 * when an acknowledged proposal is missing at the end, when what clients saw cannot be explained, or when the healed
 * cluster makes no progress.
 *
 * @throws Broken, or what a member stopped with
 */
export async function runSeed(seed: number, options: WorldOptions = {}): Promise<Totals> {
  // Refusals are errors, thousands of them, and nobody reads where they came from.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const world = create(seed, options)
  try {
    const clients = new Clients(world)
    await boot(world)
    clients.start()
    if (world.climate.mood === 'serene') await serenity(world)
    else {
      for (let i = 0; i < world.climate.learners; i++) grow(world, false)
      plan(world, world.clock.monotonic())
      await world.run(world.clock.monotonic() + world.climate.stormMs)
    }
    await calm(world, clients)
    judge(world, clients)
    const { stats, fingerprint, checker, strikes } = world
    return { ...stats, seeds: 1, terms: checker.terms, strikes: strikes.length, fingerprint }
  } catch (error) {
    throw Object.assign(error as Error, { strikes: world.strikes })
  } finally {
    for (const { node } of world.hosts.values()) node?.kill()
    Error.stackTraceLimit = stackTraceLimit
  }
}

function create(seed: number, options: WorldOptions): World {
  let climate = drawClimate(stream(seed, 'climate'))
  for (const [name, calmed] of CALMING)
    if (options.without?.has(name) === true) climate = calmed(climate)
  return new World(seed, climate, options)
}

async function boot(world: World): Promise<void> {
  const random = stream(world.seed, 'boot')
  const ids = Array.from({ length: world.climate.members }, (_, i) => i + 1)
  const members = ids.map(id => ({ id, address: `host-${id}`, learner: false }))
  for (const id of ids) {
    const host = world.addHost(id, members)
    world.clock.after(random() * 100, () => world.restart(host))
  }
  await world.run(BOOT_MS, () => world.leader() !== undefined)
}

/** One follower is cut off for longer than any patience. When it comes back, the leader leads on in its term. */
async function serenity(world: World): Promise<void> {
  const startMs = world.clock.monotonic()
  await world.run(startMs + 500)
  const leader = world.leader()
  const outcast = world.live().find(h => h !== leader)
  if (leader === undefined || outcast === undefined) return
  const term = leader.node?.status().term
  world.strike('outcast', `member ${outcast.id} is cut off`, () =>
    world.wire.isolate([outcast.id], 1500),
  )
  await world.run(startMs + world.climate.stormMs)
  const now = leader.node?.status()
  if (now?.role !== 'leader' || now.term !== term)
    world.broken(
      'healthy leaders stay',
      `member ${leader.id} led in term ${term}; member ${outcast.id} came back and it is ${now?.role} in term ${now?.term}`,
    )
}

/** Everything works again: within a few seconds there is one leader, it commits, and all members agree. */
async function calm(world: World, clients: Clients): Promise<void> {
  world.note('calm')
  world.calm = true
  world.wire.heal()
  for (const host of world.hosts.values()) {
    host.disk.heal()
    if (host.node === undefined) world.restart(host)
  }
  const deadlineMs = world.clock.monotonic() + HEALING_MS
  let done = false
  const tryCommit = (): void => {
    if (done) return
    const leader = world.leader()
    if (leader !== undefined)
      void clients.write(0, leader, 'end').then(acknowledged => {
        done ||= acknowledged
      })
    world.clock.after(100, tryCommit)
  }
  tryCommit()
  await world.run(deadlineMs, () => done && converged(world))
  if (!done) world.broken('healing helps', `nothing was committed in ${HEALING_MS} ms of calm`)
  else if (!converged(world))
    world.broken('healing helps', `the healed cluster does not agree: ${describe(world)}`)
  if (world.failure !== undefined) throw world.failure
}

function judge(world: World, clients: Clients): void {
  for (const [text, index] of clients.acknowledged)
    if (world.checker.textAt(index) !== text)
      world.broken('acknowledged is kept', `${text} is not at ${index}`)
  const verdict = checkRegisters(clients.history, { maxSteps: EXPLANATION_STEPS })
  if ('undecided' in verdict) world.stats.undecided++
  else if (!verdict.ok) world.broken('reads are linearizable', verdict.reason)
  if (world.failure !== undefined) throw world.failure
}

function converged(world: World): boolean {
  const leader = world.leader()
  const status = leader?.node?.status()
  if (leader === undefined || status === undefined) return false
  return status.members.every(({ id }) => {
    const { machine, node } = world.hosts.get(id) ?? {}
    if (machine?.index !== leader.machine.index || machine.hash !== leader.machine.hash)
      return false
    return isDeepStrictEqual(node?.status().members, status.members)
  })
}

function describe(world: World): string {
  const rows = [...world.hosts.values()].map(({ id, node, machine }: Host) => {
    const s = node?.status()
    return {
      id,
      role: s?.role,
      term: s?.term,
      last: s?.lastIndex,
      applied: s?.appliedIndex,
      machine: machine.index,
      removed: s?.removed,
      peers: s?.peers,
    }
  })
  return JSON.stringify(rows)
}
