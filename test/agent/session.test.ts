// Goal: an agent keeps one session with the leader, follows it quickly, and loses no status on the way.
// Method: the real session, reporter and remotes against hand-driven managers over in-memory duplexes, in virtual time.
import { Registry } from 'prom-client'
import t from 'tap'
import { AgentMetrics } from '../../agent/metrics.ts'
import { Remotes } from '../../agent/remotes.ts'
import { Reporter } from '../../agent/reporter.ts'
import { Session, leaderOf } from '../../agent/session.ts'
import { make } from '../../proto/codec.ts'
import {
  type AgentMessage,
  type Assignments,
  type ManagerMessage,
  TaskState,
  v1,
} from '../../proto/index.ts'
import { SimClock } from '../../runtime/clock.ts'
import { type Duplex, duplexPair } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import { MemoryFs } from '../../runtime/fs.ts'
import { silentLog } from '../../runtime/log.ts'
import { seededRandom } from '../../runtime/random.ts'
import { advance, anAssignment } from './builders.ts'

interface Dialled {
  readonly address: string
  readonly atMs: number
  readonly manager: Duplex<AgentMessage, ManagerMessage>
  readonly received: AgentMessage[]
}

function setUp(addresses = ['m1:1', 'm2:1'], fs = new MemoryFs()) {
  const clock = new SimClock(5_000)
  const random = seededRandom(7)
  const dialled: Dialled[] = []
  const reporter = new Reporter(clock)
  const applied: Assignments[] = []
  const remotes = new Remotes({ fs, log: silentLog, random, path: '/managers', addresses })
  /** What a manager does on being dialled. */
  const behaviour: { onDial(one: Dialled): void; takes: boolean } = { onDial() {}, takes: true }
  const session = new Session({
    clock,
    random,
    log: silentLog,
    metrics: new AgentMetrics(new Registry()),
    remotes,
    connect: address => {
      const [agent, manager] = duplexPair<ManagerMessage, AgentMessage>()
      const one: Dialled = { address, atMs: clock.monotonic(), manager, received: [] }
      manager.onMessage(message => one.received.push(message))
      dialled.push(one)
      behaviour.onDial(one)
      return agent
    },
    description: () => make(v1.NodeDescription, { hostname: 'h1' }),
    opened: send => reporter.attach(send),
    closed: () => reporter.detach(),
    assignments: assignments => {
      applied.push(assignments)
      return behaviour.takes
    },
    reported: sequence => reporter.acknowledge(sequence),
    stream: () => {},
    node: () => {},
    roots: () => {},
  })
  t.teardown(() => session.stop('test ends'))
  return { clock, session, dialled, reporter, remotes, applied, behaviour, fs }
}

const welcome = (heartbeatMs = 1_000): ManagerMessage => ({
  message: 'welcome',
  welcome: { sessionId: 's', heartbeatMs, clusterId: 'c', node: null },
})

const running = make(v1.TaskStatus, { state: TaskState.RUNNING })

t.test('hello first, then statuses, each until acknowledged', async t => {
  const on = setUp()
  on.reporter.report('t1', running)
  on.behaviour.onDial = ({ manager }) => manager.send(welcome())
  on.session.start()
  await advance(on.clock, 100)
  const [first] = on.dialled
  t.equal(first?.received[0]?.message, 'hello')
  t.equal(first?.received[1]?.message, 'report')
  t.equal(on.reporter.queueLength, 1)
  first?.manager.send({ message: 'reportAck', reportAck: { sequence: 1 } })
  await advance(on.clock, 10)
  t.equal(on.reporter.queueLength, 0)
  t.ok(on.session.status().connected)
})

t.test('a new session sends every status again', async t => {
  const on = setUp()
  on.behaviour.onDial = ({ manager }) => manager.send(welcome())
  on.session.start()
  on.reporter.report('t1', running)
  await advance(on.clock, 100)
  on.dialled[0]?.manager.send({ message: 'reportAck', reportAck: { sequence: 1 } })
  await advance(on.clock, 10)
  on.dialled[0]?.manager.end(new StatusError('Unavailable', 'gone'))
  await advance(on.clock, 300)
  t.equal(on.dialled.length, 2)
  t.equal(on.dialled[1]?.received[1]?.message, 'report')
})

t.test('a refusal that names the leader is followed at once', async t => {
  const on = setUp()
  on.behaviour.onDial = ({ address, manager }) => {
    if (address === 'm3:1') manager.send(welcome())
    else manager.end(new StatusError('FailedPrecondition', 'm does not lead; leader at m3:1'))
  }
  on.session.start()
  await advance(on.clock, 100, 1)
  t.equal(on.session.status().address, 'm3:1')
  t.equal(on.dialled.length, 2)
})

t.test(
  'after a leader change the first retry comes within 100 ms, none later than a second',
  async t => {
    const on = setUp()
    on.behaviour.onDial = ({ manager }) => {
      if (on.dialled.length === 1) manager.send(welcome())
      else manager.end(new StatusError('FailedPrecondition', 'no leader is elected'))
    }
    on.session.start()
    await advance(on.clock, 2_000)
    on.dialled[0]?.manager.end(new StatusError('Unavailable', 'connection lost'))
    const lostMs = on.clock.monotonic()
    await advance(on.clock, 10_000)
    const times = on.dialled.slice(1).map(({ atMs }) => atMs)
    t.ok((times[0] ?? Infinity) - lostMs <= 110, `first retry after ${(times[0] ?? 0) - lostMs} ms`)
    for (const [at, time] of times.entries()) t.ok(time - (times[at - 1] ?? lostMs) <= 1_010)
    t.not(on.dialled[1]?.address, on.dialled[0]?.address, 'another manager is asked first')
  },
)

t.test('managers that name each other in a circle are not asked in a tight loop', async t => {
  const on = setUp()
  on.behaviour.onDial = ({ address, manager }) =>
    manager.end(
      new StatusError('FailedPrecondition', `leader at ${address === 'm1:1' ? 'm2:1' : 'm1:1'}`),
    )
  on.session.start()
  await advance(on.clock, 10_000)
  t.ok(on.dialled.length < 60, `${on.dialled.length} dials in 10 s`)
})

t.test('a manager that does not answer is left after 5 s', async t => {
  const on = setUp()
  on.session.start()
  await advance(on.clock, 4_900, 100)
  t.equal(on.dialled.length, 1)
  await advance(on.clock, 300)
  t.equal(on.dialled.length, 2)
  t.not(on.dialled[1]?.address, on.dialled[0]?.address)
})

t.test('a session ends when three periods pass without an acknowledgement', async t => {
  const on = setUp()
  on.behaviour.onDial = one => {
    one.manager.send(welcome(1_000))
    one.manager.onMessage(message => {
      one.received.push(message)
      if (message.message !== 'heartbeat' || on.clock.monotonic() > 15_000) return
      const { sequence } = message.heartbeat
      one.manager.send({ message: 'heartbeatAck', heartbeatAck: { sequence, heartbeatMs: 1_000 } })
    })
  }
  on.session.start()
  await advance(on.clock, 10_000, 50)
  t.equal(on.dialled.length, 1, 'acknowledged: it goes on')
  await advance(on.clock, 2_500, 50)
  t.equal(on.dialled.length, 1, 'two missing: it goes on')
  await advance(on.clock, 1_100, 50)
  t.equal(on.dialled.length, 2, 'three missing: it is over')
})

t.test('the period a manager tells holds from then on', async t => {
  const on = setUp()
  on.behaviour.onDial = one => {
    one.manager.send(welcome(1_000))
    one.manager.onMessage(message => {
      one.received.push(message)
      if (message.message !== 'heartbeat') return
      const { sequence } = message.heartbeat
      one.manager.send({ message: 'heartbeatAck', heartbeatAck: { sequence, heartbeatMs: 200 } })
    })
  }
  on.session.start()
  await advance(on.clock, 3_000, 20)
  const beats = on.dialled[0]?.received.filter(({ message }) => message === 'heartbeat').length ?? 0
  t.ok(beats >= 9 && beats <= 11, `${beats} heartbeats`)
})

t.test('a gap ends the session so that a new one brings a complete set', async t => {
  const on = setUp()
  on.behaviour.onDial = ({ manager }) => {
    manager.send(welcome())
    manager.send({
      message: 'assignments',
      assignments: anAssignment({ appliesTo: 5, revision: 6 }),
    })
  }
  on.behaviour.takes = false
  on.session.start()
  await advance(on.clock, 50, 1)
  on.behaviour.takes = true
  await advance(on.clock, 1_500)
  t.ok(on.dialled.length >= 2)
  t.ok(on.session.status().connected)
})

t.test('the list of managers outlives the process, and is never emptied', async t => {
  const on = setUp(['m1:1'])
  on.behaviour.onDial = ({ manager }) => {
    manager.send(welcome())
    manager.send({ message: 'managers', managers: { addresses: ['m5:1', 'm6:1'] } })
    manager.send({ message: 'managers', managers: { addresses: [] } })
  }
  on.session.start()
  await advance(on.clock, 50)
  t.strictSame(on.remotes.addresses(), ['m5:1', 'm6:1'])
  const later = new Remotes({
    fs: on.fs,
    log: silentLog,
    random: seededRandom(1),
    path: '/managers',
    addresses: [],
  })
  await later.load()
  t.strictSame(later.addresses(), ['m5:1', 'm6:1'])
  on.fs.files.set('/managers', new TextEncoder().encode('{"x":'))
  await t.resolves(later.load(), 'a damaged list is no crash')
})

t.test('stopping says good-bye', async t => {
  const on = setUp()
  on.behaviour.onDial = ({ manager }) => manager.send(welcome())
  on.session.start()
  await advance(on.clock, 50)
  await on.session.stop('upgrade')
  t.strictSame(on.dialled[0]?.received.at(-1), {
    message: 'goodBye',
    goodBye: { reason: 'upgrade' },
  })
  await advance(on.clock, 5_000, 500)
  t.equal(on.dialled.length, 1, 'and dials no more')
})

t.test('only a precondition names a leader', async t => {
  t.equal(
    leaderOf(new StatusError('FailedPrecondition', 'no; leader at 10.0.0.2:2377')),
    '10.0.0.2:2377',
  )
  t.equal(leaderOf(new StatusError('Unavailable', 'leader at 10.0.0.2:2377')), undefined)
  t.equal(leaderOf(undefined), undefined)
})
