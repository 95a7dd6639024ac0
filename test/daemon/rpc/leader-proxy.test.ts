// Goal: any manager answers unary calls; elections are waited out; nothing is done twice, nothing goes in circles.
// Method: two managers over real TLS with a hand-moved leadership; a leader that dies mid-call.
import t from 'tap'
import { trustOf, type Identity } from '../../../agent/identity/identity.ts'
import { LeaderProxy, type Leadership } from '../../../daemon/rpc/leader-proxy.ts'
import { addService } from '../../../daemon/rpc/server.ts'
import { unary } from '../../../proto/call.ts'
import { clientFor } from '../../../proto/grpc.ts'
import { v1 } from '../../../proto/index.ts'
import type { Caller, HandlersOf } from '../../../proto/service.ts'
import { clientCredentials } from '../../../proto/tls.ts'
import { StatusError } from '../../../runtime/errors.ts'
import { silentLog } from '../../../runtime/log.ts'
import { clock, serve, testCluster } from './fixture.ts'

const cluster = await testCluster()

class HandMoved implements Leadership {
  leads = false
  address: string | undefined
  readonly #listeners = new Set<() => void>()
  isLeader = (): boolean => this.leads
  leaderAddress = (): string | undefined => this.address
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
  move(leads: boolean, address?: string): void {
    this.leads = leads
    this.address = address
    for (const listener of this.#listeners) listener()
  }
}

type CA = HandlersOf<'CA'>
interface Member {
  readonly identity: Identity
  readonly leadership: HandMoved
  readonly address: string
  readonly calls: Caller[]
  handle: (caller: Caller) => Promise<object>
  stop(): void
}

async function member(waitMs = 2_000): Promise<Member> {
  const identity = await cluster.node('manager')
  const leadership = new HandMoved()
  const credentials = clientCredentials(() => trustOf(identity))
  const proxy = new LeaderProxy({ leadership, credentials, clock, log: silentLog, waitMs })
  const calls: Caller[] = []
  const self = { identity, leadership, calls, handle: async () => ({ nodeId: identity.nodeId }) }
  const answer = (_request: unknown, caller: Caller): Promise<object> => {
    calls.push(caller)
    return (self as unknown as Member).handle(caller)
  }
  const ca: CA = { getRootCertificate: answer, issueCertificate: answer }
  const options = { ...cluster.rpcOptions(), leaderAddress: () => leadership.leaderAddress() }
  const server = await serve(identity, grpcServer =>
    addService(grpcServer, 'CA', proxy.wrap('CA', ca), options),
  )
  t.teardown(() => {
    proxy.close()
    server.stop()
  })
  return Object.assign(self, { address: server.address, stop: () => server.stop() })
}

function call(to: Member, method: 'issue' | 'root', as?: Identity) {
  const client = clientFor(
    v1.CA,
    v1,
    to.address,
    clientCredentials(() => (as ? trustOf(as) : { rootPems: [cluster.rootCa.certificatePem] })),
  )
  const calling =
    method === 'issue'
      ? unary(client, client.issueCertificate, {})
      : unary(client, client.getRootCertificate, {})
  return calling.finally(() => client.close())
}

t.test('a follower passes the call on, for its caller', async t => {
  const [leader, follower] = [await member(), await member()]
  leader.leadership.move(true)
  follower.leadership.move(false, leader.address)
  const worker = await cluster.node('worker')
  t.match(await call(follower, 'issue', worker), { nodeId: leader.identity.nodeId })
  t.match(leader.calls.at(-1), {
    nodeId: worker.nodeId,
    role: 'worker',
    forwardedFrom: follower.identity.nodeId,
    address: /127\.0\.0\.1/,
  })
  await call(follower, 'issue')
  t.match(leader.calls.at(-1), { nodeId: '', role: 'none' })
  t.equal(follower.calls.length, 0)
})

t.test('errors of the leader arrive as they are', async t => {
  const [leader, follower] = [await member(), await member()]
  leader.leadership.move(true)
  follower.leadership.move(false, leader.address)
  leader.handle = async () => {
    throw new StatusError('NotFound', 'network web not found')
  }
  await t.rejects(call(follower, 'issue'), { code: 'NotFound', message: 'network web not found' })
})

t.test('an election is waited out', async t => {
  const [leader, follower] = [await member(), await member()]
  leader.leadership.move(true)
  const calling = call(follower, 'issue')
  setTimeout(() => follower.leadership.move(false, leader.address), 200)
  t.match(await calling, { nodeId: leader.identity.nodeId })
})

t.test(
  'a manager that lost its lead before anything was done lets the next one answer',
  async t => {
    const [old, next] = [await member(), await member()]
    old.leadership.move(true)
    next.leadership.move(true)
    old.handle = async () => {
      old.leadership.move(false, next.address)
      throw new StatusError('Unavailable', 'no leader here')
    }
    t.match(await call(old, 'issue'), { nodeId: next.identity.nodeId })
  },
)

t.test('without a leader the wait is bounded', async t => {
  const lonely = await member(300)
  await t.rejects(call(lonely, 'root'), { code: 'Unavailable', message: /no manager leads/ })
})

t.test('calls do not go in circles', async t => {
  const [a, b] = [await member(600), await member(600)]
  a.leadership.move(false, b.address)
  b.leadership.move(false, a.address)
  await t.rejects(call(a, 'issue'), {
    code: 'Unavailable',
    message: new RegExp(`does not lead; the leader is at ${a.address}`),
  })
  t.equal(a.calls.length + b.calls.length, 0)
})

t.test('a write that broke on the way is not repeated, a read is', async t => {
  const [dying, next, follower] = [await member(), await member(), await member()]
  dying.leadership.move(true)
  next.leadership.move(true)
  follower.leadership.move(false, dying.address)
  dying.handle = () => {
    dying.stop()
    follower.leadership.move(false, next.address)
    return new Promise(() => {})
  }
  await t.rejects(call(follower, 'issue'), { code: 'Aborted', message: /not known/ })
  t.equal(next.calls.length, 0)

  const dyingToo = await member()
  dyingToo.leadership.move(true)
  follower.leadership.move(false, dyingToo.address)
  dyingToo.handle = () => {
    dyingToo.stop()
    follower.leadership.move(false, next.address)
    return new Promise(() => {})
  }
  await call(follower, 'root')
  t.equal(next.calls.length, 1)
})

t.test('a leader that cannot be reached is Unavailable', async t => {
  const follower = await member(300)
  follower.leadership.move(false, '127.0.0.1:1')
  await t.rejects(call(follower, 'issue'), {
    code: 'Unavailable',
    message: /127\.0\.0\.1:1 cannot be reached/,
  })
})

t.test('a stream of the leader is read through a follower, to its end or its error', async t => {
  const identity = await cluster.node('manager')
  const [leads, follows] = [new HandMoved(), new HandMoved()]
  let cancelled = false
  const logs: HandlersOf<'Logs'> = {
    subscribe(request, outlet) {
      outlet.onEnd(() => {
        cancelled = true
      })
      for (const warning of ['one', 'two']) outlet.send({ warning })
      if (request.targets.includes('bad')) outlet.end(new StatusError('NotFound', 'no bad'))
      else if (!request.query?.follow) outlet.end()
    },
  }
  const start = (leadership: Leadership) => {
    const credentials = clientCredentials(() => trustOf(identity))
    const proxy = new LeaderProxy({ leadership, credentials, clock, log: silentLog })
    t.teardown(() => proxy.close())
    return serve(identity, server =>
      addService(server, 'Logs', proxy.wrap('Logs', logs), cluster.rpcOptions()),
    )
  }
  const [leader, follower] = [await start(leads), await start(follows)]
  t.teardown(() => leader.stop())
  t.teardown(() => follower.stop())
  leads.move(true)
  follows.move(false, leader.address)
  const client = clientFor(
    v1.Logs,
    v1,
    follower.address,
    clientCredentials(() => trustOf(identity)),
  )
  t.teardown(() => client.close())
  const read = (request: object) =>
    new Promise<unknown[]>(resolve => {
      const seen: unknown[] = []
      const call = client.subscribe(request)
      call.on('data', (message: { warning: string }) => {
        seen.push(message.warning)
        if (message.warning === 'two' && 'query' in request) call.cancel()
      })
      call.on('error', (error: { code: number }) => resolve([...seen, error.code]))
      call.on('end', () => resolve(seen))
    })
  t.same(await read({ targets: ['web'] }), ['one', 'two'])
  t.same(await read({ targets: ['bad'] }), ['one', 'two', 5])
  cancelled = false
  t.same(await read({ targets: ['web'], query: { follow: true } }), ['one', 'two', 1])
  for (let i = 0; i < 50 && !cancelled; i += 1)
    await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(cancelled, true)
})
