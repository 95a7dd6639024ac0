import { RaftError } from '../../src/index.ts'
import { type Climate, type Host, World } from './world.ts'

/** A small, good enough generator (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const STORM_MS = 6000
const FIRST_LEARNER = 100

/**
 * One life of a cluster: clients and faults for six seconds, then calm. Throws when a safety property is broken at any step,
 * when an acknowledged proposal is missing at the end, or when the healed cluster makes no progress.
 */
export async function runSeed(seed: number): Promise<World> {
  const random = seeded(seed)
  const world = new World(random, drawClimate(random))
  const ids = Array.from({ length: world.climate.members }, (_, i) => i + 1)
  const members = ids.map(id => ({ id, address: `host-${id}`, learner: false }))
  for (const id of ids) {
    const host = world.addHost(id)
    const begin = (): void => {
      world.start(host, members).catch(error => world.fail(error))
    }
    world.clock.after(random() * 100, begin)
  }
  await world.run(1500)
  clients(world)
  readers(world)
  for (let id = 1; id <= world.climate.learners; id++) void grow(world, FIRST_LEARNER + id, false)
  faults(world, ids.length)
  await world.run(1500 + STORM_MS)
  await calm(world)
  return world
}

function drawClimate(random: () => number): Climate {
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  return {
    members: one([1, 2, 3, 3, 3, 4, 5, 5]),
    learners: one([0, 0, 0, 1, 2]),
    temper: {
      votes: one([0, 0, 0.3, 0.7]),
      leaders: one([0, 0.3, 1]),
      snapshots: one([0, 0.1, 0.5]),
    },
    loss: one([0, 0.02, 0.1, 0.2]),
    duplicates: one([0, 0.05]),
    maxDelayMs: one([3, 20, 60]),
    maxDiskMs: one([0.5, 5, 25]),
    options: {
      preVote: one([true, true, true, false]),
      snapshotEntries: one([8, 30, 1000]),
      snapshotTailEntries: one([0, 4, 20]),
      snapshotChunkBytes: one([64, 1024, 100_000]),
      maxInflight: one([1, 8, 256]),
      maxBatchBytes: one([1, 200, 1 << 20]),
      segmentBytes: one([300, 4000, 1 << 17]),
    },
  }
}

function every(world: World, meanMs: number, fn: () => void): void {
  const again = (): void => {
    if (world.calm) return
    fn()
    world.clock.after(meanMs * (0.5 + world.random()), again)
  }
  world.clock.after(meanMs * world.random(), again)
}

function expected(world: World, error: unknown): void {
  if (!(error instanceof RaftError) || error.code === 'Corrupt') world.fail(error)
}

async function propose(world: World, host: Host, text: string): Promise<void> {
  try {
    const { index, result } = (await host.node?.propose(new TextEncoder().encode(text))) ?? {}
    if (index === undefined) return
    if (result !== `did ${text}`) world.fail(new Error(`${text} was answered ${String(result)}`))
    world.acknowledged.set(text, index)
  } catch (error) {
    expected(world, error)
  }
}

function clients(world: World): void {
  every(world, 25, () => {
    const host = world.pick(world.live())
    const leading = world.live().filter(h => h.node?.status().role === 'leader')
    for (const target of new Set([host, ...leading]))
      if (target !== undefined) void propose(world, target, `c${world.stats.proposed++}`)
  })
}

/** A read must see everything acknowledged to anybody before it was asked. */
function readers(world: World): void {
  every(world, 60, () => {
    const host = world.pick(world.live())
    const floor = Math.max(0, ...world.acknowledged.values())
    host?.node?.readIndex({ timeoutMs: 1000 }).then(
      index => {
        world.stats.reads++
        if (index < floor) world.fail(new Error(`a read at ${index} misses the write at ${floor}`))
      },
      error => expected(world, error),
    )
  })
}

function faults(world: World, firstMembers: number): void {
  let nextId = firstMembers + 1
  every(world, 500, () => {
    const host = world.pick([...world.hosts.values()])
    const dice = world.random()
    if (host === undefined) return
    if (dice < 0.35) world.crashAndRestart(host, world.random() < 0.3 ? 5 : world.random() * 1200)
    else if (dice < 0.5) world.partition()
    else if (dice < 0.65) world.heal()
    else if (dice < 0.72) transfer(world)
    else if (dice < 0.8) unreachable(world)
    else if (dice < 0.87 && nextId < firstMembers + 4) void grow(world, nextId++, true)
    else if (dice < 0.94) void shrink(world)
    else host.node?.campaign()
  })
  // The protocol's most delicate moments: crash a voter just after it has spoken, a leader just after it was elected.
  every(world, 900, () => {
    const leader = world.leader()
    if (leader !== undefined && world.random() < 0.5)
      world.crashAndRestart(leader, world.random() * 20)
  })
}

function transfer(world: World): void {
  world.stats.transfers++
  world
    .leader()
    ?.node?.transferLeadership()
    .catch(error => expected(world, error))
}

function unreachable(world: World): void {
  const leader = world.leader()
  if (leader === undefined) return
  for (const { node } of world.live()) if (world.random() < 0.8) node?.reportUnreachable(leader.id)
}

async function grow(world: World, id: number, promote: boolean): Promise<void> {
  const host = world.addHost(id)
  try {
    await world.start(host)
    await world.leader()?.node?.addMember({ id, address: `host-${id}`, learner: true })
    if (promote) await world.leader()?.node?.promoteMember(id, { timeoutMs: 1500 })
    world.stats.changes++
  } catch (error) {
    expected(world, error)
  }
}

async function shrink(world: World): Promise<void> {
  const leader = world.leader()?.node
  const members = leader?.status().members ?? []
  const victim = world.pick(members)
  if (leader === undefined || victim === undefined || members.length <= 2) return
  try {
    if (world.random() < 0.3) await leader.demoteMember(victim.id)
    else await leader.removeMember(victim.id)
    world.stats.changes++
  } catch (error) {
    expected(world, error)
  }
}

/** Everything works again: within a few seconds there is one leader, it commits, and all members agree. */
async function calm(world: World): Promise<void> {
  world.calm = true
  world.heal()
  for (const host of world.hosts.values())
    if (host.node === undefined) world.start(host).catch(error => world.fail(error))
  const deadlineMs = world.clock.monotonic() + 20_000
  let done = false
  const tryCommit = (): void => {
    if (done) return
    const leader = world.leader()
    if (leader !== undefined)
      void propose(world, leader, `last${world.stats.proposed++}`).then(() => {
        done ||= [...world.acknowledged.keys()].some(text => text.startsWith('last'))
      })
    world.clock.after(200, tryCommit)
  }
  tryCommit()
  await world.run(deadlineMs, () => done && converged(world))
  if (!done) throw new Error('the healed cluster committed nothing in 20 s')
  if (!converged(world)) throw new Error(`the healed cluster does not agree: ${describe(world)}`)
  const { texts } = (world.leader() as Host).machine
  if (new Set(texts).size !== texts.length) throw new Error('a proposal was applied twice')
  const present = new Set(texts)
  for (const text of world.acknowledged.keys())
    if (!present.has(text)) throw new Error(`acknowledged proposal ${text} is lost`)
}

function converged(world: World): boolean {
  const leader = world.leader()
  const status = leader?.node?.status()
  if (leader === undefined || status === undefined) return false
  return status.members.every(({ id }) => {
    const machine = world.hosts.get(id)?.machine
    return (
      machine?.index === leader.machine.index &&
      machine.texts.length === leader.machine.texts.length
    )
  })
}

function describe(world: World): string {
  const rows = [...world.hosts.values()].map(({ id, node, machine }) => {
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
