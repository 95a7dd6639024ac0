// Goal: a reader gets the lines of all tasks it asked for, is told what is missing, and never fills the manager's memory.
// Method: the Logs handlers on a store in memory; nodes are ends of memory streams that the test writes into.
import t from 'tap'
import { Registry } from 'prom-client'
import { logsHandlers } from '../../../manager/logbroker/logs.ts'
import { make } from '../../../proto/codec.ts'
import {
  NodeState,
  TaskState,
  v1,
  type LogEntry,
  type LogsQuery,
  type StreamFrame,
  type StreamRequest,
} from '../../../proto/index.ts'
import { duplexPair, type Duplex } from '../../../runtime/duplex.ts'
import { StatusError } from '../../../runtime/errors.ts'
import { silentLog } from '../../../runtime/log.ts'
import { seededRandom } from '../../../runtime/random.ts'
import { aNode, aSpec, aTask, bench, caller } from '../controlapi/fixture.ts'

interface Asked {
  readonly nodeId: string
  readonly query: LogsQuery
  readonly stream: Duplex<StreamFrame, StreamFrame>
  ended: boolean
  paused: boolean
}

async function setup() {
  const base = await bench()
  const asked: Asked[] = []
  const registry = new Registry()
  const openStream = async (
    nodeId: string,
    request: StreamRequest,
  ): Promise<Duplex<StreamFrame, StreamFrame>> => {
    if (nodeId === 'broken') throw new StatusError('Unavailable', 'node broken has no session')
    const [near, far] = duplexPair<StreamFrame, StreamFrame>()
    const query = request.logs ?? make(v1.LogsQuery, {})
    const entry: Asked = { nodeId, query, stream: far, ended: false, paused: false }
    far.onEnd(() => {
      entry.ended = true
    })
    asked.push(entry)
    return Object.assign(near, {
      pause: () => {
        entry.paused = true
      },
      resume: () => {
        entry.paused = false
      },
    })
  }
  const { store, clock } = base
  const deps = { store, clock, random: seededRandom(3), log: silentLog, registry, openStream }
  await base.control.createService({ spec: aSpec('web') }, caller)
  const serviceId = store.view(tx => tx.resolve('service', 'web').id)
  await store.update(tx => {
    tx.create('node', aNode('w1'))
    tx.create('node', aNode('w2'))
    tx.create('node', aNode('w3', { state: NodeState.DOWN }))
  })
  const addTask = (
    id: string,
    slot: number,
    nodeId: string,
    state: TaskState = TaskState.RUNNING,
  ) =>
    store.update(tx =>
      tx.create('task', {
        ...aTask(id, { serviceId, serviceName: 'web', slot, nodeId }),
        status: make(v1.TaskStatus, { state }),
      }),
    )
  return { ...base, handlers: logsHandlers(deps), asked, registry, addTask, serviceId }
}

function reader() {
  const state = {
    lines: [] as string[],
    warnings: [] as string[],
    end_: undefined as { error: StatusError | undefined } | undefined,
    backlog: 0,
    cancel: () => {},
    send(message: { entries?: readonly LogEntry[] | undefined; warning?: string | undefined }) {
      for (const entry of message.entries ?? []) {
        state.lines.push(`${entry.nodeId}/${entry.taskId}: ${Buffer.from(entry.data).toString()}`)
      }
      if (message.warning) state.warnings.push(message.warning)
    },
    end(error?: StatusError) {
      state.end_ ??= { error }
      state.cancel()
    },
    onEnd(listener: (error: undefined) => void) {
      state.cancel = () => listener(undefined)
    },
  }
  return state as typeof state & { send(message: object): void }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve()
}
const line = (taskId: string, text: string, timeMs = 1): StreamFrame =>
  make(v1.StreamFrame, { log: { taskId, nodeId: 'a lie', timeMs, data: Buffer.from(text) } })
const end = (error?: { error: string; errorCode: number }): StreamFrame =>
  make(v1.StreamFrame, { end: true, ...error })
const subscribe = (targets: string[], query: object = {}) => ({
  targets,
  query: make(v1.LogsQuery, { tail: -1, stdout: true, stderr: true, ...query }),
})

t.test('lines of all nodes come, the end when every node has ended', async t => {
  const { handlers, asked, addTask, clock, registry } = await setup()
  await addTask('t1', 1, 'w1')
  await addTask('t2', 2, 'w2', TaskState.FAILED)
  await addTask('t3', 3, 'w1')
  await addTask('t4', 4, 'w1', TaskState.PREPARING)
  await addTask('t5', 5, 'w3')
  await addTask('t6', 6, '', TaskState.PENDING)
  const out = reader()
  handlers.subscribe(subscribe(['web']), out, caller)
  await settle()
  t.match(
    asked.map(({ nodeId, query }) => [nodeId, query.taskIds]),
    [
      ['w1', ['t1', 't3']],
      ['w2', ['t2']],
    ],
  )
  t.same(out.warnings, [
    'web.5: node host-w3 is down, its lines are missing',
    'web.6: has not been given to a node yet',
  ])
  asked[0]?.stream.send(line('t1', 'hello'))
  asked[0]?.stream.send(line('t2', 'not its task'))
  asked[0]?.stream.send(line('t3', 'there'))
  asked[0]?.stream.send(end())
  asked[1]?.stream.send(line('t2', 'crashed'))
  await settle()
  clock.advance(20)
  t.equal(out.end_, undefined)
  asked[1]?.stream.send(line('t2', 'bye'))
  asked[1]?.stream.send(end())
  await settle()
  clock.advance(20)
  t.same(out.lines, ['w1/t1: hello', 'w1/t3: there', 'w2/t2: crashed', 'w2/t2: bye'])
  t.match(out.end_, { error: undefined })
  t.match(await registry.metrics(), /skein_log_broker_bytes_total 20/)
})

t.test('targets are services, tasks and slots; others are refused by name', async t => {
  const { handlers, asked, addTask } = await setup()
  await addTask('t1', 1, 'w1')
  await addTask('t2', 2, 'w1')
  handlers.subscribe(subscribe(['web.2']), reader(), caller)
  handlers.subscribe(subscribe(['t1']), reader(), caller)
  await settle()
  t.match(
    asked.map(({ query }) => query.taskIds),
    [['t2'], ['t1']],
  )
  const refused = (targets: string[], code: string, message: RegExp) =>
    t.throws(() => handlers.subscribe(subscribe(targets), reader(), caller), { code, message })
  refused(['nope'], 'NotFound', /no service or task is called nope/)
  refused(['nope.1'], 'NotFound', /nope.1/)
  refused([], 'InvalidArgument', /between 1 and 100/)
})

t.test('a reader that goes takes the node streams with it', async t => {
  const { handlers, asked, addTask } = await setup()
  await addTask('t1', 1, 'w1')
  const out = reader()
  handlers.subscribe(subscribe(['web'], { follow: true }), out, caller)
  await settle()
  out.cancel()
  await settle()
  t.match(asked, [{ ended: true }])
})

t.test('a follower gets tasks that appear later, whole; and goes on after a break', async t => {
  const { handlers, asked, addTask, clock } = await setup()
  await addTask('t1', 1, 'w1')
  const out = reader()
  handlers.subscribe(subscribe(['web'], { follow: true, tail: 5 }), out, caller)
  await settle()
  await addTask('t2', 2, 'w2', TaskState.ASSIGNED)
  await settle()
  t.match(asked, [
    { nodeId: 'w1', query: { tail: 5, follow: true } },
    { nodeId: 'w2', query: { taskIds: ['t2'], tail: -1 } },
  ])
  asked[0]?.stream.send(line('t1', 'one', 100))
  asked[0]?.stream.send(line('t1', 'two', 200))
  await settle()
  asked[0]?.stream.end(new StatusError('Unavailable', 'connection lost'))
  await settle()
  t.match(out.warnings, [/node host-w1: connection lost; lines may be missing/])
  clock.advance(1_000)
  await settle()
  t.match(asked[2], { nodeId: 'w1', query: { taskIds: ['t1'], tail: -1, sinceMs: 200 } })
  asked[2]?.stream.send(line('t1', 'two', 200))
  asked[2]?.stream.send(line('t1', 'three', 300))
  await settle()
  clock.advance(20)
  t.same(out.lines, ['w1/t1: one', 'w1/t1: two', 'w1/t1: three'])
  t.equal(out.end_, undefined)
})

t.test('following one task ends with it', async t => {
  const { handlers, asked, addTask, clock } = await setup()
  await addTask('t1', 1, 'w1')
  const out = reader()
  handlers.subscribe(subscribe(['t1'], { follow: true }), out, caller)
  await settle()
  asked[0]?.stream.send(line('t1', 'last words'))
  asked[0]?.stream.send(end())
  await settle()
  clock.advance(20)
  t.same(out.lines, ['w1/t1: last words'])
  t.match(out.end_, { error: undefined })
})

t.test('what a node cannot give is said, and does not spoil the rest', async t => {
  const { handlers, asked, addTask, clock, store } = await setup()
  await store.update(tx => tx.create('node', aNode('broken')))
  await addTask('t1', 1, 'w1')
  await addTask('t2', 2, 'broken')
  await addTask('t3', 3, 'w2')
  const out = reader()
  handlers.subscribe(subscribe(['web']), out, caller)
  await settle()
  asked[0]?.stream.send(line('t1', 'fine'))
  asked[0]?.stream.send(end())
  asked[1]?.stream.send(end({ error: 'logging driver none cannot be read', errorCode: 12 }))
  await settle()
  clock.advance(20)
  t.same(out.lines, ['w1/t1: fine'])
  t.match(out.warnings, [/host-broken: node broken has no session/, /host-w2: logging driver none/])
  t.match(out.end_, { error: undefined })
})

t.test('a slow reader makes the nodes wait; when they cannot, it is ended', async t => {
  const { handlers, asked, addTask, clock } = await setup()
  await addTask('t1', 1, 'w1')
  const out = reader()
  handlers.subscribe(subscribe(['web']), out, caller)
  await settle()
  out.backlog = 16
  asked[0]?.stream.send(line('t1', 'a'))
  await settle()
  clock.advance(20)
  t.equal(asked[0]?.paused, true)
  t.same(out.lines, [])
  out.backlog = 0
  clock.advance(20)
  t.equal(asked[0]?.paused, false)
  t.same(out.lines, ['w1/t1: a'])

  out.backlog = 1000
  const big = 'x'.repeat(1024 * 1024)
  for (let i = 0; i < 18; i += 1) asked[0]?.stream.send(line('t1', big))
  await settle()
  t.match(out.end_, {
    error: { code: 'ResourceExhausted', message: /come faster than they are read/ },
  })
  t.match(asked, [{ ended: true }])
})

t.test('a service without tasks ends at once, a follower waits for them', async t => {
  const { handlers } = await setup()
  const [now, later] = [reader(), reader()]
  handlers.subscribe(subscribe(['web']), now, caller)
  handlers.subscribe(subscribe(['web'], { follow: true }), later, caller)
  t.match(now.end_, { error: undefined })
  t.equal(later.end_, undefined)
})
