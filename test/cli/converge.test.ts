// Goal: a wait ends when the service is what was asked for, and for the right reason when it never will be.
// Method: snapshots at chosen times, looked at as the runner does; every exit code of a wait appears once.
import t from 'tap'
import { Exit } from '../../cli/failure.ts'
import { type Progress, look } from '../../cli/wait/converge.ts'
import { BLANK, type Memory } from '../../cli/wait/memory.ts'
import type { Goal } from '../../cli/wait/outcome.ts'
import { type Snapshot, slotsOf } from '../../cli/wait/view.ts'
import { stillThere } from '../../cli/wait/gone.ts'
import {
  type Node,
  NodeState,
  RestartCondition,
  type Service,
  type Task,
  TaskState,
  UpdateState,
} from '../../proto/index.ts'
import { aNode, aService, aTask } from './builders.ts'

const NODES = [aNode('n1'), aNode('n2')]
const GOAL: Goal = { serviceId: 'svc1', version: 5, action: 'create', isAttended: false }

function snapshot(
  service: Service | undefined,
  tasks: readonly Task[],
  nodes: readonly Node[] = NODES,
): Snapshot {
  return { service, tasks, nodes }
}

/** Looks at each snapshot at its time, carrying the memory on. */
function watch(goal: Goal, steps: readonly (readonly [number, Snapshot])[]): Progress {
  let memory: Memory = BLANK
  let progress: Progress | undefined
  for (const [nowMs, seen] of steps) ({ memory, progress } = look(goal, memory, seen, nowMs))
  if (progress === undefined) throw new Error('no steps')
  return progress
}

const web = aService()
const running = [aTask(web, { slot: 1 }), aTask(web, { slot: 2, nodeId: 'n2' })]

t.test('all running and still running a second later is done', async t => {
  t.equal(watch(GOAL, [[0, snapshot(web, running)]]).outcome.kind, 'waiting')
  const done = watch(GOAL, [
    [0, snapshot(web, running)],
    [1_000, snapshot(web, running)],
  ])
  t.match(done, { outcome: { kind: 'done' }, running: 2, wanted: 2 })
  t.same(
    done.lines.map(line => `${line.name} ${line.text}`),
    ['web.1 running on host-n1', 'web.2 running on host-n2'],
  )
})

t.test('a task that falls over within the second starts it anew', async t => {
  const fallen = [
    aTask(web, { slot: 1, state: TaskState.FAILED, error: 'task: non-zero exit (1)' }),
    running[1] as Task,
  ]
  const progress = watch(GOAL, [
    [0, snapshot(web, running)],
    [500, snapshot(web, fallen)],
    [900, snapshot(web, running)],
    [1_200, snapshot(web, running)],
  ])
  t.equal(progress.outcome.kind, 'waiting')
})

t.test('a health check has vouched already', async t => {
  const checked = aService({
    spec: { task: { container: { image: 'x', healthcheck: { test: ['CMD', 'true'] } } } },
  })
  const tasks = [aTask(checked, { slot: 1 }), aTask(checked, { slot: 2 })]
  t.equal(watch(GOAL, [[0, snapshot(checked, tasks)]]).outcome.kind, 'done')
})

t.test('what was there before the write does not count', async t => {
  const old = aService({ version: 4, specVersion: 4 })
  t.equal(
    watch(GOAL, [
      [0, snapshot(old, running)],
      [9_000, snapshot(old, running)],
    ]).outcome.kind,
    'waiting',
  )
  const next = aService({ image: 'shop/web:2', specVersion: 6, version: 6 })
  const stale = [1, 2].map(slot => aTask(web, { slot, specVersion: 5 }))
  const progress = watch({ ...GOAL, action: 'update' }, [
    [0, snapshot(next, stale)],
    [5_000, snapshot(next, stale)],
  ])
  t.match(progress, { outcome: { kind: 'waiting' }, running: 0, wanted: 2 })
  t.match(progress.lines[0], { text: 'running (old version)' })
})

t.test('scaling keeps tasks made by an earlier version, as their spec is the same', async t => {
  const scaled = aService({ replicas: 2, specVersion: 9, version: 9 })
  const tasks = running.map(task => ({ ...task, specVersion: 5 }))
  t.equal(
    watch({ ...GOAL, version: 9 }, [
      [0, snapshot(scaled, tasks)],
      [1_000, snapshot(scaled, tasks)],
    ]).outcome.kind,
    'done',
  )
})

t.test('a surplus that is not yet told to go keeps the wait open', async t => {
  const one = aService({ replicas: 1 })
  const tasks = running.map(task => ({ ...task, endpoint: one.endpoint }))
  const before = watch(GOAL, [
    [0, snapshot(one, tasks)],
    [5_000, snapshot(one, tasks)],
  ])
  t.match(before, { outcome: { kind: 'waiting' }, running: 1, wanted: 1 })
  const told = [tasks[0] as Task, { ...(tasks[1] as Task), desiredState: TaskState.REMOVE }]
  const after = watch(GOAL, [
    [0, snapshot(one, told)],
    [1_000, snapshot(one, told)],
  ])
  t.equal(after.outcome.kind, 'done')
})

t.test('a task on a lost node does not count', async t => {
  const nodes = [aNode('n1'), aNode('n2', NodeState.DOWN)]
  const progress = watch(GOAL, [
    [0, snapshot(web, running, nodes)],
    [5_000, snapshot(web, running, nodes)],
  ])
  t.match(progress, { outcome: { kind: 'waiting' }, running: 1 })
  t.match(progress.lines[1], { text: 'lost: node host-n2 is down', mark: 'bad' })
})

t.test('an update runs until the manager says so', async t => {
  const during = aService({ update: { state: UpdateState.UPDATING } })
  const after = aService({ update: { state: UpdateState.UPDATE_COMPLETED } })
  const goal: Goal = { ...GOAL, action: 'update' }
  t.match(
    watch(goal, [
      [0, snapshot(during, running)],
      [9_000, snapshot(during, running)],
    ]),
    {
      outcome: { kind: 'waiting' },
      note: 'watching the new tasks',
    },
  )
  t.equal(
    watch(goal, [
      [0, snapshot(after, running)],
      [1_000, snapshot(after, running)],
    ]).outcome.kind,
    'done',
  )
})

t.test(
  'exit 5 paused, 4 rolled back, 7 roll-back paused, with the task that shows why',
  async t => {
    const goal: Goal = { ...GOAL, action: 'update' }
    const failed = aTask(web, { slot: 3, id: 'bad1', state: TaskState.FAILED, exitCode: 3 })
    const outcome = (state: UpdateState, g: Goal = goal) => {
      const service = aService({ update: { state, message: 'update paused due to bad1' } })
      return watch(g, [
        [0, snapshot(service, [...running, failed])],
        [1_000, snapshot(service, [...running, failed])],
      ]).outcome
    }
    t.match(outcome(UpdateState.UPDATE_PAUSED), { exit: Exit.PAUSED, task: { id: 'bad1' } })
    t.match(outcome(UpdateState.ROLLBACK_COMPLETED), { exit: Exit.ROLLED_BACK })
    t.match(outcome(UpdateState.ROLLBACK_PAUSED), { exit: Exit.ROLLBACK_FAILED })
    t.match(outcome(UpdateState.ROLLBACK_STARTED), { kind: 'waiting' })
    t.match(
      outcome(UpdateState.ROLLBACK_COMPLETED, { ...goal, action: 'rollback' }),
      { kind: 'done' },
      'what was asked for',
    )
  },
)

t.test('a roll-back lowers the spec version and is still seen', async t => {
  const back = aService({
    version: 9,
    specVersion: 3,
    update: { state: UpdateState.ROLLBACK_COMPLETED },
  })
  const tasks = [1, 2].map(slot => aTask(back, { slot, specVersion: 3 }))
  t.match(watch({ ...GOAL, version: 7, action: 'update' }, [[0, snapshot(back, tasks)]]).outcome, {
    exit: Exit.ROLLED_BACK,
  })
})

t.test('exit 1 after the same failure three times in a row', async t => {
  const failure = (order: number, error = 'task: non-zero exit (1)') =>
    aTask(web, { slot: 1, order, state: TaskState.FAILED, desired: TaskState.SHUTDOWN, error })
  const next = aTask(web, { slot: 1, order: 9, state: TaskState.PREPARING })
  const two = watch(GOAL, [[0, snapshot(web, [failure(1), failure(2), next])]])
  t.equal(two.outcome.kind, 'waiting')
  t.match(two.lines[0]?.text, /before: task: non-zero exit \(1\), 2 times/)
  t.match(watch(GOAL, [[0, snapshot(web, [failure(1), failure(2), failure(3), next])]]).outcome, {
    kind: 'failed',
    exit: Exit.REFUSED,
    reason: 'web.1 failed 3 times in a row',
    task: { id: 'task1x3' },
  })
  t.equal(
    watch(GOAL, [[0, snapshot(web, [failure(1), failure(2), failure(3, 'other'), next])]]).outcome
      .kind,
    'waiting',
    'different failures may still come right',
  )
  const cut = watch(GOAL, [
    [0, snapshot(web, [failure(1), next])],
    [1, snapshot(web, [failure(2), next])],
    [2, snapshot(web, [failure(3), next])],
  ])
  t.equal(cut.outcome.kind, 'failed', 'history that was cut off is remembered')
})

t.test('exit 1 when nothing is restarted any more', async t => {
  const dead = [1, 2].map(slot =>
    aTask(web, { slot, state: TaskState.FAILED, desired: TaskState.SHUTDOWN, error: `e${slot}` }),
  )
  t.equal(
    watch(GOAL, [
      [0, snapshot(web, dead)],
      [2_000, snapshot(web, dead)],
    ]).outcome.kind,
    'waiting',
  )
  t.match(
    watch(GOAL, [
      [0, snapshot(web, dead)],
      [3_000, snapshot(web, dead)],
    ]).outcome,
    {
      exit: Exit.REFUSED,
      reason: 'web.1 stopped and will not be restarted',
    },
  )
})

t.test('a task that ended well and is not to be restarted is what was asked for', async t => {
  const once = aService({
    replicas: 1,
    spec: {
      task: { container: { image: 'x' }, restart: { condition: RestartCondition.ON_FAILURE } },
    },
  })
  const tasks = [aTask(once, { state: TaskState.COMPLETE, desired: TaskState.SHUTDOWN })]
  t.equal(
    watch(GOAL, [
      [0, snapshot(once, tasks)],
      [1_000, snapshot(once, tasks)],
    ]).outcome.kind,
    'done',
  )
})

t.test('exit 6 when no node fits: said after 5 s, ended after 15 s without a terminal', async t => {
  const waiting = [1, 2].map(slot =>
    aTask(web, { slot, nodeId: '', state: TaskState.PENDING, error: 'no suitable node' }),
  )
  const steps = (endMs: number): [number, Snapshot][] => [
    [0, snapshot(web, waiting)],
    [endMs, snapshot(web, waiting)],
  ]
  t.equal(watch(GOAL, steps(4_900)).stuck, undefined)
  t.equal(watch(GOAL, steps(5_000)).stuck?.id, 'task1x1')
  t.equal(watch(GOAL, steps(14_900)).outcome.kind, 'waiting')
  t.match(watch(GOAL, steps(15_000)).outcome, { exit: Exit.UNPLACEABLE })
  t.equal(watch({ ...GOAL, isAttended: true }, steps(60_000)).outcome.kind, 'waiting')
  t.match(watch(GOAL, steps(5_000)).lines[0], { text: 'pending: no suitable node', mark: 'bad' })
  const onePlaced = [running[0] as Task, waiting[1] as Task]
  const partly = watch(GOAL, [
    [0, snapshot(web, onePlaced)],
    [15_000, snapshot(web, onePlaced)],
  ])
  t.match(partly, { outcome: { exit: Exit.UNPLACEABLE }, running: 1 }, 'all that are missing')
})

t.test('what blocks the service itself counts as unplaceable', async t => {
  const blocked = aService({ blockedBy: 'port 80 is already in use by service api' })
  const progress = watch(GOAL, [
    [0, snapshot(blocked, [])],
    [15_000, snapshot(blocked, [])],
  ])
  t.match(progress, { note: /port 80/, outcome: { exit: Exit.UNPLACEABLE } })
})

t.test('a removed service ends the wait', async t => {
  t.match(watch(GOAL, [[0, snapshot(undefined, [])]]).outcome, { exit: Exit.REFUSED })
})

t.test('zero replicas are there at once', async t => {
  const none = aService({ replicas: 0 })
  t.equal(
    watch(GOAL, [
      [0, snapshot(none, [])],
      [1_000, snapshot(none, [])],
    ]).outcome.kind,
    'done',
  )
})

t.test('global: one on every node that is ready, open and fits', async t => {
  const nodes = [
    aNode('n1'),
    aNode('n2'),
    aNode('n3', NodeState.DOWN),
    { ...aNode('n4'), spec: { annotations: null, role: 0 as const, availability: 2 as const } },
  ]
  const service = aService({
    spec: {
      global: {},
      task: { container: { image: 'x' }, placement: { constraints: ['node.hostname != host-n2'] } },
    },
  })
  t.same(
    slotsOf(snapshot(service, [], nodes)).map(slot => slot.name),
    ['web.host-n1'],
  )
  const tasks = [aTask(service, { slot: 0, nodeId: 'n1' })]
  t.equal(
    watch(GOAL, [
      [0, snapshot(service, tasks, nodes)],
      [1_000, snapshot(service, tasks, nodes)],
    ]).outcome.kind,
    'done',
  )
})

t.test('a job is done when all its tasks of this run are complete', async t => {
  const job = aService({ spec: { replicatedJob: { maxConcurrent: 1, totalCompletions: 2 } } })
  const done = (slot: number, jobIteration = 0) =>
    aTask(job, { slot, jobIteration, state: TaskState.COMPLETE, desired: TaskState.COMPLETE })
  t.equal(watch(GOAL, [[0, snapshot(job, [done(0)])]]).outcome.kind, 'waiting')
  t.equal(watch(GOAL, [[0, snapshot(job, [done(0), done(1, 7)])]]).outcome.kind, 'waiting')
  t.equal(watch(GOAL, [[0, snapshot(job, [done(0), done(1)])]]).outcome.kind, 'done')
})

t.test('removal waits for what runs on nodes that can be heard', async t => {
  const tasks = [
    aTask(web, { slot: 1 }),
    aTask(web, { slot: 2, nodeId: 'n2' }),
    aTask(web, { slot: 3, state: TaskState.SHUTDOWN }),
    aTask(web, { slot: 4, nodeId: '', state: TaskState.PENDING }),
  ]
  const nodes = [aNode('n1'), aNode('n2', NodeState.DOWN)]
  t.same(
    stillThere(tasks, nodes).map(task => task.slot),
    [1],
  )
})
