// Goal: whole command lines end with the right output and exit code, over gRPC on a unix socket as in life.
// Method: run() with captured streams against a daemon of canned behaviour; no process is started.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connect } from '../../cli/connection.ts'
import { Exit } from '../../cli/failure.ts'
import { run } from '../../cli/run.ts'
import { BackupFramer } from '../../proto/backup-file.ts'
import { type Service, type Task, TaskState, UpdateState } from '../../proto/index.ts'
import { wantedReplicas } from '../../services/model/service.ts'
import { systemClock } from '../../runtime/clock.ts'
import { StatusError } from '../../runtime/errors.ts'
import { seededRandom } from '../../runtime/random.ts'
import { aTask, type TaskOptions } from './builders.ts'
import { FakeDaemon } from './fake-daemon.ts'

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function start(t: Test): Promise<{
  daemon: FakeDaemon
  skein: (...argv: string[]) => Promise<Result>
  interrupt: AbortController
  files: Map<string, string>
  /** Answers to questions; none: there is no terminal. */
  answers: string[]
}> {
  const daemon = new FakeDaemon()
  // A socket's path holds 107 bytes; a test's own directory is named after the test.
  const dir = mkdtempSync(join(tmpdir(), 'skein-cli-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 's')
  await daemon.listen(path)
  t.teardown(() => daemon.close())
  const interrupt = new AbortController()
  const random = seededRandom(1)
  const files = new Map<string, string>()
  const answers: string[] = []
  const read = (file: string) => Buffer.from(files.get(file) ?? '')
  const skein = async (...argv: string[]): Promise<Result> => {
    const out = { stdout: '', stderr: '' }
    const sink = (name: 'stdout' | 'stderr') => ({
      write: (text: string) => {
        out[name] += text
      },
      isTty: false,
      columns: 80,
    })
    const code = await run(['-H', `unix://${path}`, ...argv], {
      stdout: sink('stdout'),
      stderr: sink('stderr'),
      env: { HOME: '/root' },
      clock: systemClock,
      random,
      interrupt: interrupt.signal,
      version: '9.9.9',
      readFile: async file => read(file),
      readFileSync: read,
      writePrivateFile: async (path, chunks) => {
        const parts: Uint8Array[] = []
        for await (const chunk of chunks) parts.push(chunk)
        files.set(path, Buffer.concat(parts).toString('latin1'))
      },
      ask: async () => answers.shift(),
      connect: host => connect(host, { clock: systemClock, random, interrupt: interrupt.signal }),
    })
    return { code, ...out }
  }
  return { daemon, skein, interrupt, files, answers }
}

/** Every slot gets a task that is as `options` say. */
function tasksFor(service: Service, options: TaskOptions = {}): readonly Task[] {
  const count = service.spec === null ? 0 : (wantedReplicas(service.spec) ?? 0)
  return Array.from({ length: count }, (_, index) =>
    aTask(service, { slot: index + 1, id: `t${index + 1}v${service.meta?.version}`, ...options }),
  )
}

/** What a manager does: old tasks go, new ones come up step by step. */
function obey(service: Service, daemon: FakeDaemon): void {
  for (const old of daemon.tasks.values()) {
    if (old.serviceId !== service.id) continue
    daemon.putTask({ ...old, desiredState: TaskState.SHUTDOWN })
  }
  for (const task of tasksFor(service, { state: TaskState.PREPARING })) daemon.putTask(task)
  setTimeout(() => {
    for (const task of tasksFor(service)) daemon.putTask(task)
  }, 100)
}

t.test('create prints the id, says what changes once, and ends when it stands', async t => {
  const { daemon, skein } = await start(t)
  daemon.onWrite = obey
  const result = await skein('service', 'create', '--name', 'web', '--replicas', '2', 'img:1', 'sh')
  t.match(result, { code: 0, stdout: 'svc-web\n' })
  const lines = result.stderr
    .trimEnd()
    .split('\n')
    .map(line => line.slice(9))
  t.same(lines.slice(0, -1).toSorted(), [
    'web.1 preparing on host-n1',
    'web.1 running on host-n1',
    'web.2 preparing on host-n1',
    'web.2 running on host-n1',
  ])
  t.match(lines.at(-1), /^web: 2 of 2 in 1\.\d s$/)
  t.same(daemon.services.get('svc-web')?.spec?.task?.container?.args, ['sh'])
  const again = await skein('service', 'create', '--name', 'web', '-d', 'img:1')
  t.match(again, { code: 1, stderr: 'Error: service web already exists\n' })
})

t.test('listings', async t => {
  const { daemon, skein } = await start(t)
  daemon.onWrite = service => {
    for (const task of tasksFor(service)) daemon.putTask(task)
  }
  await skein(
    'service',
    'create',
    '-d',
    '--name',
    'web',
    '--replicas',
    '2',
    '-p',
    '8080:80',
    'img:1',
  )
  t.match(await skein('service', 'ls'), {
    stdout: [
      'ID        NAME      MODE         REPLICAS   IMAGE     PORTS',
      'svc-web   web       replicated   2/2        img:1     ',
      '',
    ].join('\n'),
  })
  t.equal((await skein('service', 'ls', '--format', '{{.Name}} {{.Replicas}}')).stdout, 'web 2/2\n')
  t.equal((await skein('service', 'ls', '-q', '--filter', 'name=x')).stdout, '')
  t.match(
    await skein('service', 'ps', 'web', '--format', '{{.Name}} {{.Node}} {{.DesiredState}}'),
    {
      code: 0,
      stdout: 'web.1 host-n1 Running\nweb.2 host-n1 Running\n',
    },
  )
  const nodes = (await skein('node', 'ls')).stdout.split('\n')
  t.match(nodes[0], /^ID +HOSTNAME +STATUS +AVAILABILITY +MANAGER STATUS +ENGINE VERSION$/)
  t.match(nodes[1], /^n1 \* +host-n1 +Ready +Active +28\.5\.1$/)
  t.match(await skein('ps', 'web', '-q'), { code: 0, stdout: /^t1v/ })
  const inspected = JSON.parse((await skein('service', 'inspect', 'web')).stdout) as object[]
  t.match(inspected, [
    { ID: 'svc-web', Spec: { Name: 'web', Mode: { Replicated: { Replicas: 2 } } } },
  ])
  t.match(await skein('service', 'inspect', '--pretty', 'web'), {
    stdout: /^ID: +svc-web\nName: +web/,
  })
})

t.test('what is not there is said, with the nearest name', async t => {
  const { daemon, skein } = await start(t)
  daemon.onWrite = () => undefined
  await skein('service', 'create', '-d', '--name', 'web', 'img:1')
  t.match(await skein('service', 'ps', 'wep'), {
    code: 1,
    stderr: 'Error: no such service: wep\n  next   did you mean web?\n',
  })
  t.match(await skein('service', 'rm', '-d', 'nope', 'web'), { code: 1, stdout: 'web\n' })
  t.match(await skein('servic'), { code: Exit.USAGE })
  t.match(await skein('service', 'create', '--nope', 'x'), { code: Exit.USAGE, stderr: /--nope/ })
  t.match(await skein('service', 'ls', '--filter', 'x=y'), { code: Exit.USAGE })
  t.match(await skein('--version'), { code: 0, stdout: '9.9.9\n' })
  t.match(await skein('service', 'scale', '--help'), {
    code: 0,
    stdout: /Usage: skein service scale/,
  })
})

t.test('an update that is rolled back exits 4 and shows the task’s last words', async t => {
  const { daemon, skein } = await start(t)
  daemon.onWrite = service => {
    for (const task of tasksFor(service)) daemon.putTask(task)
  }
  await skein('service', 'create', '-d', '--name', 'web', 'img:1')
  daemon.onWrite = service => {
    const failed = aTask(service, {
      id: 'bad',
      order: 9,
      state: TaskState.FAILED,
      desired: TaskState.SHUTDOWN,
      error: 'task: non-zero exit (3)',
      exitCode: 3,
      log: ['fatal: unknown key'],
    })
    daemon.putTask(failed)
    const status = { state: UpdateState.ROLLBACK_COMPLETED, startedAtMs: 1, completedAtMs: 2 }
    daemon.putService(
      {
        ...service,
        spec: service.previousSpec,
        updateStatus: { ...status, message: 'update rolled back due to failure of task bad' },
      },
      false,
    )
  }
  const result = await skein('service', 'update', '--image', 'img:2', 'web')
  t.equal(result.code, Exit.ROLLED_BACK)
  t.match(result.stderr, /Error: the update of web failed and was rolled back/)
  t.match(result.stderr, /why {4}web\.1 on host-n1: task: non-zero exit \(3\)/)
  t.match(result.stderr, / {11}fatal: unknown key/)
  t.match(result.stderr, /next {3}skein logs web\.1/)
})

t.test('a change of managers does not fail a wait', async t => {
  const { daemon, skein } = await start(t)
  daemon.onWrite = service => {
    for (const task of tasksFor(service, { state: TaskState.PREPARING })) daemon.putTask(task)
    setTimeout(() => {
      daemon.dropWatches()
      // Without a publish: only asking again can see it.
      for (const task of tasksFor(service)) daemon.tasks.set(task.id, task)
    }, 200)
  }
  daemon.unavailable = 2
  t.match(await skein('service', 'create', '--name', 'web', 'img:1'), { code: 0 })
  t.ok(daemon.calls.filter(call => call === 'watch').length > 1, 'watched again')
  daemon.unavailable = 2
  t.match(
    await skein('service', 'ls', '-q'),
    { code: 0, stdout: 'svc-web\n' },
    'questions are repeated',
  )
})

t.test('a timeout exits 3, or 6 when no node fits, and Ctrl-C 130', async t => {
  const { daemon, skein, interrupt } = await start(t)
  daemon.onWrite = service => {
    for (const task of tasksFor(service, { state: TaskState.PREPARING })) daemon.putTask(task)
  }
  const late = await skein('service', 'create', '--name', 'slow', '--timeout', '2s', 'img:1')
  t.match(late, { code: Exit.TIMEOUT, stderr: /why {4}slow\.1 preparing on host-n1/ })
  daemon.onWrite = service => {
    const options = { state: TaskState.PENDING, nodeId: '', error: 'no suitable node' }
    for (const task of tasksFor(service, options)) daemon.putTask(task)
  }
  const stuck = await skein('service', 'create', '--name', 'gpu', '--timeout', '5500ms', 'img:1')
  t.match(stuck, { code: Exit.UNPLACEABLE, stderr: /host-n1 {2}no {3}gpu label missing/ })
  t.match(stuck.stderr, /skein node update --label-add gpu=true host-n1/)
  setTimeout(() => interrupt.abort(new StatusError('Cancelled', 'interrupted')), 2_000)
  const stopped = await skein('service', 'create', '--name', 'more', 'img:1')
  t.match(stopped, {
    code: Exit.INTERRUPTED,
    stderr: /more is still being started in the background/,
  })
})

t.test(
  'deploy plans, applies, and a second time changes nothing; new content is a new config',
  async t => {
    const { daemon, skein, files } = await start(t)
    daemon.onWrite = service => {
      for (const old of daemon.tasks.values()) {
        if (old.serviceId === service.id) daemon.tasks.delete(old.id)
      }
      for (const task of tasksFor(service)) daemon.putTask(task)
    }
    const write = (content: string): void => {
      files.set(
        '/stack.yml',
        `name: shop\nservices:\n  web:\n    image: img:1\n    configs: [conf]\nconfigs:\n  conf:\n    content: ${content}\n`,
      )
    }
    const deploy = (...flags: string[]) => skein('deploy', ...flags, '/stack.yml')
    write('one')
    const first = await deploy()
    t.match(first, { code: 0, stdout: /\+ config {3}shop_conf[\s\S]*\+ service {2}shop_web/ })
    t.same(
      daemon.networks.map(network => network.id),
      ['net-shop_default'],
    )
    const service = daemon.services.get('svc-shop_web')
    t.match(service?.spec?.task, {
      networks: [{ target: 'net-shop_default', aliases: ['web'] }],
      container: { configs: [{ configId: 'cfg-shop_conf', configName: 'shop_conf' }] },
    })
    t.match(await deploy(), {
      code: 0,
      stdout: /= service {2}shop_web {3}unchanged[\s\S]*0 services changed/,
    })
    write('two')
    t.match(await deploy('--dry-run'), {
      stdout: /~ config {3}shop_conf {3}new content as shop_conf-/,
    })
    t.equal(daemon.configs.length, 1, 'a dry run changes nothing')
    t.match(await deploy(), { code: 0, stdout: /1 services changed/ })
    const name = daemon.configs.at(-1)?.spec?.annotations?.name ?? ''
    t.match(name, /^shop_conf-[0-9a-f]{8}$/)
    t.equal(
      daemon.services.get('svc-shop_web')?.spec?.task?.container?.configs[0]?.configName,
      name,
    )
  },
)

t.test('logs go where they came from, warnings to stderr', async t => {
  const { daemon, skein } = await start(t)
  daemon.onWrite = service => daemon.putTask(aTask(service, { id: 'task1x1' }))
  await skein('service', 'create', '-d', '--name', 'web', 'img:1')
  const result = await skein('logs', '-t', 'web')
  t.equal(result.stdout, '2023-11-14T22:13:20.000000005Z web.1.task1x1@host-n1    | hello\n')
  t.match(result.stderr, /web\.1\.task1x1@host-n1 {4}\| oops\nWarning: web\.5: node w3 is down/)
  t.equal((await skein('logs', '--raw', 'web')).stdout, 'hello\n')
})

t.test('swarm init, info, and no daemon at all', async t => {
  const { skein } = await start(t)
  const made = await skein('init', '--advertise-addr', '10.0.0.1')
  t.match(made.stdout, /skein swarm join --token SKNTKN-1-x-y 10\.0\.0\.1:2377/)
  t.match(await skein('swarm', 'info'), { code: 0, stdout: 'State: inactive\n' })
  const nowhere = await skein('-H', 'unix:///nowhere/s', 'ps')
  t.match(nowhere, {
    code: 1,
    stderr: /no Skein daemon answers at \/nowhere\/s[\s\S]*skein daemon/,
  })
  t.match(await skein('-H', 'tcp://1.2.3.4:5', 'ps'), { code: Exit.USAGE })
})

t.test('cluster backup writes what came whole, and nothing when it did not', async t => {
  const { daemon, skein, files } = await start(t)
  const framer = new BackupFramer()
  const header = {
    clusterId: 'c1',
    clusterName: 'harbour',
    index: 77,
    term: 2,
    createdAtMs: 1,
    skeinVersion: '1',
  }
  daemon.backup = [framer.begin(header), framer.body(Buffer.from('state')), framer.end()]
  const { code, stdout } = await skein('cluster', 'backup', 'harbour.bak')
  t.equal(code, Exit.DONE)
  t.match(stdout, /Cluster harbour \(c1\) as of index 77 is in harbour.bak/)
  t.match(stdout, /every secret/)
  t.match(files.get('harbour.bak'), /^skein-backup 1\n/)
  files.clear()
  daemon.backup = daemon.backup.slice(0, 2)
  const cut = await skein('cluster', 'backup', '--stale', 'harbour.bak')
  t.equal(cut.code, Exit.REFUSED)
  t.match(cut.stderr, /cut short/)
  t.equal(files.size, 0)
  t.same(daemon.calls, ['backup', 'backup stale'])
})

t.test('cluster restore hands the file over in chunks and says what came back', async t => {
  const { daemon, skein, files } = await start(t)
  files.set('harbour.bak', 'x'.repeat(2_500_000))
  const { code, stdout } = await skein(
    'cluster',
    'restore',
    'harbour.bak',
    '--advertise-addr',
    'eth1',
  )
  t.equal(code, Exit.DONE)
  t.same(daemon.calls, ['restore 2500000 bytes in 3 at eth1'])
  t.match(stdout, /Cluster harbour \(c1\) is back as of index 77, written About an hour ago\./)
  t.match(stdout, /^  2 services, 1 secret, 3 nodes$/m)
  files.set('harbour.bak', 'x')
  const refused = await skein('cluster', 'restore', 'harbour.bak')
  t.equal(refused.code, Exit.REFUSED)
  t.match(refused.stderr, /cut short/)
})

t.test('cluster recover shows the loss first, and goes on only when told to', async t => {
  const { daemon, skein, answers } = await start(t)
  const led = await skein('cluster', 'recover', '--yes')
  t.equal(led.code, Exit.REFUSED)
  t.match(led.stderr, /there is a leader/)
  daemon.recovery = {
    lastIndex: 120,
    lastTerm: 4,
    commitIndex: 118,
    raftId: 1,
    managers: [
      { raftId: 1, hostname: 'h1', facts: {} },
      { raftId: 2, hostname: 'h2', address: '10.0.0.2:2377', error: 'refused' },
    ],
  }
  daemon.calls.length = 0
  const mute = await skein('cluster', 'recover')
  t.equal(mute.code, Exit.REFUSED)
  t.match(mute.stderr, /no terminal.*\n.*--yes/)
  t.match(
    mute.stdout,
    /ends at entry 120, term 4; 118 is committed\. The last 2 entries were not known/,
  )
  t.match(mute.stdout, /^  h2 \(10\.0\.0\.2:2377\)  does not answer$/m)
  answers.push('y')
  const unsure = await skein('cluster', 'recover')
  t.match(unsure.stderr, /nothing was changed/)
  t.notOk(daemon.calls.includes('recover confirm'))
  answers.push('yes')
  t.equal((await skein('cluster', 'recover')).code, Exit.DONE)
  t.match(daemon.calls.at(-1), /recover confirm/)
  daemon.calls.length = 0
  t.match(await skein('cluster', 'recover', '--yes', '--force'), { code: 0, stdout: /leads alone/ })
  t.same(
    daemon.calls.filter(call => call !== 'recover'),
    ['recover force', 'recover confirm force'],
  )
})
