// Goal: a joiner gets in with the right token, never shows its secret to the wrong cluster, and renews with its certificate.
// Method: the CA service behind real TLS on 127.0.0.1, a store in memory; an impostor that records what reaches it.
import t from 'tap'
import { joinCluster } from '../../../agent/identity/join.ts'
import { createKey, trustOf, type Identity } from '../../../agent/identity/identity.ts'
import { certificateRequest } from '../../../agent/identity/csr.ts'
import { renewIdentity } from '../../../agent/identity/renewal.ts'
import { addService } from '../../../daemon/rpc/server.ts'
import { caHandlers } from '../../../manager/ca/server.ts'
import { joinTokens, newTokenSecret } from '../../../manager/ca/token.ts'
import { unary } from '../../../proto/call.ts'
import { clientFor } from '../../../proto/grpc.ts'
import { NodeAvailability, NodeRole, v1 } from '../../../proto/index.ts'
import { formatToken } from '../../../proto/join-token.ts'
import type { HandlersOf } from '../../../proto/service.ts'
import { clientCredentials } from '../../../proto/tls.ts'
import { silentLog } from '../../../runtime/log.ts'
import { clock, random, serve, testCluster, type TestCluster } from '../../daemon/rpc/fixture.ts'

const cluster = await testCluster()
const manager = await cluster.node('manager')
const handlersOf = (of: TestCluster): HandlersOf<'CA'> =>
  caHandlers({ store: of.store, clock, random, log: of.log, registry: of.registry })
const server = await serve(manager, grpcServer =>
  addService(grpcServer, 'CA', handlersOf(cluster), cluster.rpcOptions()),
)
t.teardown(() => server.stop())

const tokens = (): { worker: string; manager: string } =>
  joinTokens(cluster.store.view(tx => tx.cluster().rootCa ?? cluster.rootCa))
const join = (token: string, addresses = [server.address]) =>
  joinCluster({
    addresses,
    token,
    availability: NodeAvailability.ACTIVE,
    log: silentLog,
    timeoutMs: 3000,
  })

t.test('the token decides the role; the node is in the store', async t => {
  const { identity, address } = await join(tokens().worker)
  t.match(identity, { role: 'worker', clusterId: cluster.id })
  t.equal(address, server.address)
  const node = cluster.store.view(tx => tx.get('node', identity.nodeId))
  t.match(node, {
    role: NodeRole.WORKER,
    spec: { role: NodeRole.WORKER, availability: NodeAvailability.ACTIVE },
    certificateExpiresAtMs: identity.expiresAtMs,
    status: { address: '127.0.0.1' },
  })
  t.match((await join(tokens().manager)).identity, { role: 'manager' })
})

t.test('the secret of another cluster’s token is never sent', async t => {
  const other = await testCluster()
  const received: unknown[] = []
  const handlers = handlersOf(other)
  const impostor = await serve(await other.node('manager'), grpcServer =>
    addService(
      grpcServer,
      'CA',
      {
        ...handlers,
        issueCertificate(request, caller) {
          received.push(request)
          return handlers.issueCertificate(request, caller)
        },
      },
      other.rpcOptions(),
    ),
  )
  t.teardown(() => impostor.stop())
  await t.rejects(join(tokens().worker, [impostor.address]), {
    code: 'PermissionDenied',
    message: /not of the cluster this token was made for .* secret was not sent/,
  })
  t.same(received, [])
})

t.test('nor to a server that shows the right root but holds no certificate of it', async t => {
  const other = await testCluster()
  const received: unknown[] = []
  const impostor = await serve(await other.node('manager'), grpcServer =>
    addService(
      grpcServer,
      'CA',
      {
        getRootCertificate: async () => ({ certificatePem: cluster.rootCa.certificatePem }),
        async issueCertificate(request) {
          received.push(request)
          return {}
        },
      },
      other.rpcOptions(),
    ),
  )
  t.teardown(() => impostor.stop())
  await t.rejects(join(tokens().worker, [impostor.address]), { code: 'Unavailable' })
  t.same(received, [])
})

t.test('a rotated secret is refused with the remedy, and attempts are limited', async t => {
  const forged = formatToken({ digest: cluster.rootCa.digest, secret: newTokenSecret(random) })
  const refusal = {
    code: 'PermissionDenied',
    message: /join token was refused: it was rotated.*skein swarm join-token worker/,
  }
  const { address } = server
  const client = clientFor(
    v1.CA,
    v1,
    address,
    clientCredentials(() => ({ rootPems: [cluster.rootCa.certificatePem] })),
  )
  t.teardown(() => client.close())
  await t.rejects(join(forged), refusal)
  const csrPem = certificateRequest(await createKey())
  for (let i = 0; i < 9; i += 1) {
    const request = { csrPem, tokenSecret: newTokenSecret(random) }
    await t.rejects(unary(client, client.issueCertificate, request), refusal)
  }
  await t.rejects(join(tokens().worker), {
    code: 'ResourceExhausted',
    message: /too many refused join tokens from 127.0.0.1; try again in/,
  })
  t.notMatch(JSON.stringify(cluster.log.lines), forged.split('-').at(-1))
})

t.test('addresses are tried in turn; when none answers it says which', async t => {
  await t.rejects(join(tokens().worker, ['127.0.0.1:1', '127.0.0.1:2']), {
    code: 'Unavailable',
    message: 'no manager answered (127.0.0.1:1, 127.0.0.1:2)',
  })
  await t.rejects(join('hello'), { code: 'InvalidArgument', message: /not a join token/ })
})

t.test('renewal gives the role the spec says now, with a new key', async t => {
  const worker = await cluster.node('worker')
  const promote = (identity: Identity, role: NodeRole): Promise<void> =>
    cluster.store.update(tx => {
      const node = tx.get('node', identity.nodeId)
      if (node?.spec) tx.update('node', { ...node, spec: { ...node.spec, role } }, { spec: true })
    })
  t.match(await renewIdentity(worker, [server.address]), { role: 'worker', nodeId: worker.nodeId })
  await promote(worker, NodeRole.MANAGER)
  const promoted = await renewIdentity(worker, ['127.0.0.1:1', server.address], 3000)
  t.match(promoted, { role: 'manager', nodeId: worker.nodeId })
  t.not(promoted.keyPem, worker.keyPem)
  t.match(
    cluster.store.view(tx => tx.get('node', worker.nodeId)),
    {
      role: NodeRole.MANAGER,
      certificateExpiresAtMs: promoted.expiresAtMs,
    },
  )
})

t.test('strangers and removed nodes get no certificate', async t => {
  const client = clientFor(
    v1.CA,
    v1,
    server.address,
    clientCredentials(() => ({ rootPems: [cluster.rootCa.certificatePem] })),
  )
  t.teardown(() => client.close())
  const csrPem = certificateRequest(await createKey())
  await t.rejects(unary(client, client.issueCertificate, { csrPem }), {
    code: 'Unauthenticated',
    message: /neither was shown/,
  })
  const gone = await cluster.node('worker')
  await cluster.store.update(tx => tx.delete('node', gone.nodeId))
  await t.rejects(renewIdentity(gone, [server.address]), {
    code: 'PermissionDenied',
    message: /was removed from the cluster/,
  })
  const damaged = clientFor(
    v1.CA,
    v1,
    server.address,
    clientCredentials(() => trustOf(manager)),
  )
  t.teardown(() => damaged.close())
  await t.rejects(unary(damaged, damaged.issueCertificate, { csrPem: 'hello' }), {
    code: 'InvalidArgument',
  })
})
