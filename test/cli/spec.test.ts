// Goal: flags write exactly the spec they name, on create and on update, and touch nothing else.
// Method: commander parses real flag lists of both commands; specs are compared field by field.
import t, { type Test } from 'tap'
import { Command } from 'commander'
import { createSpec } from '../../cli/spec/create.ts'
import { Flags } from '../../cli/spec/flags.ts'
import { addServiceOptions } from '../../cli/spec/options.ts'
import { referencesIn } from '../../cli/spec/references.ts'
import { updateSpec } from '../../cli/spec/update.ts'
import { make } from '../../proto/codec.ts'
import { type Service, type ServiceSpec, v1 } from '../../proto/index.ts'
import { withDefaults } from '../../services/spec/defaults.ts'
import { equal } from '../../services/spec/equal.ts'
import { validateService } from '../../services/spec/validate.ts'

const references = referencesIn({
  networks: [
    make(v1.Network, { id: 'netfront', spec: { annotations: { name: 'front' } } }),
    make(v1.Network, { id: 'netback', spec: { annotations: { name: 'back' } } }),
  ],
  secrets: [make(v1.Secret, { id: 'secpw', spec: { annotations: { name: 'pw' } } })],
  configs: [make(v1.Config, { id: 'cfgnginx', spec: { annotations: { name: 'nginx' } } })],
})

function flagsOf(kind: 'create' | 'update', line: readonly string[]): Flags {
  const command = addServiceOptions(new Command(kind), kind)
    .exitOverride()
    .option('--mode <mode>')
    .option('--max-concurrent <n>')
    .option('--args <args>')
    .option('--image <image>')
    .option('--force')
  command.parse([...line], { from: 'user' })
  return new Flags(command.opts())
}

function create(...line: readonly string[]): ServiceSpec {
  const flags = flagsOf('create', line)
  const env = [...flags.added('env')]
  return createSpec({ name: 'web', image: 'img:1', args: ['run'], flags, references, env })
}

function update(service: Service, ...line: readonly string[]): ServiceSpec {
  const flags = flagsOf('update', line)
  return updateSpec(service, flags, references, flags.added('env'))
}

function serviceOf(spec: ServiceSpec): Service {
  return make(v1.Service, { id: 's1', meta: { specVersion: 3 }, spec })
}

function fails(t: Test, work: () => unknown, about: RegExp): void {
  t.throws(work, about)
}

t.test('a plain create is the defaults and nothing more, and valid', async t => {
  const spec = create()
  const expected = withDefaults({
    annotations: { name: 'web', labels: {} },
    replicated: { replicas: 1 },
    task: { container: { image: 'img:1', args: ['run'] } },
  })
  t.same(spec, expected)
  validateService(spec)
})

t.test('modes', async t => {
  t.match(create('--replicas', '3'), { mode: 'replicated', replicated: { replicas: 3 } })
  t.match(create('--replicas', '0'), { replicated: { replicas: 0 } })
  t.match(create('--mode', 'global'), { mode: 'global' })
  t.match(create('--mode', 'replicated-job', '--replicas', '4', '--max-concurrent', '2'), {
    replicatedJob: { totalCompletions: 4, maxConcurrent: 2 },
  })
  t.match(create('--mode', 'replicated-job', '--replicas', '4'), {
    replicatedJob: { totalCompletions: 4, maxConcurrent: 4 },
  })
  fails(t, () => create('--mode', 'global', '--replicas', '2'), /replicas can only be used/)
  fails(t, () => create('--mode', 'global-job', '--update-delay', '1s'), /not supported for jobs/)
  fails(t, () => create('--max-concurrent', '2'), /replicated-job/)
  fails(t, () => create('--mode', 'many'), /--mode: "many" is none of/)
})

t.test('the container', async t => {
  const spec = create(
    '-e',
    'A=1',
    '--env',
    'B=2',
    '--hostname',
    'h',
    '-u',
    '1000',
    '-w',
    '/srv',
    '-t',
    '--entrypoint',
    'sh -c "a b"',
    '--init',
    '--read-only',
    '--stop-signal',
    'SIGINT',
    '--stop-grace-period',
    '30s',
    '--cap-add',
    'net_admin',
    '--cap-drop',
    'all',
    '--sysctl',
    'net.core.somaxconn=9',
    '--ulimit',
    'nofile=1:2',
    '--dns',
    '10.0.0.1',
    '--host',
    'db:10.0.0.2',
    '--limit-pids',
    '50',
    '--container-label',
    'x=y',
    '--mount',
    'source=data,target=/data',
    '--secret',
    'pw',
    '--config',
    'source=nginx,target=/n',
    '--health-cmd',
    'curl -f localhost',
    '--health-interval',
    '2s',
    '--health-retries',
    '3',
    '--privileged',
    '--device',
    '/dev/fuse',
    '--oom-score-adj',
    '-500',
    '--shm-size',
    '64m',
  )
  t.match(spec.task?.container, {
    env: ['A=1', 'B=2'],
    hostname: 'h',
    user: '1000',
    dir: '/srv',
    tty: true,
    command: ['sh', '-c', 'a b'],
    args: ['run'],
    init: true,
    readOnly: true,
    stopSignal: 'SIGINT',
    stopGraceMs: 30_000,
    capAdd: ['CAP_NET_ADMIN'],
    capDrop: ['ALL'],
    sysctls: { 'net.core.somaxconn': '9' },
    ulimits: [{ name: 'nofile', soft: 1, hard: 2 }],
    dns: { nameservers: ['10.0.0.1'] },
    hosts: ['db:10.0.0.2'],
    pidsLimit: 50,
    labels: { x: 'y' },
    mounts: [{ source: 'data', target: '/data' }],
    secrets: [{ secretId: 'secpw', secretName: 'pw', file: { name: 'pw', mode: 0o444 } }],
    configs: [{ configId: 'cfgnginx', file: { name: '/n' } }],
    healthcheck: { test: ['CMD-SHELL', 'curl -f localhost'], intervalMs: 2_000, retries: 3 },
    privileged: true,
    devices: [{ pathOnHost: '/dev/fuse' }],
    oomScoreAdj: -500,
    shmSizeBytes: 64 * 1024 ** 2,
  })
  validateService(spec)
  t.same(create('--no-healthcheck').task?.container?.healthcheck?.test, ['NONE'])
  fails(t, () => create('--no-healthcheck', '--health-cmd', 'x'), /conflicts/)
  fails(t, () => create('--secret', 'nope'), /no such secret: nope/)
})

t.test('resources, placement, policies, networks, ports', async t => {
  const spec = create(
    '--limit-cpu',
    '0.5',
    '--limit-memory',
    '512m',
    '--reserve-cpu',
    '.25',
    '--reserve-memory',
    '64m',
    '--generic-resource',
    'gpu=2',
    '--memory-swap',
    '-1',
    '--constraint',
    'node.role==worker',
    '--placement-pref',
    'spread=node.labels.zone',
    '--replicas-max-per-node',
    '2',
    '--restart-condition',
    'on-failure',
    '--restart-max-attempts',
    '3',
    '--update-parallelism',
    '0',
    '--update-order',
    'stop-first',
    '--update-failure-action',
    'rollback',
    '--rollback-delay',
    '2s',
    '--log-driver',
    'json-file',
    '--log-opt',
    'max-size=1m',
    '--replicas',
    '2',
    '-p',
    '8080:80',
    '--endpoint-mode',
    'vip',
    '-l',
    'team=a',
    '--network',
    'name=front,alias=w',
    '--address',
    'back=10.0.1.1,10.0.1.2',
    '--replicas',
    '2',
  )
  t.match(spec, {
    annotations: { labels: { team: 'a' } },
    update: { parallelism: 0, monitorMs: 5_000, failureAction: 2, order: 0 },
    rollback: { parallelism: 1, delayMs: 2_000, monitorMs: 5_000 },
    endpoint: { mode: 0, ports: [{ published: 8080, target: 80 }] },
    task: {
      resources: {
        limits: { nanoCpus: 5e8, memoryBytes: 512 * 1024 ** 2 },
        reservations: { nanoCpus: 2.5e8, generic: [{ kind: 'gpu', count: 2 }] },
        swapBytes: -1,
      },
      placement: {
        constraints: ['node.role==worker'],
        preferences: [{ spread: 'node.labels.zone' }],
        maxReplicasPerNode: 2,
      },
      restart: { condition: 1, delayMs: 5_000, maxAttempts: 3 },
      logDriver: { name: 'json-file', options: { 'max-size': '1m' } },
      networks: [
        { target: 'netfront', aliases: ['w'] },
        { target: 'netback', addresses: ['10.0.1.1', '10.0.1.2'] },
      ],
    },
  })
  validateService(spec)
  t.equal(create('--network', 'host').task?.container?.networkMode, 'host')
  fails(t, () => create('--memory-swap', '1g'), /needs --limit-memory/)
  fails(t, () => create('--rollback-failure-action', 'rollback'), /none of pause, continue/)
  fails(t, () => create('--network', 'fornt'), /no such network: fornt/)
})

t.test('update changes what it names and nothing else', async t => {
  const before = create(
    '-e',
    'A=1',
    '-e',
    'B=2',
    '-l',
    'x=1',
    '--constraint',
    'node.role==worker',
    '-p',
    '8080:80',
    '--network',
    'front',
    '--secret',
    'pw',
    '--mount',
    'source=d,target=/d',
    '--replicas',
    '4',
  )
  const service = serviceOf(before)
  t.ok(equal(update(service), before), 'no flags: no change')
  const after = update(
    service,
    '--image',
    'img:2',
    '--args',
    'serve --fast',
    '--env-add',
    'B=3',
    '--env-rm',
    'A',
    '--label-add',
    'y=2',
    '--label-rm',
    'x',
    '--constraint-rm',
    'node.role==worker',
    '--constraint-add',
    'node.role==manager',
    '--publish-rm',
    '80',
    '--publish-add',
    '81:81',
    '--network-rm',
    'front',
    '--network-add',
    'back',
    '--secret-rm',
    'pw',
    '--mount-rm',
    '/d',
    '--replicas',
    '2',
    '--limit-cpu',
    '1',
    '--force',
  )
  t.match(after, {
    annotations: { name: 'web', labels: { y: '2' } },
    replicated: { replicas: 2 },
    endpoint: { ports: [{ published: 81, target: 81 }] },
    task: {
      forceUpdate: 1,
      container: {
        image: 'img:2',
        args: ['serve', '--fast'],
        env: ['B=3'],
        secrets: [],
        mounts: [],
      },
      placement: { constraints: ['node.role==manager'] },
      networks: [{ target: 'netback' }],
      resources: { limits: { nanoCpus: 1e9 } },
    },
  })
  t.notOk('x' in (after.annotations?.labels ?? {}))
  t.equal(after.endpoint?.ports.length, 1)
  t.ok(equal(service.spec, before), 'the object read is not written to')
})

t.test('taking away what is not there is an error that says what is', async t => {
  const service = serviceOf(create('--mount', 'source=d,target=/d'))
  fails(t, () => update(service, '--mount-rm', '/e'), /--mount-rm: \/e is not there/)
  fails(t, () => update(service, '--publish-rm', '80'), /80 is not published/)
  fails(t, () => update(service, '--network-rm', 'front'), /not attached/)
  const attached = serviceOf(create('--network', 'front'))
  fails(t, () => update(attached, '--network-add', 'front'), /already attached to network front/)
})

t.test('capabilities, health checks and switches are undone', async t => {
  const service = serviceOf(
    create(
      '--cap-add',
      'NET_ADMIN',
      '--cap-drop',
      'CHOWN',
      '--no-healthcheck',
      '-t',
      '--read-only',
    ),
  )
  t.match(update(service, '--cap-drop', 'NET_ADMIN').task?.container, {
    capAdd: [],
    capDrop: ['CAP_CHOWN', 'CAP_NET_ADMIN'],
  })
  t.same(update(service, '--cap-add', 'RESET').task?.container?.capAdd, [])
  t.match(update(service, '--health-cmd', 'true').task?.container?.healthcheck, {
    test: ['CMD-SHELL', 'true'],
  })
  const off = update(service, '--no-tty', '--no-read-only').task?.container
  t.match(off, { tty: false, readOnly: false })
  t.equal(update(service, '--no-init').task?.container?.init, false)
})
