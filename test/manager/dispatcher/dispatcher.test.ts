// Goal: sessions, reports and streams keep to the protocol; node states follow from what was heard.
// Method: the pure judgements; then a dispatcher with agents in memory that behave well and badly.
import t, { type Test } from 'tap'
import {
  evictionPausedUntil,
  heartbeatPeriod,
  judge,
  type Contact,
  type HealthConfig,
} from '../../../manager/dispatcher/node-health.ts'
import { mergeStatus } from '../../../manager/dispatcher/status-queue.ts'
import { make } from '../../../proto/codec.ts'
import {
  type AgentMessage,
  type ManagerMessage,
  NodeState,
  type StreamFrame,
  TaskState,
  v1,
} from '../../../proto/index.ts'
import { duplexPair } from '../../../runtime/duplex.ts'
import { aDescription, aNode, aService, aTask, SECOND, World } from '../world.ts'

const config: HealthConfig = { heartbeatMs: 1_000, graceMs: 10_000, registrationMs: 6_000 }
const contact = (init: Partial<Contact>): Contact => ({
  connected: false,
  heardMs: 0,
  lostMs: undefined,
  goodBye: false,
  ...init,
})
const inState = (state: NodeState) => aNode('n1', { status: { state } })

t.test('judgements', async t => {
  const at = (state: NodeState, c: Contact | undefined, nowMs: number) =>
    judge(inState(state), c, nowMs, 0, config)
  t.same(at(NodeState.NODE_READY, contact({ connected: true }), 2_999), {
    verdict: undefined,
    dueMs: 3_000,
  })
  t.match(at(NodeState.NODE_READY, contact({ connected: true }), 3_000).verdict, {
    state: NodeState.DOWN,
    message: 'heartbeat failure',
  })
  t.match(at(NodeState.NODE_READY, contact({ lostMs: 100 }), 100), {
    verdict: { state: NodeState.SUSPECT },
    dueMs: 10_100,
  })
  t.match(at(NodeState.SUSPECT, contact({ lostMs: 1_999 }), 2_000), { dueMs: 11_999 })
  t.match(at(NodeState.SUSPECT, contact({ lostMs: 2_000 }), 2_000), { dueMs: 3_000 }, 'was silent')
  t.match(at(NodeState.SUSPECT, contact({ lostMs: 100 }), 10_100).verdict, {
    state: NodeState.DOWN,
    reason: 'disconnected',
  })
  t.match(at(NodeState.NODE_READY, contact({ lostMs: 100, goodBye: true }), 200).verdict, {
    state: NodeState.DISCONNECTED,
  })
  t.match(at(NodeState.NODE_READY, undefined, 0), {
    verdict: { state: NodeState.UNKNOWN },
    dueMs: 6_000,
  })
  t.match(at(NodeState.UNKNOWN, undefined, 6_000).verdict, {
    state: NodeState.DOWN,
    reason: 'not_registered',
  })
  t.match(at(NodeState.SUSPECT, contact({ connected: true }), 500).verdict, {
    state: NodeState.NODE_READY,
  })
  t.same(at(NodeState.DOWN, undefined, 9_000), { verdict: undefined, dueMs: undefined })
})

t.test('eviction pauses for a mass loss only, and not for ever', async t => {
  const gone = (...times: number[]) => times.map((atMs, n) => ({ nodeId: `n${n}`, atMs }))
  t.equal(evictionPausedUntil(gone(1_000), 3, 2_000), undefined, 'one of three')
  t.equal(evictionPausedUntil(gone(1_000, 1_200), 3, 2_000), 31_000, 'two of three')
  t.equal(
    evictionPausedUntil(gone(1_000, 1_200), 6, 2_000),
    undefined,
    'a third is not more than a third',
  )
  t.equal(evictionPausedUntil(gone(1_000, 20_000), 5, 21_000), undefined, 'one after the other')
  t.equal(evictionPausedUntil(gone(1_000, 1_200), 3, 31_000), undefined, 'long enough')
  t.same([heartbeatPeriod(1_000, 5), heartbeatPeriod(1_000, 1_200)], [1_000, 2_000])
})

t.test('reported states only rise, and the managers keep their own times', async t => {
  const service = aService('web')
  const status = (state: TaskState, init: object = {}) =>
    make(v1.TaskStatus, { state, observedAtMs: 9, ...init })
  const starting = aTask(service, { status: { state: TaskState.STARTING, appliedAtMs: 5 } })
  t.match(mergeStatus(starting, status(TaskState.RUNNING), 50), {
    appliedAtMs: 50,
    runningAtMs: 50,
  })
  t.equal(mergeStatus(starting, status(TaskState.READY), 50), 'stale')
  const running = aTask(service, {
    status: { state: TaskState.RUNNING, appliedAtMs: 5, runningAtMs: 5, message: 'started' },
  })
  t.match(mergeStatus(running, status(TaskState.RUNNING, { message: 'healthy' }), 50), {
    appliedAtMs: 5,
    message: 'healthy',
  })
  t.equal(mergeStatus(running, status(TaskState.RUNNING, { message: 'started' }), 50), 'unchanged')
  t.match(mergeStatus(running, status(TaskState.FAILED), 50), { appliedAtMs: 50, runningAtMs: 5 })
  const failed = aTask(service, { status: { state: TaskState.FAILED } })
  t.equal(
    mergeStatus(failed, status(TaskState.ORPHANED), 50),
    'stale',
    'what ended stays as it ended',
  )
})

const world = async (t: Test, nodes: readonly string[]): Promise<World> => {
  const w = new World()
  await w.start(nodes)
  t.teardown(() => w.stop())
  return w
}
const dial = (w: World, nodeId: string) => {
  const [agent, manager] = duplexPair<ManagerMessage, AgentMessage>()
  const got: ManagerMessage[] = []
  const end: { error?: string } = {}
  agent.onMessage(message => void got.push(message))
  agent.onEnd(error => void (end.error = error ? `${error.code}: ${error.message}` : 'clean'))
  w.dispatcher.session({ nodeId, address: '10.1.1.1:99' }, manager)
  return { got, end, send: (init: object) => agent.send(make(v1.AgentMessage, init)) }
}

t.test(
  'a session begins with a hello of the right protocol, from a node of the cluster',
  async t => {
    const w = await world(t, ['n1'])
    const mute = dial(w, 'n1')
    await w.run(5 * SECOND)
    t.match(mute.end.error, /DeadlineExceeded: no hello within 5 s/)
    const hello = { description: aDescription('x'), protocol: 1 }
    const cases: [string, object, RegExp][] = [
      ['n1', { heartbeat: {} }, /InvalidArgument: the first message must be a hello/],
      [
        'n1',
        { hello: { ...hello, protocol: 7 } },
        /FailedPrecondition: the agent speaks protocol 7, this manager 1/,
      ],
      ['gone', { hello }, /NotFound: node gone is not in the cluster/],
    ]
    for (const [node, message, error] of cases) {
      const bad = dial(w, node)
      bad.send(message)
      await w.run(20)
      t.match(bad.end.error, error)
    }
    t.equal(
      w.store.view(tx => tx.get('node', 'n1')?.status?.state),
      NodeState.NODE_READY,
    )
  },
)

t.test(
  'the welcome comes first, then managers, roots and the complete set; a newer session replaces',
  async t => {
    const w = await world(t, ['n1'])
    const session = dial(w, 'n1')
    session.send({ hello: { description: aDescription('renamed'), protocol: 1 } })
    await w.run(50)
    t.same(
      session.got.map(m => m.message),
      ['welcome', 'managers', 'roots', 'assignments'],
    )
    t.match(session.got[0]?.welcome, {
      heartbeatMs: 1_000,
      clusterId: 'cluster',
      node: { description: { hostname: 'renamed' }, status: { address: '10.1.1.1:99' } },
    })
    t.match(w.agent('n1').ended, /a newer session replaced this one/)
    t.equal(
      w.store.view(tx => tx.get('node', 'n1')?.status?.state),
      NodeState.NODE_READY,
    )
    session.send({ goodBye: { reason: 'upgrade' } })
    await w.run(20)
    t.equal(
      w.store.view(tx => tx.get('node', 'n1')?.status?.state),
      NodeState.DISCONNECTED,
    )
    await w.run(10 * SECOND)
    t.equal(
      w.store.view(tx => tx.get('node', 'n1')?.status?.state),
      NodeState.DOWN,
    )
  },
)

t.test('reports are acknowledged once stored; a foreign task is left alone', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(aService('web', { replicated: { replicas: 2 } }))
  await w.until(() => w.running(service.id).length === 2, SECOND)
  const [theirs] = w.running(service.id).filter(x => x.nodeId === 'n2')
  if (!theirs) throw new Error('no task')
  w.agent('n1').messages.length = 0
  w.agent('n1').report(theirs, TaskState.FAILED)
  await w.run(50)
  t.equal(w.agent('n1').messages.filter(m => m.message === 'reportAck').length, 1)
  t.equal(w.running(service.id).length, 2)
  t.match(
    w.log.lines.map(line => line.message),
    /a node reported a task that is not its own/,
  )
})

t.test('a manager that was itself stopped for a while takes nobody for dead', async t => {
  const w = await world(t, ['n1', 'n2', 'n3'])
  // Nothing runs for ten seconds; then timers fire before the messages that wait are read.
  w.clock.stall(10 * SECOND)
  for (const agent of w.agents.values()) agent.send({ heartbeat: { sequence: 1 } })
  w.clock.advance(3 * SECOND)
  await w.run(2 * SECOND)
  const states = w.store.view(tx => tx.list('node').map(node => node.status?.state))
  t.same(states, [NodeState.NODE_READY, NodeState.NODE_READY, NodeState.NODE_READY])
  t.notMatch(w.log.lines.map(line => line.fields['message']).join(), /heartbeat failure/)
})

t.test('a removed node loses its session and its tasks', async t => {
  const w = await world(t, ['n1', 'n2'])
  const service = await w.create(aService('web', { replicated: { replicas: 2 } }))
  await w.until(() => w.running(service.id).length === 2, SECOND)
  await w.store.update(tx => tx.delete('node', 'n2'))
  await w.until(() => w.running(service.id).filter(x => x.nodeId === 'n1').length === 2, SECOND)
  t.match(w.agent('n2').ended, /removed from the cluster/)
})

t.test('streams meet by id, for their node alone, within a limit', async t => {
  const w = await world(t, ['n1', 'n2'])
  const frame = (init: object): StreamFrame => make(v1.StreamFrame, init)
  const opening = w.dispatcher.openStream(
    'n1',
    make(v1.StreamRequest, { logs: { taskIds: ['x'] } }),
  )
  await w.run(10)
  const request = w.agent('n1').messages.find(m => m.message === 'stream')?.stream
  t.match(request?.logs, { taskIds: ['x'] })
  const [wrong, wrongSide] = duplexPair<StreamFrame, StreamFrame>()
  let refused = ''
  wrong.onEnd(error => void (refused = error?.message ?? ''))
  w.dispatcher.attachStream({ nodeId: 'n2' }, frame({ streamId: request?.id }), wrongSide)
  const [agent, manager] = duplexPair<StreamFrame, StreamFrame>()
  w.dispatcher.attachStream(
    { nodeId: 'n1' },
    frame({ streamId: request?.id, error: 'early' }),
    manager,
  )
  agent.send(frame({ data: Buffer.from('at once') }))
  await w.run(10)
  const stream = await opening
  const got: string[] = []
  stream.onMessage(message => void got.push(message.error || Buffer.from(message.data).toString()))
  agent.send(frame({ data: Buffer.from('hello') }))
  await w.run(10)
  t.same(got, ['early', 'at once', 'hello'])
  t.match(refused, /nobody waits for stream/)
  await t.rejects(w.dispatcher.openStream('n9', make(v1.StreamRequest, {})), {
    code: 'Unavailable',
  })
  const never = w.dispatcher.openStream('n2', make(v1.StreamRequest, {}))
  const caught = t.rejects(never, { code: 'DeadlineExceeded' })
  await w.run(10 * SECOND)
  await caught
})
