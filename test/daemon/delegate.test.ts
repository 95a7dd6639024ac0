// Goal: a listener that stays asks whoever answers now: at each call, for unary calls and for streams of both kinds.
// Method: delegate() over changing finders; streams in memory; then over a real socket on 127.0.0.1.
import t from 'tap'
import * as grpc from '@grpc/grpc-js'
import { Registry } from 'prom-client'
import { delegate } from '../../daemon/rpc/delegate.ts'
import { localIdentifier } from '../../daemon/rpc/peer.ts'
import { addService, createRpcServer } from '../../daemon/rpc/server.ts'
import { unary } from '../../proto/call.ts'
import { make, type PlainOf } from '../../proto/codec.ts'
import { clientFor, serviceDefinition } from '../../proto/grpc.ts'
import { v1, type AgentMessage, type ManagerMessage } from '../../proto/index.ts'
import type { Caller, HandlersOf } from '../../proto/service.ts'
import { systemClock } from '../../runtime/clock.ts'
import { duplexPair } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import { silentLog } from '../../runtime/log.ts'

const CALLER: Caller = { nodeId: 'n1', role: 'local', address: 'local' }
const nobody = (): never => {
  throw new StatusError('FailedPrecondition', 'this node is not a manager')
}

/** The end a stream's other side hears. */
function ending(stream: {
  onEnd(listener: (error: StatusError | undefined) => void): void
}): Promise<StatusError | undefined> {
  return new Promise(resolve => stream.onEnd(resolve))
}

t.test('every method of a service is there', async t => {
  for (const name of ['Control', 'Logs', 'Dispatcher', 'CA', 'Raft'] as const) {
    const methods = Object.keys(serviceDefinition(v1[name], v1))
    t.same(Object.keys(delegate(name, nobody)).toSorted(), methods.toSorted(), name)
  }
})

t.test('a unary call is answered by whoever answers now, with its caller', async t => {
  let find: () => HandlersOf<'Health'> = nobody
  const answering = (message: string): HandlersOf<'Health'> => ({
    check: async ({ service }, caller) => ({ message: `${message} ${service} ${caller.nodeId}` }),
  })
  const { check } = delegate('Health', () => find())
  const request = make(v1.HealthCheckRequest, { service: 'raft' })
  await t.rejects(check(request, CALLER), {
    code: 'FailedPrecondition',
    message: 'this node is not a manager',
  })
  for (const who of ['first', 'second']) {
    find = () => answering(who)
    t.match(await check(request, CALLER), { message: `${who} raft n1` })
  }
  find = nobody
  await t.rejects(check(request, CALLER), { code: 'FailedPrecondition' })
})

t.test('a stream of answers goes on with the answerer it began with', async t => {
  let find: () => HandlersOf<'Logs'> = nobody
  const handlers = delegate('Logs', () => find())
  const open = () => {
    const [client, outlet] = duplexPair<PlainOf<(typeof v1)['LogsMessage']>, never>()
    const messages: string[] = []
    client.onMessage(message => messages.push(String(message.warning)))
    const ended = ending(client)
    handlers.subscribe(make(v1.LogsRequest, {}), outlet as never, CALLER)
    return { messages, ended }
  }
  const answering = (word: string): HandlersOf<'Logs'> => ({
    subscribe(_request, outlet, caller) {
      outlet.send({ warning: `${word} ${caller.role}` })
      setImmediate(() => {
        outlet.send({ warning: `${word} again` })
        outlet.end()
      })
    },
  })
  find = () => answering('first')
  const first = open()
  find = () => answering('second')
  const second = open()
  t.equal(await first.ended, undefined)
  t.equal(await second.ended, undefined)
  t.same(first.messages, ['first local', 'first again'])
  t.same(second.messages, ['second local', 'second again'])
  find = nobody
  t.match(await open().ended, {
    code: 'FailedPrecondition',
    message: 'this node is not a manager',
  })
})

t.test('a two-way stream too; what a handler throws ends that stream alone', async t => {
  let find: () => HandlersOf<'Dispatcher'> = nobody
  const handlers = delegate('Dispatcher', () => find())
  const open = () => {
    const [client, server] = duplexPair<ManagerMessage, AgentMessage>()
    const sessions: string[] = []
    client.onMessage(message => sessions.push(message.welcome?.sessionId ?? ''))
    const ended = ending(client)
    handlers.session(server as never, CALLER)
    return { client, sessions, ended }
  }
  t.match(await open().ended, { code: 'FailedPrecondition' })
  find = () => ({
    session(stream, caller) {
      stream.onMessage(() => {
        stream.send({ welcome: { sessionId: `for ${caller.nodeId}` } })
        stream.end()
      })
    },
    stream: nobody,
  })
  const whole = open()
  whole.client.send(make(v1.AgentMessage, {}))
  t.equal(await whole.ended, undefined)
  t.same(whole.sessions, ['for n1'])
  find = () => ({
    session() {
      throw new TypeError('a fault')
    },
    stream: nobody,
  })
  t.match(await open().ended, { code: 'Internal', message: 'a fault' })
})

t.test('over a socket: the listener stays while the node’s part changes', async t => {
  let find: () => HandlersOf<'Health'> = nobody
  const server = createRpcServer()
  t.teardown(() => server.forceShutdown())
  addService(
    server,
    'Health',
    delegate('Health', () => find()),
    {
      identify: localIdentifier(() => 'n1'),
      log: silentLog,
      registry: new Registry(),
      clock: systemClock,
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  const client = clientFor(v1.Health, v1, `127.0.0.1:${port}`, grpc.credentials.createInsecure())
  t.teardown(() => client.close())
  const check = () => unary(client, client.check, { service: '' }, { timeoutMs: 5_000 })
  await t.rejects(check(), {
    code: 'FailedPrecondition',
    message: 'this node is not a manager',
  })
  find = () => ({ check: async (_request, caller) => ({ message: caller.nodeId }) })
  t.match(await check(), { message: 'n1' })
})
