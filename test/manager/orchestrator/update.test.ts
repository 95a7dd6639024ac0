// Goal: rolling updates keep parallelism, delay, order and failure actions, and resume from what is stored.
// Method: hand-made services mid-update; the plan is read, or driven forward with tasks that obey.
import t from 'tap'
import {
  type Service,
  type Task,
  TaskState,
  UpdateFailureAction,
  UpdateOrder,
  UpdateState,
} from '../../../proto/index.ts'
import type { Plan } from '../../../manager/orchestrator/draft.ts'
import { reconcile } from '../../../manager/orchestrator/reconcile.ts'
import { aNode, aService, aTask, aTaskSpec, type SpecInit } from '../world.ts'

const NOW = 10_000_000
const NODES = new Map(['n1', 'n2'].map(id => [id, aNode(id)]))
let made = 0

function decide(service: Service, tasks: readonly Task[], nowMs = NOW): Plan {
  return reconcile({
    service,
    tasks,
    nodes: NODES,
    nowMs,
    newId: () => `new-${made++}`,
    nextOrder: () => 1_000_000 + made++,
    defaultLogDriver: null,
  })
}

/** A service at version 2 whose tasks, but for `fresh`, are of version 1. */
function updating(spec: SpecInit, state: UpdateState = UpdateState.UPDATING): Service {
  const before = aService('web', {
    replicated: { replicas: 4 },
    task: aTaskSpec({ container: { image: 'web:1' } }),
  })
  return aService(
    'web',
    { replicated: { replicas: 4 }, task: aTaskSpec({ container: { image: 'web:2' } }), ...spec },
    {
      meta: { version: 9, specVersion: 2 },
      previousSpec: before.spec as never,
      previousSpecVersion: 1,
      updateStatus: { state, startedAtMs: NOW - 10_000 },
    },
  )
}
const old = (service: Service, slot: number): Task =>
  aTask(service, { slot, specVersion: 1, spec: aTaskSpec({ container: { image: 'web:1' } }) })
const fresh = (service: Service, slot: number, state: TaskState, ranMsAgo = 0): Task =>
  aTask(service, {
    slot,
    desiredState: state > TaskState.RUNNING ? TaskState.SHUTDOWN : TaskState.RUNNING,
    status: {
      state,
      appliedAtMs: state >= TaskState.RUNNING ? NOW - ranMsAgo : NOW,
      runningAtMs: state === TaskState.RUNNING ? NOW - ranMsAgo : 0,
    },
  })

t.test('starts as many slots as the parallelism allows, all at once when it is 0', async t => {
  for (const [parallelism, started] of [
    [1, 1],
    [3, 3],
    [0, 4],
  ] as const) {
    const service = updating({ update: { parallelism } })
    const plan = decide(
      service,
      [1, 2, 3, 4].map(slot => old(service, slot)),
    )
    t.equal(plan.created.length, started)
    t.ok(plan.created.every(task => task.desiredState === TaskState.READY))
    t.equal(plan.updated.filter(task => task.desiredState === TaskState.SHUTDOWN).length, started)
  }
})

t.test('a slot under way, or resting its delay, keeps its worker', async t => {
  const service = updating({ update: { parallelism: 1, delayMs: 3_000 } })
  const rest = [2, 3, 4].map(slot => old(service, slot))
  t.equal(decide(service, [fresh(service, 1, TaskState.STARTING), ...rest]).created.length, 0)
  const resting = decide(service, [fresh(service, 1, TaskState.RUNNING, 1_000), ...rest])
  t.equal(resting.created.length, 0)
  t.equal(resting.dueAtMs, NOW + 2_000)
  t.equal(decide(service, [fresh(service, 1, TaskState.RUNNING, 3_000), ...rest]).created.length, 1)
})

t.test('start-first stops the old one only when the new one runs', async t => {
  const service = updating({ update: { parallelism: 1, order: UpdateOrder.START_FIRST } })
  const tasks = [1, 2, 3, 4].map(slot => old(service, slot))
  const plan = decide(service, tasks)
  t.match(plan.created, [{ slot: 1, desiredState: TaskState.RUNNING }])
  t.same(plan.updated, [])
  const starting = decide(service, [...tasks, fresh(service, 1, TaskState.STARTING)])
  t.same([starting.created, starting.updated], [[], []])
  const running = decide(service, [...tasks, fresh(service, 1, TaskState.RUNNING, 0)])
  t.match(
    running.updated.filter(task => task.slot === 1),
    [{ desiredState: TaskState.SHUTDOWN }],
  )
})

t.test('failures: pause, ratio, continue, rollback', async t => {
  const failed = (service: Service): Task[] => [
    fresh(service, 1, TaskState.FAILED),
    ...[2, 3, 4].map(slot => old(service, slot)),
  ]
  const act = (failureAction: UpdateFailureAction, maxFailureRatio = 0): Plan => {
    const service = updating({
      update: { parallelism: 1, monitorMs: 5_000, failureAction, maxFailureRatio },
    })
    return decide(service, failed(service))
  }
  t.match(act(UpdateFailureAction.FAILURE_PAUSE).service?.updateStatus, {
    state: UpdateState.UPDATE_PAUSED,
    message: /^update paused due to failure or early termination of task task-/,
  })
  t.equal(
    act(UpdateFailureAction.FAILURE_PAUSE, 0.25).service,
    undefined,
    '1 of 4 is not above a quarter',
  )
  t.equal(act(UpdateFailureAction.FAILURE_CONTINUE).service, undefined)
  const back = act(UpdateFailureAction.FAILURE_ROLLBACK)
  t.equal(back.rolledBack, true)
  t.equal(back.service?.spec?.task?.container?.image, 'web:1')
  t.equal(back.service?.previousSpec, null)
  t.match(back.service?.updateStatus, {
    state: UpdateState.ROLLBACK_STARTED,
    message: /^update rolled back due/,
  })
})

t.test('a task that ran longer than the monitor, or was stopped by us, is no failure', async t => {
  const service = updating({ update: { parallelism: 1, monitorMs: 5_000 } })
  const rest = [2, 3, 4].map(slot => old(service, slot))
  const ended = (state: TaskState, ranMs: number): Task =>
    aTask(service, {
      slot: 1,
      desiredState: TaskState.SHUTDOWN,
      status: { state, appliedAtMs: NOW, runningAtMs: NOW - ranMs },
    })
  t.equal(decide(service, [ended(TaskState.FAILED, 6_000), ...rest]).service, undefined)
  t.equal(decide(service, [ended(TaskState.SHUTDOWN, 100), ...rest]).service, undefined)
  t.match(decide(service, [ended(TaskState.FAILED, 4_000), ...rest]).service?.updateStatus, {
    state: UpdateState.UPDATE_PAUSED,
  })
})

t.test('a failing rollback pauses and is not rolled back again', async t => {
  const service = updating(
    { rollback: { parallelism: 1, failureAction: UpdateFailureAction.FAILURE_ROLLBACK } },
    UpdateState.ROLLBACK_STARTED,
  )
  const plan = decide(service, [
    fresh(service, 1, TaskState.FAILED),
    ...[2, 3, 4].map(slot => old(service, slot)),
  ])
  t.equal(plan.rolledBack, false)
  t.match(plan.service?.updateStatus, {
    state: UpdateState.ROLLBACK_PAUSED,
    message: /^rollback paused due/,
  })
})

t.test('completes one monitoring period after the last slot', async t => {
  const service = updating({ update: { parallelism: 1, monitorMs: 5_000 } })
  const all = (ago: number) =>
    [1, 2, 3, 4].map(slot => fresh(service, slot, TaskState.RUNNING, ago))
  const watching = decide(service, all(1_000))
  t.equal(watching.service, undefined)
  t.equal(watching.dueAtMs, NOW + 4_000)
  t.match(decide(service, all(5_000)).service?.updateStatus, {
    state: UpdateState.UPDATE_COMPLETED,
    completedAtMs: NOW,
    message: 'update completed',
  })
})

t.test(
  'paused does nothing; a change of placement alone moves only what no longer fits',
  async t => {
    const paused = updating({}, UpdateState.UPDATE_PAUSED)
    const plan = decide(
      paused,
      [1, 2, 3, 4].map(slot => old(paused, slot)),
    )
    t.same([plan.created, plan.updated, plan.service], [[], [], undefined])
    const service = aService(
      'web',
      {
        replicated: { replicas: 2 },
        task: aTaskSpec({ placement: { constraints: ['node.hostname != n2'] } }),
      },
      { meta: { version: 9, specVersion: 2 } },
    )
    const tasks = [1, 2].map(slot =>
      aTask(service, { slot, nodeId: `n${slot}`, specVersion: 1, spec: aTaskSpec() }),
    )
    const moved = decide(service, tasks)
    t.same(
      moved.created.map(task => task.slot),
      [2],
    )
  },
)
