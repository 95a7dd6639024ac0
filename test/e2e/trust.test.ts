// Goal: whoever is not entitled is refused in clear words, and nothing a caller sends stops a daemon.
// Method: raw gRPC and raw bytes from the outside client of the lab, with no certificate, a worker's, and a manager's.
import t from 'tap'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { clusterFor } from '../support/e2e.ts'
import type { Host } from '../lab/lab.ts'

const cluster = await clusterFor(t, 'trust', { hosts: 2, managers: 1 })
const [h1, h2] = cluster.lab.hosts
if (!h1 || !h2) throw new Error('the lab has too few hosts')
const CALLER = join(import.meta.dirname, '../support/raw-caller.ts')
const ROOT = join(import.meta.dirname, '../..')

interface Answer {
  readonly code: string
  readonly message: string
}

/** One call from the outside client, in a process of its own. */
const call = async (request: Record<string, unknown>): Promise<Answer> => {
  const tsx = join(ROOT, 'node_modules/.bin/tsx')
  const { stdout, stderr } = await cluster.lab.client.exec(
    [tsx, '--conditions=development', CALLER],
    {
      input: JSON.stringify({ address: `${h1.address}:2377`, ...request }),
    },
  )
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as Answer
}
const pem = (host: Host): { node: string; root: string } => ({
  node: readFileSync(join(host.dir, 'skein/identity/node.pem'), 'utf8'),
  root: readFileSync(join(host.dir, 'skein/identity/root.pem'), 'utf8'),
})
const stillServes = async (): Promise<void> => {
  const rows = await cluster.rows(h1, 'node', 'ls')
  if (rows.filter(row => row['Status'] === 'Ready').length !== 2)
    throw new Error(JSON.stringify(rows))
}

t.test('a caller without a certificate may ask for the root and for nothing else', async t => {
  const root = await call({
    service: 'CA',
    method: 'getRootCertificate',
    body: {},
    root: pem(h1).root,
  })
  t.equal(root.code, 'OK', root.message)
  for (const [service, method] of [
    ['Control', 'listNodes'],
    ['Raft', 'join'],
    ['Health', 'check'],
  ]) {
    const { code, message } = await call({ service, method, body: {}, root: pem(h1).root })
    t.equal(code, 'Unauthenticated', `${service}.${method}: ${message}`)
    t.match(message, /certificate/)
  }
})

t.test('a worker is refused what managers may do, by name', async t => {
  const worker = pem(h2)
  for (const [service, method] of [
    ['Control', 'listNodes'],
    ['Control', 'getJoinTokens'],
    ['Raft', 'join'],
  ]) {
    const { code, message } = await call({ service, method, body: {}, ...worker })
    t.equal(code, 'PermissionDenied', message)
    t.match(message, /worker.*manager/)
  }
})

t.test('a worker cannot call for another node', async t => {
  const metadata = { 'skein-forwarded-for': 'someone:manager' }
  const { code } = await call({
    service: 'Control',
    method: 'listNodes',
    body: {},
    metadata,
    ...pem(h2),
  })
  t.equal(code, 'PermissionDenied')
})

t.test('a manager’s certificate is taken', async t => {
  const { code, message } = await call({
    service: 'Control',
    method: 'listNodes',
    body: {},
    ...pem(h1),
  })
  t.equal(code, 'OK', message)
})

t.test('a message that cannot be decoded is an error of its caller alone', async t => {
  const garbage = { rawBody: 'ffffffffffffffffff' }
  const { code, message } = await call({
    service: 'Control',
    method: 'createService',
    ...garbage,
    ...pem(h1),
  })
  t.equal(code, 'InvalidArgument', message)
  await stillServes()
})

t.test('Raft messages of another cluster and of no meaning change nothing', async t => {
  const { code } = await call({
    service: 'Raft',
    method: 'messages',
    stream: [{ clusterId: 'other', messages: ['AAAA'] }],
    ...pem(h1),
  })
  t.not(code, 'OK')
  const own = await cluster.run(h1, 'swarm', 'info')
  t.ok(own)
  await stillServes()
})

t.test('bytes that are no TLS, no HTTP/2 and no end are shrugged off', async t => {
  for (const bytes of [
    'hello\\n',
    '\\x16\\x03\\x01\\xff\\xff',
    'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n',
  ]) {
    await cluster.lab.client.exec([
      'sh',
      '-c',
      `printf '${bytes}' | timeout 2 nc -w 1 ${h1.address} 2377 || true`,
    ])
  }
  await stillServes()
  t.pass('both nodes are still ready')
})

t.test('the daemons are the same processes as before', async t => {
  for (const host of [h1, h2]) t.ok(readFileSync(`/proc/${cluster.daemonPid(host)}/stat`, 'utf8'))
})
