// Goal: the Docker executor does on a real engine what tasks need: life, failures in words, adoption, secrets, logs.
// Method: a worker over the executor and the engine at DOCKER_HOST or /run/docker.sock, which must have the lab's images.
// Run inside a lab host: npm run lab -- exec h1 node --import=tsx --conditions=development test/support/executor-check.ts
import { createServer } from 'node:net'
import Dockerode from 'dockerode'
import { Registry } from 'prom-client'
import t from 'tap'
import { DockerExecutor } from '../../agent/executor/docker/executor.ts'
import { serveLogs } from '../../agent/logs.ts'
import { AgentMetrics } from '../../agent/metrics.ts'
import { ObjectStore } from '../../agent/objects.ts'
import { Reporter } from '../../agent/reporter.ts'
import { Storage } from '../../agent/storage.ts'
import { Worker } from '../../agent/worker.ts'
import { make } from '../../proto/codec.ts'
import {
  type StreamFrame,
  PublishMode,
  type Task,
  TaskState,
  type TaskStatus,
  v1,
} from '../../proto/index.ts'
import { systemClock } from '../../runtime/clock.ts'
import { duplexPair } from '../../runtime/duplex.ts'
import { systemFs } from '../../runtime/fs.ts'
import { MemoryLog } from '../../runtime/log.ts'
import { systemPrivateFiles } from '../../runtime/private-files.ts'
import { newId, systemRandom } from '../../runtime/random.ts'
import { stateName } from '../../services/model/task.ts'
import { FakeNetworks, aTask, anAssignment } from '../agent/builders.ts'

t.setTimeout(180_000)

const docker = new Dockerode({ socketPath: '/run/docker.sock' })
const IMAGE = 'skein/tools:1'
const clusterId = newId(systemRandom)
const nodeId = newId(systemRandom)
const stateDir = t.testdir()
const runDir = `/run/skein-e2e-${process.pid}`

function startWorker() {
  const log = new MemoryLog()
  const metrics = new AgentMetrics(new Registry())
  const networks = new FakeNetworks()
  networks.prepare = async () => networking
  const objects = new ObjectStore(nodeId)
  const base = { clock: systemClock, random: systemRandom, log, metrics, networks, nodeId }
  const executor = new DockerExecutor({
    ...base,
    docker,
    privateFiles: systemPrivateFiles,
    clusterId,
    runDir,
  })
  const worker = new Worker({
    ...base,
    executor,
    storage: new Storage({ fs: systemFs, log, dir: stateDir }),
    reporter: new Reporter(systemClock),
    objects,
    address: () => '127.0.0.1',
  })
  return { worker, executor, objects, log }
}

/** Networks the next tasks join. */
let networking: Awaited<ReturnType<FakeNetworks['prepare']>> = {
  attachments: [],
  dns: [],
  resolvConf: undefined,
}
let on = startWorker()
let revision = 0
const held = new Map<string, Task>()

type TaskInit = NonNullable<Parameters<typeof aTask>[0]>
type ContainerInit = NonNullable<NonNullable<TaskInit['spec']>['container']>

function task(container: ContainerInit, init: TaskInit = {}): Task {
  const id = newId(systemRandom)
  const spec = { container: { image: IMAGE, stopGraceMs: 2_000, ...container }, ...init.spec }
  return aTask({ ...init, id, nodeId, serviceName: 'e2e', spec })
}

function assign(...tasks: readonly Task[]): void {
  for (const one of tasks) held.set(one.id, one)
  on.worker.apply(anAssignment({ appliesTo: revision, revision: ++revision, tasks }))
}

async function until(id: string, ...states: readonly TaskState[]): Promise<TaskStatus> {
  const deadlineMs = Date.now() + 40_000
  for (;;) {
    const status = on.worker.task(id)?.status
    if (status && states.includes(status.state)) return status
    if (Date.now() > deadlineMs) {
      throw new Error(
        `task is ${stateName(status?.state ?? 0)} (${status?.error}), waited for ${states.map(stateName).join()}`,
      )
    }
    await new Promise(resolve => setTimeout(resolve, 25))
  }
}

t.before(async () => {
  await on.worker.start()
  on.worker.sessionOpened()
  on.worker.apply(anAssignment({ complete: true, revision: ++revision }))
})

t.teardown(async () => {
  on.worker.apply(anAssignment({ complete: true, revision: ++revision }))
  for (let waited = 0; waited < 200 && (await on.executor.list()).length > 0; waited++) {
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  await on.worker.stop()
})

t.test('a node is described', async t => {
  const description = await on.executor.describe()
  t.ok((description.resources?.nanoCpus ?? 0) >= 1e9)
  t.ok((description.resources?.memoryBytes ?? 0) > 1e8)
  t.match(description.engine?.apiVersion, /^1\.\d+$/)
  t.ok(
    description.engine?.plugins.some(({ type, name }) => type === 'Network' && name === 'overlay'),
  )
  t.comment(JSON.stringify(description))
})

t.test('a task runs, is stopped with its signal, and removed', async t => {
  const one = task({
    args: ['sleep', '1000'],
    env: ['SLOT={{.Task.Slot}}'],
    labels: { 'io.skein.task.id': 'forged', mine: 'yes' },
  })
  const sinceMs = Date.now()
  assign(one)
  const status = await until(one.id, TaskState.RUNNING)
  t.comment(`running after ${Date.now() - sinceMs} ms`)
  t.ok((status.container?.pid ?? 0) > 0)
  const inspect = await docker.getContainer(status.container?.containerId ?? '').inspect()
  t.equal(inspect.Name, `/e2e.1.${one.id}`)
  t.match(inspect.Config.Labels, {
    'io.skein.task.id': one.id,
    mine: 'yes',
    'io.skein.cluster': clusterId,
  })
  t.ok(inspect.Config.Env.includes('SLOT=1'))
  assign({ ...one, desiredState: TaskState.SHUTDOWN })
  await until(one.id, TaskState.SHUTDOWN)
  assign({ ...one, desiredState: TaskState.REMOVE })
  for (
    let waited = 0;
    waited < 100 && (await on.executor.list()).some(({ taskId }) => taskId === one.id);
    waited++
  ) {
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  t.notOk((await on.executor.list()).some(({ taskId }) => taskId === one.id))
})

t.test('ends are told in words', async t => {
  const good = task({ args: ['true'] })
  const bad = task({
    args: [
      'sh',
      '-c',
      'for i in $(seq 30); do echo line $i; done; sleep 0.3; echo oops >&2; exit 3',
    ],
  })
  const missing = task({ args: ['no-such-program'] })
  const nowhere = task({ image: 'nope:1', args: ['true'], pull: { policy: 'never' } })
  const bind = task({ args: ['true'], mounts: [{ type: 0, source: '/no/such/dir', target: '/x' }] })
  const memory = task(
    { args: ['sh', '-c', 'x=a; while true; do x=$x$x; done'] },
    { spec: { resources: { limits: { memoryBytes: 16 * 1_048_576 } } } },
  )
  const killed = task({ args: ['sh', '-c', 'kill -TERM $$; sleep 5'], init: true })
  assign(good, bad, missing, nowhere, bind, memory, killed)
  t.equal((await until(good.id, TaskState.COMPLETE)).message, 'finished')
  const failed = await until(bad.id, TaskState.FAILED)
  t.equal(failed.error, 'exited with code 3')
  t.equal(failed.container?.exitCode, 3)
  t.equal(failed.container?.lastLogLines.length, 20)
  t.equal(failed.container?.lastLogLines.at(-1), 'oops')
  for (const [one, state, pattern] of [
    [missing, TaskState.FAILED, /no-such-program/],
    [nowhere, TaskState.REJECTED, /image nope:1 not found on this node/],
    [bind, TaskState.REJECTED, /bind source path does not exist: \/no\/such\/dir/],
    [memory, TaskState.FAILED, /^killed by SIGKILL: out of memory \(limit 16 MiB\)/],
    [killed, TaskState.FAILED, /^killed by SIGTERM/],
  ] as const) {
    const { error } = await until(one.id, state)
    t.match(error, pattern)
    t.comment(error)
  }
})

t.test('an image no registry has', async t => {
  const one = task({ image: '127.0.0.1:1/nope:1', args: ['true'] })
  assign(one)
  const { error, state } = await until(one.id, TaskState.REJECTED)
  t.equal(state, TaskState.REJECTED)
  t.match(error, /^image 127\.0\.0\.1:1\/nope:1 could not be pulled: /)
  t.comment(error)
})

t.test('an image that cannot be pulled but is here is used', async () => {
  const one = task({ args: ['true'], pull: { policy: 'always' } })
  assign(one)
  await until(one.id, TaskState.COMPLETE)
})

t.test('a host port, and one that is taken', async t => {
  const ports = [{ target: 80, published: 0, mode: PublishMode.HOST }]
  const open = task({ args: ['sleep', '1000'] }, { endpoint: { ports } })
  assign(open)
  await until(open.id, TaskState.RUNNING)
  const bound = on.worker.task(open.id)?.status?.ports[0]?.published ?? 0
  t.ok(bound > 0, `engine chose ${bound}`)
  const server = createServer().listen(18_080, '0.0.0.0')
  await new Promise(resolve => server.once('listening', resolve))
  const busy = task(
    { args: ['sleep', '1000'] },
    { endpoint: { ports: [{ target: 80, published: 18_080, mode: PublishMode.HOST }] } },
  )
  const twice = task(
    { args: ['true'] },
    { endpoint: { ports: [{ target: 80, published: bound, mode: PublishMode.HOST }] } },
  )
  assign(busy, twice)
  const { error } = await until(busy.id, TaskState.FAILED)
  t.match(error, /^port 18080 is already in use on this node: /)
  t.comment(error)
  const second = await until(twice.id, TaskState.FAILED)
  t.match(second.error, new RegExp(`^port ${bound} is already in use on this node: `))
  t.comment(second.error)
  server.close()
})

t.test('health checks gate RUNNING and end what turns unhealthy', async t => {
  const healthcheck = {
    test: ['CMD-SHELL', 'test -e /tmp/ok || { echo not yet; false; }'],
    intervalMs: 300,
    retries: 3,
    startPeriodMs: 5_000,
  }
  const one = task({
    args: ['sh', '-c', 'mkdir -p /tmp; sleep 1; touch /tmp/ok; sleep 2; rm /tmp/ok; sleep 100'],
    healthcheck,
  })
  assign(one)
  await until(one.id, TaskState.STARTING)
  t.equal((await until(one.id, TaskState.RUNNING)).container?.health, 'healthy')
  const { error } = await until(one.id, TaskState.FAILED)
  t.match(error, /^unhealthy container: health check failed 3 times: not yet/)
})

t.test('secrets and configs are files on a tmpfs, with owner, mode and templates', async t => {
  const secret = make(v1.Secret, { id: 'sec', spec: { data: Buffer.from('s3cret') } })
  const config = make(v1.Config, {
    id: 'cfg',
    spec: {
      data: Buffer.from('slot={{.Task.Slot}} key={{secret "key"}}'),
      templating: { name: 'golang' },
    },
  })
  const one = task({
    args: [
      'sh',
      '-c',
      'stat -c "%u:%g %a" /run/secrets/key; cat /run/secrets/key /etc/app.conf; echo; cat /proc/mounts | grep /run/secrets/key; echo x > /run/secrets/key; sleep 100',
    ],
    secrets: [
      {
        secretId: 'sec',
        secretName: 'key',
        file: { name: 'key', uid: '1000', gid: '1001', mode: 0o400 },
      },
    ],
    configs: [{ configId: 'cfg', configName: 'conf', file: { name: '/etc/app.conf' } }],
  })
  assign(one)
  await until(one.id, TaskState.PREPARING)
  on.worker.apply(
    anAssignment({
      appliesTo: revision,
      revision: ++revision,
      secrets: [secret],
      configs: [config],
    }),
  )
  await until(one.id, TaskState.RUNNING)
  const lines = await readLog(one, { tail: -1, follow: true }, 4)
  t.equal(lines[0], '1000:1001 400')
  t.equal(lines[1], 's3cretslot=1 key=s3cret')
  t.match(lines[2], /tmpfs .*\bro\b/)
  t.match(lines[3], /[Rr]ead-only file system/)
  assign({ ...one, desiredState: TaskState.SHUTDOWN })
  await until(one.id, TaskState.SHUTDOWN)
  await eventually(async () => (await systemPrivateFiles.list(`${runDir}/files`)).length === 0)
  t.strictSame(await systemPrivateFiles.list(`${runDir}/files`), [], 'wiped')
})

t.test('two networks with given addresses and MACs, names from a given resolv.conf', async t => {
  for (const [name, subnet] of [
    ['e2e-neta', '10.231.1.0/24'],
    ['e2e-netb', '10.231.2.0/24'],
  ] as const) {
    await docker.createNetwork({
      Name: name,
      Driver: 'bridge',
      IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] },
    })
    t.teardown(() => docker.getNetwork(name).remove())
  }
  networking = {
    attachments: [
      {
        networkId: 'a',
        engineNetwork: 'e2e-neta',
        address: '10.231.1.77',
        mac: '02:42:0a:e7:01:4d',
      },
      {
        networkId: 'b',
        engineNetwork: 'e2e-netb',
        address: '10.231.2.77',
        mac: '02:42:0a:e7:02:4d',
      },
    ],
    dns: ['10.231.1.1'],
    resolvConf: 'nameserver 10.231.1.1\n',
  }
  const networks = [
    { networkId: 'a', address: '10.231.1.77' },
    { networkId: 'b', address: '10.231.2.77' },
  ]
  const one = task(
    { args: ['sh', '-c', 'cat /etc/resolv.conf; sleep 100'], dns: { search: ['corp'] } },
    { networks },
  )
  assign(one)
  const status = await until(one.id, TaskState.RUNNING)
  const inspect = await docker.getContainer(status.container?.containerId ?? '').inspect()
  t.match(inspect.NetworkSettings.Networks, {
    'e2e-neta': { IPAddress: '10.231.1.77', MacAddress: '02:42:0a:e7:01:4d' },
    'e2e-netb': { IPAddress: '10.231.2.77', MacAddress: '02:42:0a:e7:02:4d' },
  })
  t.strictSame(await readLog(one, { tail: -1, follow: true }, 2), [
    'nameserver 10.231.1.1',
    'search corp',
  ])
  assign({ ...one, desiredState: TaskState.REMOVE })
  for (
    let waited = 0;
    waited < 100 && (await on.executor.list()).some(({ taskId }) => taskId === one.id);
    waited++
  ) {
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  networking = { attachments: [], dns: [], resolvConf: undefined }
})

t.test('logs: both streams, tail, follow, terminal', async t => {
  const one = task({
    args: [
      'sh',
      '-c',
      'echo a; sleep 0.2; echo b >&2; sleep 0.2; echo c; sleep 8; echo d; sleep 100',
    ],
  })
  const tty = task({ args: ['sh', '-c', 'echo x; echo; echo y; sleep 100'], tty: true })
  const long = task({ args: ['sh', '-c', 'head -c 40000 /dev/zero | tr "\\0" z; echo; echo end'] })
  assign(one, tty, long)
  await until(one.id, TaskState.RUNNING)
  await until(tty.id, TaskState.RUNNING)
  await until(long.id, TaskState.COMPLETE)
  t.strictSame(await readLog(one, { tail: -1, follow: true }, 3), ['a', 'b', 'c'])
  await readLog(tty, { tail: -1, follow: true }, 3)
  t.strictSame(await readLog(one, { tail: 1 }), ['c'])
  t.strictSame(await readLog(one, { tail: -1, stdout: false }), ['b'])
  t.strictSame(await readLog(tty, { tail: -1 }), ['x', '', 'y'])
  const joined = await readLog(long, { tail: -1 })
  t.strictSame(
    joined.map(line => line.length),
    [40_000, 3],
  )
  const followed = await readLog(one, { tail: 1, follow: true }, 2)
  t.strictSame(followed, ['c', 'd'], 'followed until cancelled')
})

t.test(
  'a restarted agent adopts, notices what ended meanwhile, and leaves strangers until managers spoke',
  async t => {
    const stays = task({ args: ['sleep', '1000'] })
    const dies = task({ args: ['sleep', '1000'] })
    const goes = task({ args: ['sleep', '1000'] })
    assign(stays, dies, goes)
    const before = await until(stays.id, TaskState.RUNNING)
    const dying = await until(dies.id, TaskState.RUNNING)
    const gone = await until(goes.id, TaskState.RUNNING)
    await on.worker.stop()
    await docker.getContainer(dying.container?.containerId ?? '').kill()
    await docker.getContainer(gone.container?.containerId ?? '').remove({ force: true })
    on = startWorker()
    await on.worker.start()
    t.equal(
      (await until(stays.id, TaskState.RUNNING)).container?.pid,
      before.container?.pid,
      'same process',
    )
    t.match((await until(dies.id, TaskState.FAILED)).error, /^killed by SIGKILL/)
    t.match((await until(goes.id, TaskState.FAILED)).error, /its container is gone/)
    on.worker.sessionOpened()
    const tasks = [...held.values()].filter(({ id }) => id !== stays.id)
    on.worker.apply(anAssignment({ complete: true, revision: ++revision, tasks }))
    for (
      let waited = 0;
      waited < 100 && (await on.executor.list()).some(({ taskId }) => taskId === stays.id);
      waited++
    ) {
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    t.notOk(
      (await on.executor.list()).some(({ taskId }) => taskId === stays.id),
      'a task missing from the complete set goes',
    )
  },
)

async function readLog(
  one: Task,
  query: { readonly tail: number; readonly stdout?: boolean; readonly follow?: boolean },
  count = Infinity,
): Promise<string[]> {
  const [agent, manager] = duplexPair<StreamFrame, StreamFrame>()
  const logs = make(v1.LogsQuery, { taskIds: [one.id], stdout: true, stderr: true, ...query })
  const lines: string[] = []
  const ended = new Promise<void>(resolve => manager.onEnd(() => resolve()))
  manager.onMessage(frame => {
    if (frame.error) lines.push(`ERROR ${frame.error}`)
    if (frame.log) lines.push(Buffer.from(frame.log.data).toString())
    if (lines.length >= count) manager.end()
  })
  const deps = {
    clock: systemClock,
    log: on.log,
    executor: on.executor,
    task: (id: string) => on.worker.task(id),
  }
  await serveLogs({ id: 'l', kind: 'logs', logs }, logs, agent, deps)
  await ended
  return lines
}

/** Asks every 50 ms until it holds, for 10 s at most; the assertion after it says what did not. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 200 && !(await holds()); attempt++) {
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
