// Goal: what the HTTP port says to Prometheus, to probes and to people who ask for something else.
// Method: the real server and real registries, real requests on the loopback.
import t from 'tap'
import type { AddressInfo } from 'node:net'
import { Counter, Registry } from 'prom-client'
import { discoverTargets, type TargetGroup } from '../../daemon/http/discovery.ts'
import { httpServer, listen, type HttpBackend } from '../../daemon/http/server.ts'
import { make } from '../../proto/codec.ts'
import { NodeAvailability, NodeRole, NodeState, v1 } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'

const NOT_A_MANAGER = 'this node is not a manager; ask a manager'

function aBackend(changed: Partial<HttpBackend> = {}): HttpBackend {
  return {
    registry: () => new Registry(),
    clusterRegistry: () => undefined,
    targets: () => {
      throw new StatusError('Unavailable', NOT_A_MANAGER)
    },
    notReady: () => undefined,
    ...changed,
  }
}

interface Answer {
  readonly code: number
  readonly type: string
  readonly body: string
}

async function ask(backend: HttpBackend, url: string): Promise<Answer> {
  const server = httpServer(backend)
  await listen(server, { host: '127.0.0.1', port: 0 })
  try {
    const { port } = server.address() as AddressInfo
    const answer = await fetch(`http://127.0.0.1:${port}${url}`)
    return {
      code: answer.status,
      type: String(answer.headers.get('content-type')),
      body: await answer.text(),
    }
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

t.test('/metrics is the registry of this moment, in the text format of Prometheus', async t => {
  const registry = new Registry()
  const hits = new Counter({
    name: 'skein_test_total',
    help: 'Hits',
    labelNames: ['kind'],
    registers: [registry],
  })
  const backend = aBackend({ registry: () => registry })
  hits.inc({ kind: 'a "quoted" one' })
  const first = await ask(backend, '/metrics')
  t.equal(first.code, 200)
  t.match(first.type, /^text\/plain; version=0\.0\.4/)
  t.match(first.body, '# HELP skein_test_total Hits\n# TYPE skein_test_total counter\n')
  t.match(first.body, 'skein_test_total{kind="a \\"quoted\\" one"} 1\n')
  hits.inc({ kind: 'a "quoted" one' })
  t.match((await ask(backend, '/metrics')).body, '} 2\n')
})

t.test('the cluster is shown by managers alone', async t => {
  for (const url of ['/metrics/cluster', '/sd/prometheus']) {
    const refused = await ask(aBackend(), url)
    t.equal(refused.code, 503)
    t.same(JSON.parse(refused.body), { message: NOT_A_MANAGER })
  }
  const registry = new Registry()
  new Counter({ name: 'skein_cluster_test_total', help: 'x', registers: [registry] }).inc(7)
  const targets: readonly TargetGroup[] = [{ targets: ['10.0.0.1:9477'], labels: { node: 'h1' } }]
  const manager = aBackend({ clusterRegistry: () => registry, targets: () => targets })
  const cluster = await ask(manager, '/metrics/cluster')
  t.equal(cluster.code, 200)
  t.match(cluster.type, /^text\/plain; version=0\.0\.4/)
  t.match(cluster.body, 'skein_cluster_test_total 7\n')
  const discovery = await ask(manager, '/sd/prometheus')
  t.equal(discovery.code, 200)
  t.match(discovery.type, /^application\/json/)
  t.same(JSON.parse(discovery.body), targets)
})

t.test('health needs an answer only; readiness says what is missing', async t => {
  const reason = 'no session with a manager'
  const cut = aBackend({ notReady: () => reason })
  t.match(await ask(cut, '/healthz'), { code: 200, body: '{"status":"ok"}' })
  const refused = await ask(cut, '/readyz')
  t.equal(refused.code, 503)
  t.same(JSON.parse(refused.body), { status: 'not ready', reason })
  t.match(await ask(aBackend(), '/readyz'), { code: 200, body: '{"status":"ok"}' })
})

t.test(
  'an unknown path is told what there is, an unexpected fault is a 500 that says it',
  async t => {
    const missing = await ask(aBackend(), '/metrcs?x=1')
    t.equal(missing.code, 404)
    t.same(JSON.parse(missing.body), {
      message:
        '/metrcs not found; there are /metrics, /metrics/cluster, /sd/prometheus, /healthz, /readyz',
    })
    const broken = aBackend({
      registry: () => {
        throw new Error('two metrics of one name')
      },
    })
    const fault = await ask(broken, '/metrics')
    t.equal(fault.code, 500)
    t.match(fault.body, 'two metrics of one name')
  },
)

t.test('every node that told its address is a target, those that are down too', async t => {
  const node = (id: string, rest: object): ReturnType<typeof make<typeof v1.Node>> =>
    make(v1.Node, { id, spec: {}, description: {}, ...rest })
  const groups = discoverTargets(
    [
      node('n1', {
        role: NodeRole.MANAGER,
        status: { state: NodeState.NODE_READY },
        spec: {
          availability: NodeAvailability.DRAIN,
          annotations: { labels: { 'disk.type': 'ssd', zone: 'a' } },
        },
        description: { hostname: 'h1', metricsAddress: '10.0.0.1:9477' },
      }),
      node('n2', {
        role: NodeRole.WORKER,
        status: { state: NodeState.DOWN },
        description: { metricsAddress: '10.0.0.2:9477' },
      }),
      node('n3', { role: NodeRole.WORKER, description: { hostname: 'never connected' } }),
    ],
    'prod',
  )
  t.same(groups, [
    {
      targets: ['10.0.0.1:9477'],
      labels: {
        cluster: 'prod',
        node: 'h1',
        node_id: 'n1',
        role: 'manager',
        __meta_skein_status: 'ready',
        __meta_skein_availability: 'drain',
        __meta_skein_node_label_disk_type: 'ssd',
        __meta_skein_node_label_zone: 'a',
      },
    },
    {
      targets: ['10.0.0.2:9477'],
      labels: {
        cluster: 'prod',
        node: 'n2',
        node_id: 'n2',
        role: 'agent',
        __meta_skein_status: 'down',
        __meta_skein_availability: 'active',
      },
    },
  ])
  t.same(discoverTargets([], 'prod'), [])
})
