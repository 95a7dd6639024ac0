// Goal: what an orchestrator decides converges in one step, then rests; scaling, restarts and promotion follow the rows.
// Method: random situations, the plan applied, asked again; then one subtest a rule on hand-made tasks.
import t from 'tap'
import fc from 'fast-check'
import {
  NodeAvailability,
  NodeState,
  RestartCondition,
  type Node,
  type Service,
  type Task,
  TaskState,
  UpdateOrder,
} from '../../../proto/index.ts'
import type { Plan, Situation } from '../../../manager/orchestrator/draft.ts'
import { reconcile } from '../../../manager/orchestrator/reconcile.ts'
import { aNode, aService, aTask, aTaskSpec, type SpecInit } from '../world.ts'

const NOW = 10_000_000
let made = 0

function decide(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[],
  nowMs = NOW,
): Plan {
  const situation: Situation = {
    service,
    tasks,
    nodes: new Map(nodes.map(node => [node.id, node])),
    nowMs,
    newId: () => `new-${made++}`,
    nextOrder: () => 1_000_000 + made++,
    defaultLogDriver: null,
  }
  return reconcile(situation)
}

function apply(tasks: readonly Task[], plan: Plan): Task[] {
  const updated = new Map(plan.updated.map(task => [task.id, task]))
  return [...tasks.map(task => updated.get(task.id) ?? task), ...plan.created]
}

const NODES = [
  aNode('n1'),
  aNode('n2'),
  aNode('n3', { status: { state: NodeState.DOWN } }),
  aNode('n4', { spec: { annotations: { name: 'n4' }, availability: NodeAvailability.DRAIN } }),
]
const states = [
  TaskState.NEW,
  TaskState.PENDING,
  TaskState.ASSIGNED,
  TaskState.READY,
  TaskState.RUNNING,
  TaskState.COMPLETE,
  TaskState.SHUTDOWN,
  TaskState.FAILED,
  TaskState.REJECTED,
]
const anyTask = (service: Service, global: boolean) =>
  fc
    .record({
      slot: global ? fc.constant(0) : fc.integer({ min: 1, max: 6 }),
      nodeId: fc.constantFrom('n1', 'n2', 'n3', 'n4', 'gone'),
      state: fc.constantFrom(...states),
      desiredState: fc.constantFrom(
        TaskState.READY,
        TaskState.RUNNING,
        TaskState.SHUTDOWN,
        TaskState.REMOVE,
      ),
      old: fc.boolean(),
      startAfterMs: fc.constantFrom(0, NOW - 1_000, NOW + 1_000),
      appliedAtMs: fc.integer({ min: NOW - 100_000, max: NOW }),
    })
    .map(x =>
      aTask(service, {
        slot: x.slot,
        nodeId: x.state < TaskState.ASSIGNED && !global ? '' : x.nodeId,
        status: { state: x.state, appliedAtMs: x.appliedAtMs, observedAtMs: x.appliedAtMs },
        desiredState: x.desiredState,
        specVersion: x.old ? 1 : 2,
        ...(x.old ? { spec: aTaskSpec({ container: { image: 'web:0' } }) } : {}),
        startAfterMs: x.startAfterMs,
      }),
    )

const anyService = fc
  .record({
    replicas: fc.nat(6),
    global: fc.boolean(),
    condition: fc.constantFrom(
      RestartCondition.ANY,
      RestartCondition.ON_FAILURE,
      RestartCondition.NONE,
    ),
    maxAttempts: fc.constantFrom(0, 1, 3),
    order: fc.constantFrom(UpdateOrder.STOP_FIRST, UpdateOrder.START_FIRST),
    parallelism: fc.constantFrom(0, 1, 2),
  })
  .map(x => {
    const mode: SpecInit = x.global ? { global: {} } : { replicated: { replicas: x.replicas } }
    return aService(
      'web',
      {
        ...mode,
        task: aTaskSpec({
          restart: { condition: x.condition, maxAttempts: x.maxAttempts, delayMs: 5_000 },
        }),
        update: { parallelism: x.parallelism, order: x.order, monitorMs: 5_000 },
      },
      { meta: { version: 2, specVersion: 2 } },
    )
  })

t.test(
  'once applied, asking again gives nothing; nothing falls; no slot has two new tasks',
  async t => {
    fc.assert(
      fc.property(
        anyService.chain(service =>
          fc.tuple(
            fc.constant(service),
            fc.array(anyTask(service, service.spec?.mode === 'global'), { maxLength: 14 }),
          ),
        ),
        ([service, tasks]) => {
          const plan = decide(service, tasks, NODES)
          const after = apply(tasks, plan)
          const again = decide(plan.service ?? service, after, NODES)
          const before = new Map(tasks.map(task => [task.id, task]))
          const rose = plan.updated.every(task => {
            const old = before.get(task.id)
            return (
              !!old &&
              task.desiredState >= old.desiredState &&
              (task.status?.state ?? 0) >= (old.status?.state ?? 0)
            )
          })
          const places = plan.created.map(
            task => `${task.slot}/${task.slot === 0 ? task.nodeId : ''}`,
          )
          return (
            again.created.length === 0 &&
            again.updated.length === 0 &&
            again.service === undefined &&
            rose &&
            new Set(places).size === places.length
          )
        },
      ),
      { numRuns: 1_500 },
    )
    t.pass('1500 situations')
  },
)

t.test('a healthy service has exactly its replicas, in the lowest free slots', async t => {
  fc.assert(
    fc.property(
      fc.nat(8),
      fc.uniqueArray(fc.integer({ min: 1, max: 10 }), { maxLength: 8 }),
      (replicas, slots) => {
        const service = aService('web', { replicated: { replicas } })
        const tasks = slots.map(slot => aTask(service, { slot, nodeId: slot % 2 ? 'n1' : 'n2' }))
        const after = apply(tasks, decide(service, tasks, NODES))
        const live = after
          .filter(task => task.desiredState <= TaskState.RUNNING)
          .map(task => task.slot)
        return new Set(live).size === replicas && live.length === replicas
      },
    ),
  )
  const service = aService('web', { replicated: { replicas: 3 } })
  const plan = decide(service, [aTask(service, { slot: 2 })], NODES)
  t.same(
    plan.created.map(task => task.slot),
    [1, 3],
  )
})

t.test(
  'scaling down takes what does not run, then the fullest node, then the highest slot',
  async t => {
    const service = aService('web', { replicated: { replicas: 3 } })
    const tasks = [
      aTask(service, { slot: 1, nodeId: 'n1' }),
      aTask(service, { slot: 2, nodeId: 'n1' }),
      aTask(service, { slot: 3, nodeId: 'n1' }),
      aTask(service, { slot: 4, nodeId: 'n2' }),
      aTask(service, { slot: 5, nodeId: 'n2', status: { state: TaskState.PREPARING } }),
    ]
    const plan = decide(service, tasks, NODES)
    t.same(
      plan.updated.map(task => task.slot).toSorted((a, b) => a - b),
      [3, 5],
    )
    t.ok(plan.updated.every(task => task.desiredState === TaskState.REMOVE))
  },
)

t.test('a failed task is told to stop, its successor prepared for after the delay', async t => {
  const service = aService('web')
  const dead = aTask(service, { status: { state: TaskState.FAILED, appliedAtMs: NOW } })
  const plan = decide(service, [dead], NODES)
  t.match(plan.updated, [{ id: dead.id, desiredState: TaskState.SHUTDOWN }])
  t.match(plan.created, [
    { slot: 1, nodeId: '', desiredState: TaskState.READY, startAfterMs: NOW + 5_000 },
  ])
  t.equal(plan.dueAtMs, NOW + 5_000)
  const next = apply([dead], plan)
  t.match(decide(service, next, NODES, NOW + 5_000).updated, [{ desiredState: TaskState.RUNNING }])
})

t.test('a task that fails within its own delay is not replaced before that is over', async t => {
  const service = aService('web')
  const dead = aTask(service, {
    status: { state: TaskState.REJECTED, appliedAtMs: NOW },
    startAfterMs: NOW + 2_000,
    desiredState: TaskState.READY,
  })
  const plan = decide(service, [dead], NODES)
  t.same([plan.created, plan.updated, plan.dueAtMs], [[], [], NOW + 2_000])
})

t.test('restart conditions', async t => {
  const ending = (condition: RestartCondition, state: TaskState): number => {
    const service = aService('web', { task: aTaskSpec({ restart: { condition } }) })
    return decide(service, [aTask(service, { status: { state, appliedAtMs: NOW } })], NODES).created
      .length
  }
  t.equal(ending(RestartCondition.ANY, TaskState.COMPLETE), 1)
  t.equal(ending(RestartCondition.ON_FAILURE, TaskState.COMPLETE), 0)
  t.equal(ending(RestartCondition.ON_FAILURE, TaskState.FAILED), 1)
  t.equal(ending(RestartCondition.NONE, TaskState.FAILED), 0)
})

t.test('attempts are counted from the tasks kept, within the window', async t => {
  const attempt = (windowMs: number, createdAtMs: number): number => {
    const service = aService('web', { task: aTaskSpec({ restart: { maxAttempts: 1, windowMs } }) })
    const first = aTask(service, {
      status: { state: TaskState.FAILED },
      desiredState: TaskState.SHUTDOWN,
      meta: { createdAtMs: NOW - 90_000 },
    })
    const second = aTask(service, {
      status: { state: TaskState.FAILED, appliedAtMs: NOW },
      meta: { createdAtMs },
    })
    return decide(service, [first, second], NODES).created.length
  }
  t.equal(attempt(0, NOW - 60_000), 0, 'one restart was allowed')
  t.equal(attempt(10_000, NOW - 5_000), 0)
  t.equal(attempt(10_000, NOW - 60_000), 1, 'the restart lies before the window')
})

t.test('tasks of a lost node are replaced at once, without delay, and told to stop', async t => {
  for (const nodeId of ['n3', 'gone']) {
    const service = aService('web')
    const plan = decide(service, [aTask(service, { nodeId })], NODES)
    t.match(plan.created, [{ desiredState: TaskState.RUNNING, startAfterMs: 0 }])
    t.match(plan.updated, [{ desiredState: TaskState.SHUTDOWN }])
  }
  const unknown = aNode('n5', { status: { state: NodeState.UNKNOWN } })
  const service = aService('web')
  t.same(decide(service, [aTask(service, { nodeId: 'n5' })], [unknown]).created, [])
})

t.test(
  'a drained node: stop-first prepares the successor, start-first lets it run beside',
  async t => {
    const stopFirst = aService('web')
    t.match(decide(stopFirst, [aTask(stopFirst, { nodeId: 'n4' })], NODES), {
      created: [{ desiredState: TaskState.READY, startAfterMs: 0 }],
      updated: [{ desiredState: TaskState.SHUTDOWN }],
    })
    const startFirst = aService('web', { update: { order: UpdateOrder.START_FIRST } })
    const old = aTask(startFirst, { nodeId: 'n4' })
    const plan = decide(startFirst, [old], NODES)
    t.match(plan, { created: [{ desiredState: TaskState.RUNNING }], updated: [] })
    const up = plan.created.map(task => ({
      ...task,
      nodeId: 'n1',
      status: aTask(startFirst).status,
    }))
    t.match(decide(startFirst, [old, ...up], NODES).updated, [
      { id: old.id, desiredState: TaskState.SHUTDOWN },
    ])
  },
)

t.test('a prepared task waits for its predecessor, for a minute at most', async t => {
  const service = aService('web')
  const old = aTask(service, { desiredState: TaskState.SHUTDOWN })
  const next = aTask(service, {
    desiredState: TaskState.READY,
    status: { state: TaskState.READY },
    meta: { createdAtMs: NOW - 1_000 },
  })
  const waiting = decide(service, [old, next], NODES)
  t.same(waiting.updated, [])
  t.equal(waiting.dueAtMs, NOW - 1_000 + 60_000)
  t.match(decide(service, [old, next], NODES, NOW + 60_000).updated, [
    { id: next.id, desiredState: TaskState.RUNNING },
  ])
  const stopped = {
    ...old,
    status: aTask(service, { status: { state: TaskState.SHUTDOWN } }).status,
  }
  t.match(decide(service, [stopped, next], NODES).updated, [
    { id: next.id, desiredState: TaskState.RUNNING },
  ])
})

t.test('global services: eligible nodes, paused and drained ones', async t => {
  const paused = aNode('n5', {
    spec: { annotations: { name: 'n5' }, availability: NodeAvailability.PAUSE },
  })
  const service = aService('agent', {
    global: {},
    task: aTaskSpec({ placement: { constraints: ['node.id != n2'] } }),
  })
  const plan = decide(
    service,
    [
      aTask(service, { slot: 0, nodeId: 'n4' }),
      aTask(service, { slot: 0, nodeId: 'n2' }),
      aTask(service, { slot: 0, nodeId: 'n5' }),
    ],
    [...NODES, paused],
  )
  t.same(
    plan.created.map(task => task.nodeId),
    ['n1'],
  )
  t.same(
    plan.updated.map(task => [task.nodeId, task.desiredState]),
    [
      ['n2', TaskState.SHUTDOWN],
      ['n4', TaskState.SHUTDOWN],
    ],
  )
})
