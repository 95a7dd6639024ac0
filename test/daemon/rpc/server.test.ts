// Goal: over real TLS, every caller gets exactly what its certificate admits it to, and no bytes end the server.
// Method: a grpc-js server on 127.0.0.1 with stand-in Health, Control and Dispatcher handlers; clients with no, worker's,
// manager's, expired, foreign and revoked certificates; raw bytes below the codec.
import t from 'tap'
import * as grpc from '@grpc/grpc-js'
import { connect } from 'node:tls'
import { trustOf, type Identity } from '../../../agent/identity/identity.ts'
import { localIdentifier } from '../../../daemon/rpc/peer.ts'
import { addService, createRpcServer } from '../../../daemon/rpc/server.ts'
import { unary } from '../../../proto/call.ts'
import { clientDuplex } from '../../../proto/duplex.ts'
import { clientFor, type Client } from '../../../proto/grpc.ts'
import { v1 } from '../../../proto/index.ts'
import type { AgentMessage, ManagerMessage } from '../../../proto/index.ts'
import type { Caller, HandlersOf } from '../../../proto/service.ts'
import { clientCredentials, type ClientTrust } from '../../../proto/tls.ts'
import { StatusError } from '../../../runtime/errors.ts'
import { clock, serve, testCluster } from './fixture.ts'

const cluster = await testCluster()
const manager = await cluster.node('manager')
const worker = await cluster.node('worker')

const callers: Caller[] = []
let answer: (caller: Caller) => Promise<object> = async () => ({})
// Control has many methods: one is enough here, the others answer Unimplemented by themselves.
const control = {
  getNode: (_request: unknown, caller: Caller) => {
    callers.push(caller)
    return answer(caller)
  },
  watch: (_request: unknown, outlet: { send(message: object): void; end(): void }) => {
    outlet.send({ version: 1 })
    outlet.send({ version: 2 })
    outlet.end()
  },
} as unknown as HandlersOf<'Control'>
const handlers = new Proxy(control, {
  get: (target, key) =>
    Reflect.get(target, key) ?? (() => Promise.reject(new StatusError('Unimplemented', 'no'))),
})
const dispatcher: HandlersOf<'Dispatcher'> = {
  session(stream) {
    stream.onMessage(message => {
      if (message.goodBye) stream.end(new StatusError('FailedPrecondition', 'not the leader'))
      else if (message.heartbeat?.sequence === 666) throw new Error('a bug in a listener')
      else stream.send({ heartbeatAck: { sequence: message.heartbeat?.sequence ?? 0 } })
    })
  },
  stream(stream) {
    stream.end()
  },
}
const health: HandlersOf<'Health'> = { check: async () => ({ status: 1, message: 'ok' }) }

const options = { ...cluster.rpcOptions(), leaderAddress: () => '10.0.0.9:2377' }
const register = (server: grpc.Server): void => {
  addService(server, 'Control', handlers, options)
  addService(server, 'Dispatcher', dispatcher, options)
  addService(server, 'Health', health, options)
}
const server = await serve(manager, register)
t.teardown(() => server.stop())

const trusting = (trust: Partial<ClientTrust>): grpc.ChannelCredentials =>
  clientCredentials(() => ({ rootPems: [cluster.rootCa.certificatePem], ...trust }))
const asNode = (identity: Identity): grpc.ChannelCredentials => trusting(trustOf(identity))

function controlOf(
  credentials: grpc.ChannelCredentials,
  address = server.address,
): Client<InstanceType<typeof v1.Control>, typeof v1> {
  const client = clientFor(v1.Control, v1, address, credentials) as Client<
    InstanceType<typeof v1.Control>,
    typeof v1
  >
  t.teardown(() => client.close())
  return client
}
const getNode = (credentials: grpc.ChannelCredentials): Promise<unknown> => {
  const client = controlOf(credentials)
  return unary(client, client.getNode, { id: 'x' }, { timeoutMs: 3000 })
}

t.test('a manager is let in and known by its certificate', async t => {
  t.match(await getNode(asNode(manager)), { node: null })
  t.match(callers.at(-1), { nodeId: manager.nodeId, role: 'manager', address: /127\.0\.0\.1/ })
})

t.test('a worker is told who called what and which role it takes', async t => {
  await t.rejects(getNode(asNode(worker)), {
    code: 'PermissionDenied',
    message: new RegExp(
      `Control.GetNode was called by worker ${worker.nodeId}.*takes the role manager or local`,
    ),
  })
})

t.test('callers without a valid certificate are strangers', async t => {
  const foreign = await (await testCluster()).node('manager')
  const expired = await cluster.node('manager', {
    nowMs: clock.now() - 10 * 3_600_000,
    validityMs: 3_600_000,
  })
  const stranger = { code: 'Unauthenticated', message: /no valid certificate/ }
  await t.rejects(getNode(trusting({})), stranger)
  const { keyPem, certificatePem } = foreign
  await t.rejects(getNode(trusting({ keyPem, certificatePem })), stranger)
  await t.rejects(getNode(asNode(expired)), stranger)
})

t.test('a removed node loses its rights on the connection it has', async t => {
  const client = controlOf(asNode(manager))
  await unary(client, client.getNode, { id: 'x' })
  cluster.revoked.add(manager.nodeId)
  await t.rejects(unary(client, client.getNode, { id: 'x' }), {
    code: 'Unauthenticated',
    message: /was removed from the cluster/,
  })
  cluster.revoked.delete(manager.nodeId)
  await unary(client, client.getNode, { id: 'x' })
})

t.test('only managers may call for others', async t => {
  const metadata = new grpc.Metadata()
  metadata.set('skein-forwarded-for', 'someone:worker')
  const client = controlOf(asNode(manager))
  await t.rejects(unary(client, client.getNode, {}, { metadata }), {
    code: 'PermissionDenied',
    message: /called by worker someone/,
  })
  metadata.set('skein-forwarded-for', `${worker.nodeId}:local`)
  await unary(client, client.getNode, {}, { metadata })
  t.match(callers.at(-1), {
    nodeId: worker.nodeId,
    role: 'local',
    forwardedFrom: manager.nodeId,
  })
  const cheat = controlOf(asNode(worker))
  await t.rejects(unary(cheat, cheat.getNode, {}, { metadata }), {
    code: 'PermissionDenied',
    message: /only managers may pass calls on/,
  })
})

t.test('a client does not talk to a worker, nor to another cluster', async t => {
  const impostor = await serve(worker, register)
  t.teardown(() => impostor.stop())
  const client = controlOf(asNode(manager), impostor.address)
  await t.rejects(unary(client, client.getNode, {}, { timeoutMs: 2000 }), {
    message: /of a skein-worker, not of a manager/,
  })
  const foreign = await (await testCluster()).node('manager')
  const lost = controlOf(asNode(foreign))
  await t.rejects(unary(lost, lost.getNode, {}, { timeoutMs: 2000 }), { code: 'Unavailable' })
})

t.test('errors keep code and message; a throw is Internal, logged, and nothing falls', async t => {
  answer = async () => {
    throw new StatusError('NotFound', 'node 100% “x” \ud800 not found', { cause: new Error('why') })
  }
  await t.rejects(getNode(asNode(manager)), {
    code: 'NotFound',
    message: 'node 100% “x” \ufffd not found',
  })
  answer = async () => {
    throw new TypeError('undefined is not a goose')
  }
  await t.rejects(getNode(asNode(manager)), { code: 'Internal', message: /not a goose/ })
  t.match(
    cluster.log.lines.find(line => line.level === 'error'),
    { fields: { path: '/skein.v1.Control/GetNode', stack: /TypeError/ } },
  )
  answer = async () => ({})
  await getNode(asNode(manager))
})

t.test('malformed and oversized messages end that call only', async t => {
  const raw = new grpc.Client(server.address, asNode(manager))
  t.teardown(() => raw.close())
  const send = (bytes: Buffer): Promise<grpc.ServiceError> =>
    new Promise((resolve, reject) => {
      raw.makeUnaryRequest(
        '/skein.v1.Control/GetNode',
        (value: Buffer) => value,
        value => value,
        bytes,
        (error, _value) => (error ? resolve(error) : reject(new Error('accepted'))),
      )
    })
  const error = await send(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]))
  t.match(error, { code: grpc.status.INVALID_ARGUMENT, details: /cannot be decoded/ })
  t.same(error.metadata.get('skein-leader'), ['10.0.0.9:2377'])
  t.equal((await send(Buffer.alloc(5 * 1024 * 1024))).code, grpc.status.RESOURCE_EXHAUSTED)

  const { host, port } = new URL(`tcp://${server.address}`)
  await new Promise<void>(resolve => {
    const socket = connect(
      {
        host: host.split(':')[0],
        port: Number(port),
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
      },
      () => socket.end('this is not HTTP/2 '.repeat(100)),
    )
    socket.on('error', () => {}).on('close', () => resolve())
    socket.resume()
  })
  await getNode(asNode(manager))
})

t.test('streams: messages both ways, ends with their reason, a listener that throws', async t => {
  const client = clientFor(v1.Dispatcher, v1, server.address, asNode(worker))
  t.teardown(() => client.close())
  const session = (sequences: readonly number[], bye: boolean) =>
    new Promise<{ acks: number[]; error: StatusError | undefined }>(resolve => {
      const acks: number[] = []
      const stream = clientDuplex<ManagerMessage, object>(
        client.session() as unknown as grpc.ClientDuplexStream<object, ManagerMessage>,
      )
      stream.onMessage(message => {
        acks.push(message.heartbeatAck?.sequence ?? -1)
        if (acks.length === sequences.length && bye) stream.send({ goodBye: {} })
      })
      stream.onEnd(error => resolve({ acks, error }))
      for (const sequence of sequences) stream.send({ heartbeat: { sequence } } as AgentMessage)
    })
  t.match(await session([1, 2, 3], true), {
    acks: [1, 2, 3],
    error: { code: 'FailedPrecondition', message: 'not the leader' },
  })
  t.match(await session([1, 666], false), { acks: [1], error: { code: 'Internal' } })

  const denied = clientFor(v1.Dispatcher, v1, server.address, trusting({}))
  t.teardown(() => denied.close())
  const stream = clientDuplex(denied.session())
  const error = await new Promise(resolve => {
    stream.onEnd(resolve)
  })
  t.match(error, { code: 'Unauthenticated' })

  const watcher = controlOf(asNode(manager))
  const versions: number[] = []
  await new Promise<void>((resolve, reject) => {
    watcher
      .watch({})
      .on('data', (message: { version: number }) => versions.push(message.version))
      .on('error', reject)
      .on('end', () => resolve())
  })
  t.same(versions, [1, 2])
})

t.test('a client that has said all gets its end', async t => {
  const client = clientFor(v1.Dispatcher, v1, server.address, asNode(worker))
  t.teardown(() => client.close())
  const call = client.session()
  const ended = new Promise<number>(resolve => {
    call.on('status', (status: grpc.StatusObject) => resolve(status.code))
  })
  call.resume()
  call.end()
  t.equal(await ended, grpc.status.OK)
})

t.test('the certificate may be replaced while serving; open connections stay', async t => {
  const serving = await serve(manager, register)
  t.teardown(() => serving.stop())
  const seen = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const [host = '', port] = serving.address.split(':')
      const socket = connect(
        { host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] },
        () => {
          resolve(String(socket.getPeerCertificate().subject.CN))
          socket.destroy()
        },
      )
      socket.on('error', reject)
    })
  const client = controlOf(asNode(manager), serving.address)
  await unary(client, client.getNode, {})
  t.equal(await seen(), manager.nodeId)
  const next = await cluster.node('manager')
  serving.credentials.replace(next)
  t.equal(await seen(), next.nodeId)
  await unary(client, client.getNode, {})
  t.throws(() => serving.credentials.replace({ ...next, keyPem: 'nonsense' }))
  t.equal(await seen(), next.nodeId)
})

t.test('a client shows its newest certificate at the next connection', async t => {
  let identity = worker
  const credentials = clientCredentials(() => trustOf(identity))
  const first = controlOf(credentials)
  await t.rejects(unary(first, first.getNode, {}), { code: 'PermissionDenied' })
  identity = manager
  const again = await serve(manager, register)
  const client = controlOf(credentials, again.address)
  await unary(client, client.getNode, {})
  again.stop()
})

t.test('the local socket needs no certificate', async t => {
  const local = createRpcServer()
  addService(local, 'Control', handlers, {
    ...options,
    identify: localIdentifier(() => 'this-node'),
  })
  const path = `${t.testdir()}/skein.sock`
  await new Promise<void>((resolve, reject) => {
    local.bindAsync(`unix:${path}`, grpc.ServerCredentials.createInsecure(), error =>
      error ? reject(error) : resolve(),
    )
  })
  t.teardown(() => local.forceShutdown())
  const client = controlOf(grpc.credentials.createInsecure(), `unix:${path}`)
  await unary(client, client.getNode, {})
  t.match(callers.at(-1), { nodeId: 'this-node', role: 'local' })
})

t.test('calls are counted by method and code', async t => {
  const text = await cluster.registry.metrics()
  const method = 'grpc_service="skein.v1.Control",grpc_method="GetNode"'
  t.match(text, `grpc_server_handled_total{grpc_type="unary",${method},grpc_code="NotFound"} 1`)
  t.match(text, `grpc_server_handled_total{grpc_type="unary",${method},grpc_code="OK"}`)
  t.match(text, /grpc_server_msg_received_total\{[^}]*Session"\} [0-9]+/)
  t.match(text, /grpc_server_handling_seconds_count/)
})
