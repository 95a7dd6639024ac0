// Goal: the leader's loops together turn declared services into running tasks and keep them so.
// Method: a store in memory, virtual time, agents in memory that do what they are told.
import t, { type Test } from 'tap'
import { make } from '../../proto/codec.ts'
import {
  NodeAvailability,
  NodeState,
  TaskState,
  UpdateFailureAction,
  UpdateOrder,
  UpdateState,
  v1,
} from '../../proto/index.ts'
import { aNetwork, aService, aTaskSpec, SECOND, World } from './world.ts'

const world = async (t: Test, nodes: readonly string[]): Promise<World> => {
  const w = new World()
  await w.start(nodes)
  t.teardown(() => w.stop())
  return w
}

t.test('six replicas run, spread over three nodes, within a moment', async t => {
  const w = await world(t, ['n1', 'n2', 'n3'])
  const service = await w.create(aService('web', { replicated: { replicas: 6 } }))
  const took = await w.until(() => w.running(service.id).length === 6, 2 * SECOND)
  t.ok(took < 200, `managers added ${took} ms`)
  for (const id of ['n1', 'n2', 'n3'])
    t.equal(w.running(service.id).filter(task => task.nodeId === id).length, 2)
  t.same(
    w
      .running(service.id)
      .map(task => task.slot)
      .toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6],
  )
})

t.test('the tasks of a node that falls silent run elsewhere within nine seconds', async t => {
  const w = await world(t, ['n1', 'n2', 'n3'])
  const service = await w.create(aService('web', { replicated: { replicas: 6 } }))
  await w.until(() => w.running(service.id).length === 6, 2 * SECOND)
  w.agent('n2').silent = true
  const took = await w.until(
    () => w.running(service.id).filter(task => task.nodeId !== 'n2').length === 6,
    9 * SECOND,
  )
  t.ok(took <= 5 * SECOND, `took ${took} ms`)
  t.equal(
    w.store.view(tx => tx.get('node', 'n2')?.status?.state),
    NodeState.DOWN,
  )
  t.ok(
    w
      .tasks(service.id)
      .filter(x => x.nodeId === 'n2')
      .every(x => x.desiredState === TaskState.SHUTDOWN),
  )

  w.agent('n2').silent = false
  const back = w.connect('n2')
  await w.run(SECOND)
  t.equal(w.running(service.id).length, 6, 'nothing moves back')
  t.ok([...back.tasks.values()].every(task => task.desiredState === TaskState.SHUTDOWN))
})

t.test('a broken connection makes a node suspect at once, down after the grace', async t => {
  const w = await world(t, ['n1', 'n2', 'n3'])
  w.agent('n3').cut()
  await w.run(50)
  t.equal(
    w.store.view(tx => tx.get('node', 'n3')?.status?.state),
    NodeState.SUSPECT,
  )
  await w.run(9 * SECOND)
  t.equal(
    w.store.view(tx => tx.get('node', 'n3')?.status?.state),
    NodeState.SUSPECT,
    'its daemon may be starting anew',
  )
  await w.run(SECOND)
  t.equal(
    w.store.view(tx => tx.get('node', 'n3')?.status?.state),
    NodeState.DOWN,
  )
  w.connect('n3')
  await w.run(50)
  t.equal(
    w.store.view(tx => tx.get('node', 'n3')?.status?.state),
    NodeState.NODE_READY,
  )
})

t.test('a new leader gives nodes time to find it', async t => {
  const w = await world(t, ['n1', 'n2', 'n3'])
  const service = await w.create(aService('web', { replicated: { replicas: 3 } }))
  await w.until(() => w.running(service.id).length === 3, 2 * SECOND)
  await w.stop()
  for (const loop of w.parts.loops) loop.start()
  await w.run(20)
  t.equal(
    w.store.view(tx => tx.get('node', 'n1')?.status?.state),
    NodeState.UNKNOWN,
  )
  t.equal(w.agent('n1').ended, 'this manager does not lead any more')
  w.connect('n1')
  w.connect('n2')
  await w.run(4 * SECOND)
  t.equal(w.tasks(service.id).length, 3, 'nothing was moved')
  const took = await w.until(
    () => w.running(service.id).filter(x => x.nodeId !== 'n3').length === 3,
    9 * SECOND,
  )
  t.ok(took < 3 * SECOND, `after 4 s it took ${took} ms more`)
})

t.test('when more than a third vanishes at once eviction pauses, for a while', async t => {
  const w = await world(t, ['n1', 'n2', 'n3', 'n4', 'n5'])
  const service = await w.create(aService('web', { replicated: { replicas: 5 } }))
  await w.until(() => w.running(service.id).length === 5, 2 * SECOND)
  w.agent('n4').cut()
  w.agent('n5').cut()
  await w.run(10 * SECOND)
  const node = w.store.view(tx => tx.get('node', 'n4'))
  t.equal(node?.status?.state, NodeState.SUSPECT)
  t.match(node?.status?.message, /eviction paused: 2 of 5 nodes vanished together/)
  t.equal(w.tasks(service.id).length, 5)
  await w.run(25 * SECOND)
  t.equal(w.running(service.id).filter(x => x.nodeId < 'n4').length, 5)
})

t.test('a rolling update replaces one slot at a time', async t => {
  const w = await world(t, ['n1', 'n2', 'n3'])
  const service = await w.create(
    aService('web', {
      replicated: { replicas: 3 },
      update: { parallelism: 1, delayMs: 2 * SECOND, monitorMs: SECOND },
    }),
  )
  await w.until(() => w.running(service.id).length === 3, 2 * SECOND)
  await w.update(service.id, spec => ({
    task: make(v1.TaskSpec, { ...spec.task, container: { image: 'web:2' } } as never),
  }))
  const fresh = () => w.running(service.id).filter(x => x.spec?.container?.image === 'web:2')
  await w.run(500)
  t.equal(fresh().length, 1)
  await w.run(2 * SECOND)
  t.equal(fresh().length, 2)
  await w.until(
    tx => tx.get('service', service.id)?.updateStatus?.state === UpdateState.UPDATE_COMPLETED,
    20 * SECOND,
  )
  t.equal(fresh().length, 3)
})

t.test('a failing update pauses after the first failure and leaves the rest alone', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(aService('web', { replicated: { replicas: 4 } }))
  await w.until(() => w.running(service.id).length === 4, 2 * SECOND)
  for (const agent of w.agents.values())
    agent.outcome = task =>
      task.spec?.container?.image === 'bad' ? TaskState.FAILED : TaskState.RUNNING
  await w.update(service.id, spec => ({
    task: make(v1.TaskSpec, { ...spec.task, container: { image: 'bad' } } as never),
  }))
  await w.run(SECOND)
  const status = w.store.view(tx => tx.get('service', service.id)?.updateStatus)
  t.equal(status?.state, UpdateState.UPDATE_PAUSED)
  t.match(status?.message, /update paused due to failure or early termination of task/)
  t.equal(w.running(service.id).length, 3)
})

t.test('a failing start-first update rolls back and never has fewer replicas', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(
    aService('web', {
      replicated: { replicas: 4 },
      update: {
        parallelism: 2,
        monitorMs: SECOND,
        order: UpdateOrder.START_FIRST,
        failureAction: UpdateFailureAction.FAILURE_ROLLBACK,
      },
    }),
  )
  await w.until(() => w.running(service.id).length === 4, 2 * SECOND)
  const before = w.running(service.id).map(x => x.id)
  for (const agent of w.agents.values())
    agent.outcome = task =>
      task.spec?.container?.image === 'bad' ? TaskState.FAILED : TaskState.RUNNING
  await w.update(service.id, spec => ({
    task: make(v1.TaskSpec, { ...spec.task, container: { image: 'bad' } } as never),
  }))
  let fewest = Infinity
  for (let step = 0; step < 100; step++) {
    await w.run(100)
    fewest = Math.min(fewest, w.running(service.id).length)
  }
  t.ok(fewest >= 4)
  const status = w.store.view(tx => tx.get('service', service.id)?.updateStatus)
  t.equal(status?.state, UpdateState.ROLLBACK_COMPLETED)
  t.same(
    w
      .running(service.id)
      .map(x => x.id)
      .toSorted(),
    before.toSorted(),
    'the old tasks were kept',
  )
})

t.test('a failed task is replaced in its slot after the restart delay', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(aService('web', { replicated: { replicas: 2 } }))
  await w.until(() => w.running(service.id).length === 2, 2 * SECOND)
  const victim = w.running(service.id)[0]
  if (!victim) throw new Error('no task')
  w.agent(victim.nodeId).report(victim, TaskState.FAILED)
  await w.run(SECOND)
  const next = w.tasks(service.id).find(x => x.slot === victim.slot && x.id !== victim.id)
  t.equal(next?.desiredState, TaskState.READY)
  t.equal(next?.status?.state, TaskState.READY, 'prepared meanwhile')
  await w.run(3.5 * SECOND)
  t.equal(w.running(service.id).length, 1)
  await w.run(SECOND)
  t.equal(w.running(service.id).length, 2)
})

t.test(
  'draining empties a node without the restart delay; removing a service removes its tasks',
  async t => {
    const w = await world(t, ['n1', 'n2'])
    const service = await w.create(aService('web', { replicated: { replicas: 4 } }))
    await w.until(() => w.running(service.id).length === 4, 2 * SECOND)
    await w.store.update(tx => {
      const node = tx.get('node', 'n1')
      if (!node?.spec) return
      tx.update(
        'node',
        { ...node, spec: { ...node.spec, availability: NodeAvailability.DRAIN } },
        { spec: true },
      )
    })
    const took = await w.until(
      () => w.running(service.id).filter(x => x.nodeId === 'n2').length === 4,
      2 * SECOND,
    )
    t.ok(took < 500)
    await w.store.update(tx => tx.delete('service', service.id))
    await w.until(tx => tx.list('task').length === 0, 2 * SECOND)
    t.equal(w.agent('n2').tasks.size, 0)
  },
)

t.test('tasks get addresses, nodes gateways, agents tables with names', async t => {
  const w = await world(t, ['n1', 'n2'])
  await w.store.update(tx => tx.create('network', aNetwork('back')))
  const service = await w.create(
    aService('web', {
      replicated: { replicas: 2 },
      task: aTaskSpec({ networks: [{ target: 'network-back', aliases: ['www'] }] }),
    }),
  )
  await w.until(() => w.running(service.id).length === 2, 2 * SECOND)
  await w.run(100)
  const network = w.store.view(tx => tx.get('network', 'network-back'))
  t.match(network, {
    vni: 4097,
    subnet: '10.0.0.0/24',
    gateways: [{ address: /10\.0\.0\.25[34]/ }, {}],
  })
  const last = new Map<string, { names: readonly string[]; state: number; address: string }>()
  for (const message of w.agent('n1').messages) {
    if (message.message !== 'assignments') continue
    for (const table of message.assignments.networks)
      for (const entry of table.endpoints) last.set(entry.taskId, entry)
    for (const change of message.assignments.endpoints)
      if (change.entry) last.set(change.entry.taskId, change.entry)
  }
  t.same(
    [...last.values()]
      .map(entry => [entry.names[0], entry.address, entry.state])
      .toSorted((a, b) => String(a).localeCompare(String(b))),
    [
      ['web.1', '10.0.0.1', 1],
      ['web.2', '10.0.0.2', 1],
    ],
  )
  const revisions = w
    .agent('n1')
    .messages.flatMap(m => (m.message === 'assignments' ? [m.assignments] : []))
  t.ok(
    revisions.every(
      (a, at) => a.revision === at + 1 && (at === 0 ? a.complete : a.appliesTo === at),
    ),
  )
})

t.test('a global service has a task on each node, those that join included', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(aService('agent', { global: {} }))
  await w.until(() => w.running(service.id).length === 2, 2 * SECOND)
  await w.store.update(tx => {
    const node = tx.get('node', 'n1')
    if (node) tx.create('node', { ...node, id: 'n3', status: null })
  })
  w.connect('n3')
  await w.until(() => w.running(service.id).length === 3, 2 * SECOND)
  t.same(
    w
      .running(service.id)
      .map(x => x.nodeId)
      .toSorted(),
    ['n1', 'n2', 'n3'],
  )
  w.agent('n3').cut()
  await w.run(5 * SECOND)
  const there = w.tasks(service.id).find(x => x.nodeId === 'n3')
  t.equal(there?.desiredState, TaskState.RUNNING, 'a node that is down keeps its task')
})

t.test('a task that fits nowhere says why, and runs once it fits', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(
    aService('web', { task: aTaskSpec({ placement: { constraints: ['node.labels.disk==ssd'] } }) }),
  )
  await w.run(200)
  const task = w.tasks(service.id)[0]
  t.equal(
    task?.status?.error,
    'no suitable node (scheduling constraints not satisfied on 2 nodes: n1, n2)',
  )
  t.equal(task?.explanation?.nodes.length, 2)
  t.same(task?.explanation?.suggestions[0], 'skein node update --label-add disk=ssd n1')
  await w.store.update(tx => {
    const node = tx.get('node', 'n2')
    if (!node?.spec?.annotations) return
    const annotations = { ...node.spec.annotations, labels: { disk: 'ssd' } }
    tx.update('node', { ...node, spec: { ...node.spec, annotations } }, { spec: true })
  })
  await w.until(() => w.running(service.id).length === 1, SECOND)
  t.equal(w.running(service.id)[0]?.nodeId, 'n2')
  t.equal(w.tasks(service.id)[0]?.explanation, null)
})

t.test('loops at rest write nothing', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(aService('web', { replicated: { replicas: 3 } }))
  await w.until(() => w.running(service.id).length === 3, 2 * SECOND)
  await w.run(2 * SECOND)
  const version = w.store.version
  await w.run(300 * SECOND)
  t.equal(w.store.version, version)
  t.same(
    w.log.lines.filter(line => line.level === 'warn' || line.level === 'error'),
    [],
  )
})
