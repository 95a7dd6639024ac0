// Goal: the agent as a whole: from a manager's message to a running container and back, over restarts, with logs.
// Method: the real Agent over a fake engine and a hand-driven manager, in virtual time.
import { Registry } from 'prom-client'
import t from 'tap'
import { Agent } from '../../agent/agent.ts'
import { AgentMetrics } from '../../agent/metrics.ts'
import { make } from '../../proto/codec.ts'
import {
  type AgentMessage,
  type ManagerMessage,
  type StreamFrame,
  TaskState,
  v1,
} from '../../proto/index.ts'
import { SimClock } from '../../runtime/clock.ts'
import { type Duplex, duplexPair } from '../../runtime/duplex.ts'
import { MemoryFs } from '../../runtime/fs.ts'
import { silentLog } from '../../runtime/log.ts'
import { seededRandom } from '../../runtime/random.ts'
import { FakeExecutor } from '../support/fake-executor.ts'
import { FakeNetworks, aTask, advance, anAssignment } from './builders.ts'

interface World {
  readonly clock: SimClock
  readonly fs: MemoryFs
  readonly engine: FakeExecutor
}

function world(): World {
  const clock = new SimClock(1_000_000)
  return { clock, fs: new MemoryFs(), engine: new FakeExecutor(clock) }
}

/** An agent with a manager that welcomes, acknowledges and remembers. */
async function start({ clock, fs, engine }: World) {
  const registry = new Registry()
  const received: AgentMessage[] = []
  const streams: {
    address: string
    manager: Duplex<StreamFrame, StreamFrame>
    frames: StreamFrame[]
  }[] = []
  const facts = { hostname: 'h1', dataPathAddress: '10.0.0.1' }
  const state: { manager: Duplex<AgentMessage, ManagerMessage> | undefined } = {
    manager: undefined,
  }
  const agent = new Agent({
    clock,
    random: seededRandom(3),
    fs,
    log: silentLog,
    registry,
    metrics: new AgentMetrics(registry),
    executor: engine,
    networks: new FakeNetworks(),
    nodeId: 'n1',
    stateDir: '/state',
    managers: ['m1:2377'],
    connect: () => {
      const [side, manager] = duplexPair<ManagerMessage, AgentMessage>()
      state.manager = manager
      manager.onMessage(message => {
        received.push(message)
        if (message.message === 'hello') {
          const welcome = { sessionId: 's', heartbeatMs: 5_000, clusterId: 'c', node: null }
          manager.send({ message: 'welcome', welcome })
        } else if (message.message === 'heartbeat') {
          const heartbeatAck = { sequence: message.heartbeat.sequence, heartbeatMs: 5_000 }
          manager.send({ message: 'heartbeatAck', heartbeatAck })
        } else if (message.message === 'report') {
          manager.send({ message: 'reportAck', reportAck: { sequence: message.report.sequence } })
        }
      })
      return side
    },
    openStream: address => {
      const [side, manager] = duplexPair<StreamFrame, StreamFrame>()
      const frames: StreamFrame[] = []
      manager.onMessage(frame => frames.push(frame))
      streams.push({ address, manager, frames })
      return side
    },
    host: async () => facts,
  })
  await agent.start()
  await advance(clock, 100)
  const assign = (assignments: Parameters<typeof anAssignment>[0]): void =>
    state.manager?.send({ message: 'assignments', assignments: anAssignment(assignments) })
  const ask = (init: Parameters<typeof make<typeof v1.StreamRequest>>[1]): void =>
    state.manager?.send({ message: 'stream', stream: make(v1.StreamRequest, init) })
  return { agent, registry, received, streams, facts, assign, ask }
}

const metric = async (registry: Registry, line: RegExp): Promise<string> =>
  (await registry.metrics()).split('\n').find(text => line.test(text)) ?? ''

t.test('hello carries the engine’s and the host’s facts; changes follow', async t => {
  const on = world()
  const node = await start(on)
  const [hello] = node.received
  t.match(hello, {
    message: 'hello',
    hello: { description: { hostname: 'h1', engine: { version: '28.5.0' } } },
  })
  Object.assign(node.facts, { dataPathAddress: '10.0.0.9' })
  await advance(on.clock, 21_000, 500)
  const changed = node.received.find(({ message }) => message === 'description')
  t.match(changed, { description: { dataPathAddress: '10.0.0.9' } })
  await node.agent.stop()
})

t.test('a task runs, everything is acknowledged, the kernel’s revision too', async t => {
  const on = world()
  const node = await start(on)
  node.assign({ complete: true, revision: 1, tasks: [aTask()] })
  await advance(on.clock, 500)
  t.equal(node.agent.status().tasks[0]?.status?.state, TaskState.RUNNING)
  t.equal(node.agent.status().unreported, 0)
  t.ok(
    node.received.some(message => message.message === 'applied' && message.applied.revision === 1),
  )
  t.match(await metric(node.registry, /^skein_agent_tasks\{state="running"/), / 1$/)
  t.match(await metric(node.registry, /^skein_agent_connected /), / 1$/)
  t.match(await metric(node.registry, /^skein_agent_status_queue_length /), / 0$/)
  await node.agent.stop()
  t.equal(node.received.at(-1)?.message, 'goodBye')
})

t.test(
  'a restarted agent reports what happened meanwhile to the first manager it meets',
  async t => {
    const on = world()
    const before = await start(on)
    before.assign({ complete: true, revision: 1, tasks: [aTask()] })
    await advance(on.clock, 500)
    await before.agent.stop()
    on.engine.exit('t1', 7)
    const after = await start(on)
    await advance(on.clock, 500)
    const states = after.received.flatMap(message =>
      message.message === 'report' ? message.report.tasks.map(({ status }) => status?.error) : [],
    )
    t.equal(states.at(-1), 'exited with code 7')
    t.equal(on.engine.containers.get('t1')?.starts, 1)
    await after.agent.stop()
  },
)

t.test('logs are sent to the manager that asked, and followed until it goes', async t => {
  const on = world()
  const node = await start(on)
  node.assign({ complete: true, revision: 1, tasks: [aTask()] })
  await advance(on.clock, 500)
  for (const line of ['one', 'two']) on.engine.say('t1', line)
  const logs = { taskIds: ['t1', 'unknown'], stdout: true, stderr: true, tail: -1 }
  node.ask({ id: 'r1', logs })
  await advance(on.clock, 100)
  const texts = (at: number) =>
    node.streams[at]?.frames.flatMap(({ log }) => (log ? [Buffer.from(log.data).toString()] : []))
  t.equal(node.streams[0]?.address, 'm1:2377')
  t.equal(node.streams[0]?.frames[0]?.streamId, 'r1')
  t.strictSame(texts(0), ['one', 'two'])
  t.ok(node.streams[0]?.frames.at(-1)?.end)
  node.ask({ id: 'r2', logs: { ...logs, follow: true, tail: 1 } })
  await advance(on.clock, 100)
  on.engine.say('t1', 'three')
  await advance(on.clock, 100)
  t.strictSame(texts(1), ['two', 'three'])
  t.notOk(node.streams[1]?.frames.at(-1)?.end)
  node.streams[1]?.manager.end()
  await advance(on.clock, 100)
  on.engine.say('t1', 'four')
  await advance(on.clock, 100)
  t.equal(texts(1)?.length, 2)
  node.ask({ id: 'r3', engine: { method: 'GET', path: '/' } })
  await advance(on.clock, 50)
  t.match(node.streams[2]?.frames[0], { end: true, error: /cannot answer/ })
  await node.agent.stop()
})

t.test('a node without an engine keeps its session and says why its tasks wait', async t => {
  const on = world()
  on.engine.setUp(false)
  const node = await start(on)
  node.assign({ complete: true, revision: 1, tasks: [aTask()] })
  await advance(on.clock, 3_000, 50)
  t.match(node.agent.status().tasks[0]?.status?.error, /engine on this node does not answer/)
  on.engine.setUp(true)
  await advance(on.clock, 10_000, 50)
  t.equal(node.agent.status().tasks[0]?.status?.state, TaskState.RUNNING)
  t.ok(
    node.received.some(({ message }) => message === 'description'),
    'described once it is back',
  )
  await node.agent.stop()
})
