// Goal: calls, pulls and events behave when the engine is slow, wrong, stalls or goes away.
// Method: the real Engine, Puller and event reader through dockerode against an HTTP server on a socket of our own.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Dockerode from 'dockerode'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { Adapter } from '../../../agent/executor/docker/adapter.ts'
import { Engine } from '../../../agent/executor/docker/engine.ts'
import { followEvents } from '../../../agent/executor/docker/events.ts'
import { Gate } from '../../../agent/executor/docker/gate.ts'
import { Puller } from '../../../agent/executor/docker/pull.ts'
import { AgentMetrics } from '../../../agent/metrics.ts'
import { make } from '../../../proto/codec.ts'
import { v1 } from '../../../proto/index.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { MemoryLog } from '../../../runtime/log.ts'
import { seededRandom } from '../../../runtime/random.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

async function engineAt(t: Test, answers: Record<string, Answer>) {
  const asked: string[] = []
  const headers: IncomingMessage['headers'][] = []
  // A socket's path has room for 108 characters only.
  const dir = mkdtempSync(join(tmpdir(), 'engine-'))
  const socketPath = join(dir, 's')
  const server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    asked.push(`${request.method} ${request.url}`)
    headers.push(request.headers)
    const answer = answers[path]
    if (answer) return answer(request, response)
    response
      .writeHead(404, { 'content-type': 'application/json' })
      .end('{"message":"no such thing"}')
  })
  await new Promise<void>(resolve => server.listen(socketPath, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const registry = new Registry()
  const metrics = new AgentMetrics(registry)
  const log = new MemoryLog()
  const engine = new Engine(new Dockerode({ socketPath }), systemClock, metrics)
  const puller = new Puller({ engine, clock: systemClock, log, metrics })
  return { engine, puller, asked, headers, registry, metrics, log }
}

const json =
  (status: number, body: object): Answer =>
  (_, response) =>
    void response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(JSON.stringify(body))
const spec = (init: Parameters<typeof make<typeof v1.ContainerSpec>>[1] = {}) =>
  make(v1.ContainerSpec, { image: 'app:1', ...init })
const never = new AbortController().signal

t.test('a call that takes too long ends, also in the middle of its answer', async t => {
  const { engine } = await engineAt(t, {
    '/silent': () => {},
    '/half': (_, response) => void response.write('{"a":'),
  })
  for (const path of ['/silent', '/half']) {
    const call = engine.call({ operation: 'test', method: 'GET', path, timeoutMs: 50 })
    await t.rejects(call, { code: 'DeadlineExceeded', message: /test took longer than 50 ms/ })
  }
})

t.test('queries and bodies go where they belong', async t => {
  let body = ''
  const { engine, asked } = await engineAt(t, {
    '/containers/create': (request, response) => {
      request
        .on('data', chunk => (body += String(chunk)))
        .on('end', () => json(201, { Id: 'c1' })(request, response))
    },
  })
  const created = await new Adapter(engine).create(
    'web.1.x',
    { Image: 'a', Labels: {}, HostConfig: { RestartPolicy: { Name: 'no' } } },
    '',
  )
  t.equal(created, 'c1')
  t.strictSame(asked, ['POST /containers/create?name=web.1.x'])
  t.match(JSON.parse(body), { Image: 'a' })
})

t.test('an image that is here is not pulled; one that may not be is refused', async t => {
  const { puller, asked } = await engineAt(t, { '/images/app%3A1/json': json(200, {}) })
  await puller.ensure(spec(), never)
  await t.rejects(puller.ensure(spec({ image: 'other:1', pull: { policy: 'never' } }), never), {
    code: 'NotFound',
  })
  t.notOk(asked.some(line => line.startsWith('POST')))
})

t.test('tasks that wait for one image share one pull, with its credentials', async t => {
  const pulls: ServerResponse[] = []
  const { puller, headers, asked } = await engineAt(t, {
    '/images/create': (_, response) => {
      pulls.push(response)
      response.write(
        '{"status":"Downloading","id":"l1","progressDetail":{"current":10,"total":20}}\n',
      )
    },
  })
  const wanted = spec({ image: 'r:5000/app', pull: { registryAuth: 'c2VjcmV0' } })
  const leaves = new AbortController()
  const waiting = [puller.ensure(wanted, never), puller.ensure(wanted, never)]
  const left = puller.ensure(wanted, leaves.signal)
  while (pulls.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  leaves.abort()
  await t.rejects(left, { code: 'Cancelled' })
  pulls[0]?.end('{"status":"Download complete"}\n')
  await Promise.all(waiting)
  t.equal(pulls.length, 1)
  t.ok(asked.includes('POST /images/create?fromImage=r%3A5000%2Fapp%3Alatest'))
  t.ok(headers.some(sent => sent['x-registry-auth'] === 'c2VjcmV0'))
})

t.test('a pull’s error comes inside its stream; it matters only without a local image', async t => {
  const failing: Answer = (_, response) =>
    void response.end('{"status":"x"}\n{"error":"dial tcp: i/o timeout"}\n')
  const without = await engineAt(t, { '/images/create': failing })
  await t.rejects(without.puller.ensure(spec(), never), {
    code: 'Unavailable',
    message: 'image app:1 could not be pulled: dial tcp: i/o timeout',
  })
  t.match(await without.registry.metrics(), /image_pulls_total\{result="error"\} 1/)
  const withOne = await engineAt(t, {
    '/images/create': failing,
    '/images/app%3A1/json': json(200, {}),
  })
  await withOne.puller.ensure(spec({ pull: { policy: 'always' } }), never)
  t.match(withOne.log.lines[0]?.message, /local image is used/)
})

t.test('events are followed again after a break, and everything looked at anew', async t => {
  let opened = 0
  const on = await engineAt(t, {
    '/events': (_, response) => {
      opened += 1
      const event = (Action: string, id: string) =>
        `${JSON.stringify({ Action, Actor: { Attributes: { 'io.skein.task.id': id } } })}\n`
      response.write(
        event('exec_start: sh', 'no') + event('start', 'a') + event('health_status: healthy', 'b'),
      )
      response.write(event('oom', 'c'))
      if (opened === 1) setTimeout(() => response.destroy(), 20)
    },
  })
  const seen: (string | undefined)[] = []
  const oom: string[] = []
  const stop = new AbortController()
  const adapter = new Adapter(on.engine)
  const following = followEvents(
    {
      open: signal => adapter.events(signal, 'c', 'n'),
      clock: systemClock,
      random: seededRandom(1),
      log: on.log,
      metrics: on.metrics,
    },
    id => seen.push(id),
    id => oom.push(id),
    stop.signal,
  )
  while (seen.length < 8) await new Promise(resolve => setTimeout(resolve, 10))
  stop.abort()
  await following
  t.strictSame(seen, [undefined, 'a', 'b', 'c', undefined, 'a', 'b', 'c'])
  t.strictSame(oom, ['c', 'c'])
})

t.test('a gate keeps its limit and its order, whatever fails', async t => {
  const gate = new Gate(2)
  let running = 0
  let most = 0
  const order: number[] = []
  const work = Array.from({ length: 10 }, (_, at) =>
    gate
      .run(async () => {
        running += 1
        most = Math.max(most, running)
        order.push(at)
        await new Promise(resolve => setImmediate(resolve))
        running -= 1
        if (at % 3 === 0) throw new Error('x')
      })
      .catch(() => undefined),
  )
  await Promise.all(work)
  t.equal(most, 2)
  t.strictSame(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})
