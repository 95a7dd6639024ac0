// Goal: a worker carries out assignments, adopts what runs, removes what nobody wants, and notices gaps.
// Method: the real worker, task managers, storage and reporter over a fake engine, in virtual time.
import t from 'tap'
import { Registry } from 'prom-client'
import { AgentMetrics } from '../../agent/metrics.ts'
import { ObjectStore } from '../../agent/objects.ts'
import { Reporter } from '../../agent/reporter.ts'
import { Storage } from '../../agent/storage.ts'
import { Worker } from '../../agent/worker.ts'
import { make } from '../../proto/codec.ts'
import { EndpointState, type AgentMessage, type Task, TaskState, v1 } from '../../proto/index.ts'
import { SimClock } from '../../runtime/clock.ts'
import { StatusError } from '../../runtime/errors.ts'
import { MemoryFs } from '../../runtime/fs.ts'
import { MemoryLog } from '../../runtime/log.ts'
import { seededRandom } from '../../runtime/random.ts'
import { stateName } from '../../services/model/task.ts'
import { FakeExecutor } from '../support/fake-executor.ts'
import { FakeNetworks, aTask, advance, anAssignment } from './builders.ts'

interface Node {
  readonly clock: SimClock
  readonly fs: MemoryFs
  readonly engine: FakeExecutor
  readonly networks: FakeNetworks
  readonly log: MemoryLog
  readonly objects: ObjectStore
  readonly worker: Worker
  readonly sent: AgentMessage[]
}

/** A started worker; hand over `before` to restart the agent beside the same engine and disk. */
async function node(before?: Node): Promise<Node> {
  const clock = before?.clock ?? new SimClock(1_000_000)
  const fs = before?.fs ?? new MemoryFs()
  const engine = before?.engine ?? new FakeExecutor(clock)
  const networks = new FakeNetworks()
  const log = new MemoryLog()
  const objects = new ObjectStore('n1')
  const reporter = new Reporter(clock)
  const sent: AgentMessage[] = []
  const worker = new Worker({
    clock,
    random: seededRandom(1),
    log,
    metrics: new AgentMetrics(new Registry()),
    executor: engine,
    networks,
    storage: new Storage({ fs, log, dir: '/state' }),
    reporter,
    objects,
    nodeId: 'n1',
    address: () => '10.0.0.1',
  })
  await worker.start()
  reporter.attach(message => sent.push(message))
  worker.sessionOpened()
  await advance(clock, 50)
  return { clock, fs, engine, networks, log, objects, worker, sent }
}

const stateOf = (on: Node, id = 't1'): string =>
  stateName(on.worker.task(id)?.status?.state ?? TaskState.NEW).toUpperCase()
const complete = (tasks: readonly Task[], revision = 1) =>
  anAssignment({ complete: true, revision, tasks })

/** States reported of a task, in order. */
const reported = (on: Node, id = 't1'): string[] =>
  on.sent.flatMap(sent =>
    sent.message === 'report'
      ? sent.report.tasks
          .filter(({ taskId }) => taskId === id)
          .map(({ status }) => stateName(status?.state ?? TaskState.NEW).toUpperCase())
      : [],
  )

t.test('an assigned task comes to run, each state in turn, and is on disk', async t => {
  const on = await node()
  t.ok(on.worker.apply(complete([aTask()])))
  await advance(on.clock, 200)
  t.equal(stateOf(on), 'RUNNING')
  t.strictSame(on.engine.calls, ['prepare web.1.t1', 'start web.1.t1'])
  t.equal(reported(on).at(-1), 'RUNNING')
  t.ok(on.fs.files.has('/state/tasks/t1'))
})

t.test('wanted ready, it waits; wanted running, it starts', async t => {
  const on = await node()
  on.worker.apply(complete([aTask({ desiredState: TaskState.READY })]))
  await advance(on.clock, 200)
  t.equal(stateOf(on), 'READY')
  t.ok(on.worker.apply(anAssignment({ appliesTo: 1, revision: 2, tasks: [aTask()] })))
  await advance(on.clock, 200)
  t.equal(stateOf(on), 'RUNNING')
})

t.test('changes that do not follow on are refused', async t => {
  const on = await node()
  t.notOk(on.worker.apply(anAssignment({ appliesTo: 0, revision: 1 })), 'no complete set yet')
  t.ok(on.worker.apply(complete([])))
  t.ok(on.worker.apply(anAssignment({ appliesTo: 1, revision: 2 })))
  t.notOk(on.worker.apply(anAssignment({ appliesTo: 3, revision: 4, tasks: [aTask()] })))
  t.equal(on.worker.tasks().length, 0)
  on.worker.sessionOpened()
  t.notOk(on.worker.apply(anAssignment({ appliesTo: 2, revision: 3 })), 'a new session begins anew')
})

t.test('a restarted agent adopts running containers without a manager', async t => {
  const before = await node()
  before.worker.apply(complete([aTask(), aTask({ id: 't2', slot: 2 })]))
  await advance(before.clock, 200)
  await before.worker.stop()
  before.engine.exit('t2', 3)
  const on = await node(before)
  await advance(on.clock, 200)
  t.equal(stateOf(on), 'RUNNING')
  t.equal(stateOf(on, 't2'), 'FAILED')
  t.equal(on.engine.containers.get('t1')?.starts, 1, 'started once in its life')
  t.ok(reported(on).includes('RUNNING'), 'everything is reported to the new session')
})

t.test('containers of no task go only after a complete set', async t => {
  const before = await node()
  before.engine.plant('stranger')
  const on = await node(before)
  await advance(on.clock, 60_000, 1_000)
  t.ok(on.engine.containers.has('stranger'), 'no manager has spoken')
  on.worker.apply(complete([]))
  await advance(on.clock, 200)
  t.notOk(on.engine.containers.has('stranger'))
})

t.test('a lost disk loses no running container', async t => {
  const before = await node()
  before.worker.apply(complete([aTask()]))
  await advance(before.clock, 200)
  await before.worker.stop()
  before.fs.files.clear()
  const on = await node(before)
  on.worker.apply(complete([aTask({ status: { state: TaskState.RUNNING } })]))
  await advance(on.clock, 200)
  t.equal(on.engine.containers.get('t1')?.starts, 1)
  t.equal(stateOf(on), 'RUNNING')
})

t.test('a task missing from a complete set goes with its container', async t => {
  const on = await node()
  on.worker.apply(complete([aTask()]))
  await advance(on.clock, 200)
  on.worker.apply(complete([], 2))
  await advance(on.clock, 200)
  t.equal(on.engine.containers.size, 0)
  t.equal(on.worker.task('t1'), undefined)
  t.notOk(on.fs.files.has('/state/tasks/t1'))
})

t.test('shutdown keeps the stopped container until the task is removed', async t => {
  const on = await node()
  on.worker.apply(complete([aTask()]))
  await advance(on.clock, 200)
  on.worker.apply(
    anAssignment({
      appliesTo: 1,
      revision: 2,
      tasks: [aTask({ desiredState: TaskState.SHUTDOWN })],
    }),
  )
  await advance(on.clock, 200)
  t.equal(stateOf(on), 'SHUTDOWN')
  t.ok(on.engine.containers.has('t1'))
  on.worker.apply(anAssignment({ appliesTo: 2, revision: 3, removedTasks: ['t1'] }))
  await advance(on.clock, 200)
  t.notOk(on.engine.containers.has('t1'))
})

t.test('desired REMOVE removes the container and then says so', async t => {
  const on = await node()
  on.worker.apply(complete([aTask()]))
  await advance(on.clock, 200)
  on.worker.apply(
    anAssignment({ appliesTo: 1, revision: 2, tasks: [aTask({ desiredState: TaskState.REMOVE })] }),
  )
  await advance(on.clock, 200)
  t.equal(reported(on).at(-1), 'SHUTDOWN')
  t.notOk(on.engine.containers.has('t1'))
})

t.test('a vanished container fails its task even when no event says so', async t => {
  const on = await node()
  on.worker.apply(complete([aTask()]))
  await advance(on.clock, 200)
  on.engine.containers.delete('t1')
  await advance(on.clock, 31_000, 500)
  t.equal(stateOf(on), 'FAILED')
  t.match(on.worker.task('t1')?.status?.error, /its container is gone/)
})

t.test('a health check holds RUNNING back, and later ends the task', async t => {
  const on = await node()
  on.engine.health = 'starting'
  on.worker.apply(complete([aTask()]))
  await advance(on.clock, 200)
  t.equal(stateOf(on), 'STARTING')
  on.engine.setHealth('t1', 'healthy')
  await advance(on.clock, 100)
  t.equal(stateOf(on), 'RUNNING')
  on.engine.setHealth('t1', 'unhealthy')
  await advance(on.clock, 100)
  t.equal(stateOf(on), 'FAILED')
  t.match(on.worker.task('t1')?.status?.error, /^unhealthy container/)
})

t.test('passing errors are tried again after a second, with their reason shown', async t => {
  const on = await node()
  on.engine.fail('prepare', new StatusError('Unavailable', 'registry does not answer'), 2)
  on.worker.apply(complete([aTask()]))
  await advance(on.clock, 500)
  t.equal(stateOf(on), 'PREPARING')
  t.equal(on.worker.task('t1')?.status?.error, 'registry does not answer')
  await advance(on.clock, 2_500, 100)
  t.equal(stateOf(on), 'RUNNING')
  t.equal(on.worker.task('t1')?.status?.error, '')
})

t.test('final errors reject before the start and fail after it', async t => {
  const on = await node()
  on.engine.fail('prepare', new StatusError('NotFound', 'image app:1 not found'), 1, 't1')
  on.engine.fail(
    'start',
    new StatusError('FailedPrecondition', 'port 80 is already in use'),
    1,
    't2',
  )
  on.worker.apply(complete([aTask(), aTask({ id: 't2', slot: 2 })]))
  await advance(on.clock, 200)
  t.equal(stateOf(on), 'REJECTED')
  t.equal(stateOf(on, 't2'), 'FAILED')
})

t.test('an engine that is away fails nothing', async t => {
  const on = await node()
  on.worker.apply(complete([aTask()]))
  await advance(on.clock, 200)
  on.engine.setUp(false)
  await advance(on.clock, 120_000, 1_000)
  t.equal(stateOf(on), 'RUNNING')
  on.engine.exit('t1', 0)
  on.engine.setUp(true)
  await advance(on.clock, 2_000, 100)
  t.equal(stateOf(on), 'COMPLETE')
})

t.test('a secret that has not come is waited for', async t => {
  const on = await node()
  const secrets = [{ secretId: 'x', secretName: 'key' }]
  on.worker.apply(complete([aTask({ spec: { container: { image: 'app:1', secrets } } })]))
  await advance(on.clock, 5_000, 100)
  t.equal(stateOf(on), 'PREPARING')
  t.match(on.worker.task('t1')?.status?.error, /waits for secret key/)
  on.worker.apply(
    anAssignment({ appliesTo: 1, revision: 2, secrets: [make(v1.Secret, { id: 'x' })] }),
  )
  await advance(on.clock, 2_000, 100)
  t.equal(stateOf(on), 'RUNNING')
  for (const bytes of on.fs.files.values()) t.notMatch(Buffer.from(bytes).toString(), /"x"/)
})

t.test('shutdown calls off a long preparation', async t => {
  const clock = new SimClock()
  const engine = new FakeExecutor(clock, { times: { prepareMs: 600_000 } })
  const base = await node()
  const on = await node({ ...base, clock, engine })
  on.worker.apply(complete([aTask()]))
  await advance(clock, 100)
  on.worker.apply(
    anAssignment({
      appliesTo: 1,
      revision: 2,
      tasks: [aTask({ desiredState: TaskState.SHUTDOWN })],
    }),
  )
  await advance(clock, 100)
  t.equal(stateOf(on), 'SHUTDOWN')
})

t.test('network tables follow the changes and are acknowledged by session revision', async t => {
  const on = await node()
  on.networks.instant = false
  const entry = make(v1.EndpointEntry, {
    taskId: 't9',
    address: '10.1.0.9',
    state: EndpointState.ENDPOINT_READY,
  })
  const table = make(v1.NetworkTable, { networkId: 'net', vni: 4097 })
  on.worker.apply(anAssignment({ complete: true, revision: 1, networks: [table] }))
  on.worker.apply(
    anAssignment({
      appliesTo: 1,
      revision: 2,
      endpoints: [{ networkId: 'net', removed: false, entry }],
    }),
  )
  t.equal(on.networks.states.at(-1)?.networks.get('net')?.endpoints.length, 1)
  t.equal(on.worker.applied().revision, undefined, 'the kernel has nothing yet')
  on.networks.revision = on.networks.states[0]?.revision ?? 0
  t.equal(on.worker.applied().revision, 1)
  on.networks.revision = on.networks.states.at(-1)?.revision ?? 0
  on.worker.apply(anAssignment({ appliesTo: 2, revision: 3, tasks: [aTask()] }))
  t.equal(on.worker.applied().revision, 3, 'a message without networks needs nothing of the kernel')
  on.worker.sessionOpened()
  t.equal(on.worker.applied().revision, undefined, 'an older session’s revision says nothing')
  await advance(on.clock, 2_000, 500)
  await on.worker.stop()
  const after = await node(on)
  t.equal(
    after.networks.states[0]?.networks.get('net')?.endpoints[0]?.address,
    '10.1.0.9',
    'tables survive',
  )
})
