// Faults by plan: when and what follows from the seed, on whom from the cluster as it is then.
import { RaftError } from '../../src/index.ts'
import { pick, stream } from './chance.ts'
import { DISK_FAULT, type Death } from './disk.ts'
import type { Host, World } from './world.ts'

const DEATHS: readonly Death[] = ['some', 'some', 'nothing', 'all', 'kill']
/** What leaves a voter without state, so that it must be added anew, happens rarely enough for the cluster to live. */
const MAX_JOINERS = 4

type Fault = (world: World, host: Host, random: () => number) => void

/** Each with its weight. */
const FAULTS: readonly (readonly [number, string, Fault])[] = [
  [
    5,
    'death',
    (world, host, random) => {
      const downMs = random() < 0.3 ? 5 : random() * 1200
      world.crashAndRestart(host, death(random), downMs)
    },
  ],
  [
    3,
    'death of the leader',
    (world, _, random) => {
      const leader = world.leader()
      if (leader !== undefined) world.crashAndRestart(leader, death(random), random() * 20)
    },
  ],
  [
    4,
    'death at a disk call',
    (_, host, random) => host.disk.dieAt(Math.floor(random() * 8), death(random)),
  ],
  [
    1,
    'death of all',
    (world, _, random) => {
      for (const host of world.hosts.values()) world.crashAndRestart(host, 'nothing', random() * 50)
    },
  ],
  [3, 'split', (world, _, random) => world.wire.split([...world.hosts.keys()], random)],
  [
    2,
    'cuts in one direction',
    (world, _, random) => world.wire.cut([...world.hosts.keys()], random),
  ],
  [2, 'island', (world, host, random) => world.wire.isolate([host.id], 200 + random() * 1000)],
  [5, 'healing', world => world.wire.heal()],
  [
    2,
    'transfer',
    world => {
      world.stats.transfers++
      tolerate(world, world.leader()?.node?.transferLeadership())
    },
  ],
  [
    2,
    'doubt',
    (world, _, random) => {
      const leader = world.leader()
      if (leader === undefined) return
      for (const { node } of world.live()) if (random() < 0.8) node?.reportUnreachable(leader.id)
    },
  ],
  [1, 'campaign', (_, host) => host.node?.campaign()],
  [2, 'joiner', (world, _, random) => grow(world, random() < 0.8)],
  [2, 'leaver', (world, _, random) => shrink(world, random)],
  [2, 'replacement', replace],
  [
    1,
    'changes at once',
    (world, _, random) => {
      shrink(world, random)
      grow(world, true)
      shrink(world, random)
    },
  ],
  [2, 'stall', (_, host, random) => host.disk.stall(200 + random() * 1500)],
  [
    3,
    'pause',
    (world, host, random) => {
      const whom = random() < 0.6 ? (world.leader() ?? host) : host
      const pauseMs = random() < 0.4 ? random() * 300 : 600 + random() * 900
      // Goes on alone for a while: it believes what it knew, and nobody tells it otherwise.
      if (random() < 0.6) world.wire.isolate([whom.id], pauseMs + random() * 600)
      world.pause(whom, pauseMs, random)
    },
  ],
  [4, 'usurpation', usurp],
  [
    1,
    'disk full',
    (world, host, random) => {
      host.disk.full = true
      world.clock.after(200 + random() * 1000, () => {
        host.disk.full = false
      })
    },
  ],
  [
    1,
    'failing sync',
    (_, host) => {
      host.disk.failing = true
    },
  ],
]

/** The others know at once that the leader is cut off, and it does not: for a while there are two. */
function usurp(world: World, _: Host, random: () => number): void {
  const leader = world.leader()
  if (leader === undefined) return
  world.wire.isolate([leader.id], 300 + random() * 300)
  for (const { node } of world.live()) node?.reportUnreachable(leader.id)
}

const TOTAL_WEIGHT = FAULTS.reduce((sum, [weight]) => sum + weight, 0)

/** Sets the whole plan; each fault has dice of its own. */
export function plan(world: World, fromMs: number): void {
  const { seed, climate } = world
  const times = stream(seed, 'plan')
  let number = 0
  for (let atMs = fromMs; atMs < fromMs + climate.stormMs; ) {
    const name = `f${++number}`
    world.clock.after(atMs - world.clock.monotonic(), () => strike(world, name))
    atMs += climate.faultMs * (0.5 + times())
  }
}

function strike(world: World, name: string): void {
  const random = stream(world.seed, name)
  let dice = random() * TOTAL_WEIGHT
  const host = pick(random, [...world.hosts.values()])
  const duel = [1, 'usurpation', usurp] as const
  const fault =
    world.climate.mood === 'duel' ? duel : FAULTS.find(([weight]) => (dice -= weight) < 0)
  if (fault === undefined || host === undefined) return
  world.strike(name, `${fault[1]} (${host.id})`, () => fault[2](world, host, random))
}

function death(random: () => number): Death {
  return pick(random, DEATHS) ?? 'some'
}

/** A call that a fault has begun may fail in every way but one that tells of damage. */
export function tolerate(world: World, call: Promise<unknown> | undefined): void {
  call?.catch((error: unknown) => {
    if (DISK_FAULT.test(String(error))) return
    if (!(error instanceof RaftError) || error.code === 'Corrupt') world.fail(error)
  })
}

/** A new member joins, as a learner that may be promoted once it has caught up. */
export function grow(world: World, promote: boolean): void {
  const id = 100 + world.hosts.size
  if (world.hosts.size >= world.climate.members + world.climate.learners + MAX_JOINERS) return
  const host = world.addHost(id)
  const join = async (): Promise<void> => {
    await world.start(host)
    await world.leader()?.node?.addMember({ id, address: `host-${id}`, learner: true })
    if (promote) await world.leader()?.node?.promoteMember(id, { timeoutMs: 1500 })
    world.stats.changes++
  }
  tolerate(world, join())
}

/** One voter for another in a joint change, or half of them: the new one has caught up, or has just been made. */
function replace(world: World, _: Host, random: () => number): void {
  const id = 100 + world.hosts.size
  if (world.hosts.size >= world.climate.members + world.climate.learners + MAX_JOINERS) return
  const host = world.addHost(id)
  const victim = pick(random, world.leader()?.node?.status().members ?? [])
  const demoted = pick(random, world.leader()?.node?.status().members ?? [])
  const [force, alsoDemote] = [random() < 0.3, random() < 0.3]
  const change = async (): Promise<void> => {
    await world.start(host)
    const member = { id, address: `host-${id}`, learner: true }
    if (!force) await world.leader()?.node?.addMember(member)
    if (victim === undefined || demoted === undefined) return
    await world
      .leader()
      ?.node?.changeMembers(
        [
          force ? { kind: 'add', member: { ...member, learner: false } } : { kind: 'promote', id },
          { kind: 'remove', id: victim.id },
          ...(alsoDemote && demoted.id !== victim.id
            ? [{ kind: 'demote' as const, id: demoted.id }]
            : []),
        ],
        { force, timeoutMs: 1500 },
      )
    world.stats.joints++
  }
  tolerate(world, change())
}

function shrink(world: World, random: () => number): void {
  const leader = world.leader()?.node
  const members = leader?.status().members ?? []
  const victim = pick(random, members)
  if (leader === undefined || victim === undefined || members.length <= 2) return
  const change = random() < 0.3 ? leader.demoteMember(victim.id) : leader.removeMember(victim.id)
  tolerate(
    world,
    change.then(() => world.stats.changes++),
  )
}
