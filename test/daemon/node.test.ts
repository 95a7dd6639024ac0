// Goal: a node's life on real files: of no cluster, founder and leader, stopped and started, left; damage is said, not fatal.
// Method: SkeinNode on 127.0.0.1 with a free port, no engine behind its socket path, and a host without network tools.
import t from 'tap'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { serveControlSocket, socketPath } from '../../daemon/control-socket.ts'
import { unary } from '../../proto/call.ts'
import { make } from '../../proto/codec.ts'
import { clientFor } from '../../proto/grpc.ts'
import { NodeRole, v1 } from '../../proto/index.ts'
import { aConfig, aDaemon, clock, filesOf, init, leads, until } from './node-fixture.ts'

t.test('of no cluster: there is nothing to leave, nothing to show, and no error', async t => {
  const { node } = aDaemon(t, await aConfig(t))
  await node.start()
  t.equal(node.membership, undefined)
  t.equal(node.error, undefined)
  for (const force of [false, true]) {
    await t.rejects(node.leave(force), {
      code: 'FailedPrecondition',
      message: /not part of a cluster; make one with: skein swarm init/,
    })
  }
})

t.test('founds, leads, comes back as the same node, and leaves', async t => {
  const config = await aConfig(t)
  const first = aDaemon(t, config)
  await first.node.start()
  const founded = await first.node.init(init({ clusterName: 'prod' }))
  t.equal(founded.address, config.listen)
  t.match(founded.workerToken, /^SKNTKN-1-/)

  await t.test('a cluster of one that this node leads, without an engine too', async t => {
    await until(leads(first.node), 'leadership')
    const { membership } = first.node
    t.match(membership?.identity, {
      nodeId: founded.nodeId,
      role: 'manager',
    })
    membership?.managing?.manager.store.view(tx => {
      t.same(
        tx.list('cluster').map(cluster => [cluster.id, cluster.spec?.annotations?.name]),
        [[founded.clusterId, 'prod']],
      )
      t.same(
        tx.list('node').map(node => [node.id, node.role]),
        [[founded.nodeId, NodeRole.MANAGER]],
      )
    })
    await until(() => membership?.working?.agent.status().connected === true, 'the session')
  })

  await t.test('a second init or join is refused and changes nothing', async t => {
    const refusal = { code: 'FailedPrecondition', message: /already part of a cluster; leave it/ }
    await t.rejects(first.node.init(init()), refusal)
    await t.rejects(first.node.join(make(v1.JoinRequest, {})), refusal)
    t.equal(first.node.membership?.identity.nodeId, founded.nodeId)
  })

  await t.test('every series once, those of the local socket and of the port together', async t => {
    const { node, processRegistry: registry, log } = first
    const server = await serveControlSocket(node, { config, clock, log, registry })
    t.teardown(() => server.forceShutdown())
    const target = `unix:${socketPath(config.runDir)}`
    const client = clientFor(v1.Local, v1, target, credentials.createInsecure())
    t.teardown(() => client.close())
    t.match(await unary(client, client.info, {}, { timeoutMs: 5_000 }), {
      state: 'active',
      nodeId: founded.nodeId,
      role: NodeRole.MANAGER,
      address: '127.0.0.1',
      connected: true,
    })
    const page = await node.registry.metrics()
    for (const part of [
      'skein_raft_is_leader 1\n',
      'skein_agent_connected 1\n',
      'skein_agent_engine_up 0\n',
      'grpc_server_handled_total{grpc_type="unary",grpc_service="skein.v1.Local",grpc_method="Info",grpc_code="OK"} 1\n',
      'grpc_server_started_total{grpc_type="bidi_stream",grpc_service="skein.v1.Dispatcher",grpc_method="Session"}',
    ])
      t.ok(page.includes(part), part)
    await t.rejects(serveControlSocket(node, { config, clock, log, registry }), {
      code: 'FailedPrecondition',
      message: /another skein daemon runs with .*--run-dir/,
    })
  })

  await t.test('a socket path that the kernel would cut is refused', async t => {
    const { node, processRegistry: registry, log } = first
    const long = { ...config, runDir: `${config.runDir}/${'r'.repeat(100)}` }
    await t.rejects(serveControlSocket(node, { config: long, clock, log, registry }), {
      code: 'InvalidArgument',
      message: /longer than a socket's path may be \(107 bytes\); choose a shorter --run-dir/,
    })
  })

  await first.node.stop()
  t.equal(first.node.membership, undefined)
  const second = aDaemon(t, config)
  await second.node.start()

  await t.test('after a stop a new process is the same node and leads again', async t => {
    t.equal(second.node.error, undefined)
    t.match(second.node.membership?.identity, {
      nodeId: founded.nodeId,
      clusterId: founded.clusterId,
      role: 'manager',
    })
    await until(leads(second.node), 'leadership after the restart')
    const store = second.node.membership?.managing?.manager.store
    t.equal(
      store?.view(tx => tx.get('cluster', founded.clusterId)?.spec?.annotations?.name),
      'prod',
    )
  })

  await t.test('a manager leaves only with --force, and is then of no cluster', async t => {
    await t.rejects(second.node.leave(false), {
      code: 'FailedPrecondition',
      message:
        /this node is a manager: demote it first \(skein node demote\), or leave with --force/,
    })
    t.ok(second.node.membership)
    await second.node.leave(true)
    t.equal(second.node.membership, undefined)
    t.equal(second.node.error, undefined)
    t.same(filesOf(config.dataDir), [])
  })

  await t.test('and founds another cluster as another node', async t => {
    const other = await second.node.init(init())
    t.not(other.nodeId, founded.nodeId)
    t.not(other.clusterId, founded.clusterId)
    await second.node.leave(true)
  })
})

t.test('what stands in the way of founding is said, and nothing is left behind', async t => {
  const config = await aConfig(t)
  const { node } = aDaemon(t, config)
  await t.rejects(node.init(init({ advertiseAddress: 'nowhere0' })), {
    code: 'InvalidArgument',
    message: /--advertise-addr nowhere0 is neither/,
  })
  await t.rejects(node.init(init({ autolock: true })), { code: 'Unimplemented' })
  await t.rejects(node.init(init({ forceNewCluster: true })), {
    code: 'FailedPrecondition',
    message: /skein cluster recover; with a backup: skein cluster restore FILE/,
  })
  const other = createServer()
  const { host, port } = { host: '127.0.0.1', port: Number(config.listen.split(':')[1]) }
  await new Promise<void>(resolve => other.listen(port, host, resolve))
  await t.rejects(node.init(init()), {
    code: 'Unavailable',
    message:
      /cannot listen on 127\.0\.0\.1:\d+: .*; is another program there\? choose another with --listen/,
  })
  await new Promise(resolve => other.close(resolve))
  t.equal(node.membership, undefined)
  t.same(filesOf(config.dataDir), [])
  await node.init(init())
  t.ok(node.membership, 'and it works once the way is free')
  await node.leave(true)
})

t.test('damaged files leave the daemon up, with the reason, and --force cleans them', async t => {
  const config = await aConfig(t)
  const founder = aDaemon(t, config)
  await founder.node.init(init())
  await founder.node.stop()

  const identity = join(config.dataDir, 'identity', 'node.pem')
  const place = join(config.dataDir, 'place.json')
  const member = join(config.dataDir, 'manager', 'member.json')
  for (const [path, said] of [
    [identity, /identity is damaged: .*skein swarm leave --force/],
    [place, /place\.json is missing or damaged: .*skein swarm leave --force/],
    [member, /member\.json is damaged: .*skein swarm leave --force/],
  ] as const) {
    const whole = readFileSync(path)
    writeFileSync(path, whole.subarray(0, whole.length / 2))
    const { node, log } = aDaemon(t, config)
    await node.start()
    t.equal(node.membership, undefined, path)
    t.match(node.error, said)
    t.ok(log.lines.some(line => line.level === 'error'))
    await t.rejects(node.init(init()), { code: 'FailedPrecondition', message: said })
    await t.rejects(node.leave(false), {
      code: 'FailedPrecondition',
      message: /; to leave all the same: --force$/,
    })
    writeFileSync(path, whole)
  }

  writeFileSync(identity, 'not a key')
  const { node } = aDaemon(t, config)
  await node.start()
  await node.leave(true)
  t.equal(node.error, undefined)
  t.same(filesOf(config.dataDir), [])
  await node.init(init())
  t.ok(node.membership, 'a new cluster can be founded')
  await node.leave(true)
})
