// After the storm: everything works again within a bounded time, all agree, nobody was lied to, and then nothing moves.
import {
  NodeAvailability,
  type Node,
  type Service,
  type Task,
  TaskState,
  UpdateState,
} from '../../proto/index.ts'
import { matchesAll } from '../../services/constraint/match.ts'
import { parseConstraint } from '../../services/constraint/parse.ts'
import { isTerminal, observedState, taskName } from '../../services/model/task.ts'
import type { World } from './cluster.ts'
import { Feasibility } from './feasibility.ts'
import { takesTasks } from './invariants.ts'
import type { Nemesis } from './nemesis.ts'
import { revisionOf } from './specs.ts'
import type { Workload } from './workload.ts'

/** Longer than the half minute for which eviction pauses after a mass loss. */
const CONVERGE_MS = 90_000
const LOOK_MS = 250
/** Nothing changes any more for so long. */
const REST_MS = 3_000

/** @returns how long it took, ms. @throws what did not come right */
export async function calm(world: World, nemesis: Nemesis, workload: Workload): Promise<number> {
  world.calm = true
  world.trace('calm begins')
  nemesis.heal()
  const sinceMs = world.timeline.monotonic()
  let quietSinceMs = sinceMs
  let version = world.history.version
  let problem: string | undefined = 'not looked yet'
  while (world.timeline.monotonic() - sinceMs < CONVERGE_MS) {
    await world.run(LOOK_MS)
    const nowMs = world.timeline.monotonic()
    if (world.history.version !== version) quietSinceMs = nowMs
    version = world.history.version
    problem = unsettled(world)
    if (problem === undefined && nowMs - quietSinceMs >= REST_MS) break
    if (problem !== undefined) quietSinceMs = nowMs
  }
  if (problem === undefined && world.timeline.monotonic() - sinceMs >= CONVERGE_MS)
    problem = 'it does not come to rest: the store keeps changing'
  if (problem !== undefined) throw new Error(`${CONVERGE_MS / 1000} s after the storm: ${problem}`)
  for (const { host, manager } of world.running())
    if (manager) world.history.compare(host, manager.store)
  promises(world, workload)
  if (world.failure) throw world.failure
  return world.timeline.monotonic() - sinceMs
}

/** What has not come right yet. */
function unsettled(world: World): string | undefined {
  const { invariants } = world
  const down = world.hosts.find(host => !host.daemon)
  if (down) return `${down.id} does not run`
  const versions = world.managers().map(manager => manager.store.version)
  if (new Set(versions).size > 1) return `the managers are at versions ${versions.join(', ')}`
  if (!world.leader()) return 'no manager leads'
  for (const node of invariants.nodes.values())
    if (node.status?.state !== 1) return `node ${node.id}: ${node.status?.message}`
  for (const service of invariants.services.values()) {
    const wrong = unserved(world, service)
    if (wrong) return `service ${service.spec?.annotations?.name} (${service.id}): ${wrong}`
  }
  for (const task of invariants.tasks.values()) {
    const left = !invariants.services.has(task.serviceId)
    if (left) return `task ${taskName(task)} (${task.id}) of a removed service is still there`
  }
  return engines(world) ?? tables(world)
}

function unserved(world: World, service: Service): string | undefined {
  const { spec } = service
  if (!spec) return 'no spec'
  const { state } = service.updateStatus ?? {}
  if (state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED)
    return updateMayWait(world, service)
      ? undefined
      : `its update goes on: ${service.updateStatus?.message}`
  const tasks = [...world.invariants.tasks.values()].filter(t => t.serviceId === service.id)
  const wanted = tasks.filter(task => task.desiredState === TaskState.RUNNING)
  const running = wanted.filter(task => observedState(task) === TaskState.RUNNING)
  const stopping = tasks.find(
    t =>
      t.desiredState > TaskState.RUNNING &&
      observedState(t) >= TaskState.ASSIGNED &&
      !isTerminal(observedState(t)),
  )
  if (stopping) return `task ${taskName(stopping)} (${stopping.id}) is still stopping`
  const slots = new Set(wanted.map(task => (task.slot === 0 ? task.nodeId : String(task.slot))))
  const expected = expectedSlots(world, service)
  if (slots.size !== expected) return `${slots.size} tasks are to run, not ${expected}`
  // A start-first update whose new task finds no place keeps the old one beside it.
  if (running.length > slots.size) return `${running.length} tasks run in ${slots.size} slots`
  const feasibility = new Feasibility(world.invariants)
  for (const task of wanted) {
    const state = observedState(task)
    if (state === TaskState.RUNNING) continue
    // A paused node is given nothing, not even its own task again.
    if (isTerminal(state) && task.slot === 0 && !takes(world, task.nodeId)) continue
    if (state >= TaskState.ASSIGNED)
      return `task ${taskName(task)} (${task.id}) is only in state ${state}`
    const node = feasibility.nodeFor(task)
    if (node)
      return `task ${taskName(task)} (${task.id}) in state ${state} waits (${task.status?.error}) but could run on ${node}`
  }
  return undefined
}

function takes(world: World, nodeId: string): boolean {
  const node = world.invariants.nodes.get(nodeId)
  return node !== undefined && takesTasks(node)
}

/** An update whose next task has no place waits, rightly. */
function updateMayWait(world: World, service: Service): boolean {
  const feasibility = new Feasibility(world.invariants)
  const waiting = [...world.invariants.tasks.values()].filter(
    task =>
      task.serviceId === service.id &&
      task.desiredState <= TaskState.RUNNING &&
      observedState(task) < TaskState.ASSIGNED,
  )
  return waiting.length > 0 && waiting.every(task => feasibility.nodeFor(task) === undefined)
}

function expectedSlots(world: World, service: Service): number {
  const { spec } = service
  if (spec?.mode !== 'global') return spec?.mode === 'replicated' ? spec.replicated.replicas : 1
  const constraints = (spec.task?.placement?.constraints ?? []).map(parseConstraint)
  const paused = (node: Node): boolean =>
    node.spec?.availability === NodeAvailability.PAUSE && hasTask(world, service, node)
  return [...world.invariants.nodes.values()].filter(
    node => matchesAll(constraints, node) && (takesTasks(node) || paused(node)),
  ).length
}

/** A paused node keeps what it has and is given nothing. */
function hasTask(world: World, service: Service, node: Node): boolean {
  return [...world.invariants.tasks.values()].some(
    (task: Task) =>
      task.serviceId === service.id &&
      task.nodeId === node.id &&
      task.desiredState === TaskState.RUNNING,
  )
}

/** What runs is what the store says, on every host. */
function engines(world: World): string | undefined {
  for (const host of world.hosts) {
    for (const { taskId, phase, name } of host.engine.containers.values()) {
      const task = world.invariants.tasks.get(taskId)
      if (!task) return `container ${name} on ${host.id} belongs to no task`
      const state = observedState(task)
      if ((phase === 'running') !== (state === TaskState.RUNNING))
        return `container ${name} on ${host.id} is ${phase}, its task ${state}`
    }
  }
  for (const task of world.invariants.tasks.values()) {
    if (observedState(task) !== TaskState.RUNNING) continue
    const host = world.hosts.find(({ id }) => id === task.nodeId)
    if (!host?.engine.containers.has(task.id))
      return `task ${taskName(task)} (${task.id}) is RUNNING without a container on ${task.nodeId}`
  }
  return undefined
}

/** Every node with a task on a network knows all its endpoints, and no others. */
function tables(world: World): string | undefined {
  const live = [...world.invariants.tasks.values()].filter(
    task => observedState(task) >= TaskState.ASSIGNED && !isTerminal(observedState(task)),
  )
  for (const { host, networks } of world.running()) {
    const own = live.filter(task => task.nodeId === host)
    const ids = new Set(own.flatMap(task => task.networks.map(({ networkId }) => networkId)))
    for (const id of ids) {
      const table = networks.state?.networks.get(id)
      const known = (table?.endpoints ?? []).map(e => `${e.taskId} ${e.address} ${e.nodeId}`).sort()
      const should = live
        .flatMap(task =>
          task.networks
            .filter(n => n.networkId === id)
            .map(n => `${task.id} ${n.address} ${task.nodeId}`),
        )
        .sort()
      if (known.join() !== should.join())
        return `${host}: its table of network ${id} has ${known.length} endpoints, not ${should.length} (or others)`
      if (!table?.gateways.some(gateway => gateway.nodeId === host))
        return `${host}: has no gateway on network ${id}`
    }
    const extra = [...(networks.state?.networks.keys() ?? [])].find(id => !ids.has(id))
    if (extra !== undefined) return `${host}: has a table of network ${extra}, where it has no task`
  }
  return undefined
}

/** Nothing that was acknowledged is missing. */
function promises(world: World, workload: Workload): void {
  const byName = new Map<string, number>()
  for (const { spec } of world.invariants.services.values())
    byName.set(spec?.annotations?.name ?? '', revisionOf(spec))
  for (const { name, revisions } of workload.beliefs) {
    const is = byName.get(name) ?? 0
    if (!revisions.has(is))
      world.fail(
        `service ${name} is at revision ${is}; acknowledged or possible: ${[...revisions].join(', ')}`,
      )
  }
}
