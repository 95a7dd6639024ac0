// Goal: defaults are Swarm's, validation names object, field and remedy, and only real changes make a task dirty.
// Method: one good spec, one mutation a case; exact error texts; idempotence.
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import {
  EndpointMode,
  MountType,
  type ServiceSpecInit,
  TaskState,
  UpdateFailureAction,
  UpdateOrder,
  VolumeLocality,
  v1,
} from '../../../proto/index.ts'
import { withDefaults } from '../../../services/spec/defaults.ts'
import { describeChange, diffSpecs, isDirty, replacesTasks } from '../../../services/spec/diff.ts'
import {
  validateConfig,
  validateContainerWorkload,
  validateNetwork,
  validateNode,
  validateSecret,
  validateService,
} from '../../../services/spec/validate.ts'

type Container = NonNullable<NonNullable<ServiceSpecInit['task']>['container']>
type TaskInit = NonNullable<ServiceSpecInit['task']>
const web = (container: Container = {}, task: TaskInit = {}, rest: ServiceSpecInit = {}) =>
  withDefaults({
    annotations: { name: 'web' },
    ...rest,
    task: { ...task, container: { image: 'nginx:1', ...container } },
  })

t.test('defaults (SV-24)', async t => {
  const spec = withDefaults({ annotations: { name: 'web' } })
  t.match(spec, {
    mode: 'replicated',
    replicated: { replicas: 1 },
    task: {
      container: { stopGraceMs: 10_000 },
      restart: { condition: 0, delayMs: 5000, maxAttempts: 0 },
    },
    update: {
      parallelism: 1,
      delayMs: 0,
      monitorMs: 5000,
      failureAction: 0,
      maxFailureRatio: 0,
      order: 0,
    },
    rollback: { parallelism: 1, monitorMs: 5000 },
    endpoint: { mode: 0, ports: [] },
  })
  t.same(withDefaults(spec), spec, 'idempotent')
  t.match(withDefaults({ replicated: { replicas: 0 } }), { replicated: { replicas: 0 } })
  t.match(withDefaults({ replicated: {} }), { replicated: { replicas: 1 } })
  t.match(withDefaults({ update: { parallelism: 0 } }).update, { parallelism: 0, monitorMs: 5000 })
  t.match(withDefaults({ update: { monitorMs: 0 } }).update, { monitorMs: 0 })
  t.match(withDefaults({ task: { restart: { maxAttempts: 2 } } }).task?.restart, {
    delayMs: 5000,
    maxAttempts: 2,
  })
  const job = withDefaults({ replicatedJob: { maxConcurrent: 3 } })
  t.match(job, {
    mode: 'replicatedJob',
    replicatedJob: { maxConcurrent: 3, totalCompletions: 3 },
    update: null,
    rollback: null,
  })
  t.equal(withDefaults({ global: {} }).mode, 'global')
  t.same(
    web({
      secrets: [{ secretName: 'pw' }, { secretName: 'x', file: { name: 'y', mode: 0 } }],
    }).task?.container?.secrets.map(s => s.file),
    [
      { name: 'pw', uid: '0', gid: '0', mode: 0o444 },
      { name: 'y', uid: '0', gid: '0', mode: 0 },
    ],
  )
})

t.test('good services pass', async t => {
  const good = [
    web(),
    web({ image: 'localhost:5000/a/b_c:v1@sha256:' + 'a'.repeat(64) }),
    web({ env: ['A', 'B=', 'C={{.Task.Slot}}', 'D=multi\nline'], hostname: '{{.Service.Name}}' }),
    web({
      mounts: [
        {
          type: MountType.VOLUME,
          source: 'd-{{.Task.Slot}}',
          target: '/d',
          volumeLocality: VolumeLocality.PREFERRED,
        },
        { type: MountType.BIND, source: '/a', target: '/b' },
        { type: MountType.TMPFS, target: '/t', tmpfsSizeBytes: 1 },
      ],
    }),
    web({
      healthcheck: { test: ['CMD', 'x'] },
      hosts: ['db:10.0.0.1', 'v6:::1'],
      ulimits: [{ name: 'nofile', soft: 1, hard: 2 }],
      capAdd: ['NET_ADMIN'],
    }),
    web({
      secrets: [{ secretName: 'a' }, { secretName: 'a', file: { name: 'b' } }],
      configs: [{ configName: 'a' }],
    }),
    web(
      {},
      { networks: [{ target: 'n', addresses: ['172.38.0.1{{.Task.Slot}}'] }] },
      { replicated: { replicas: 6 } },
    ),
    web(
      {},
      {},
      {
        endpoint: {
          ports: [
            { target: 80 },
            { target: 80 },
            { target: 80, published: 8080 },
            { target: 53, published: 8080, protocol: 1 },
          ],
        },
      },
    ),
  ]
  for (const spec of good) t.doesNotThrow(() => validateService(spec))
})

t.test('bad services are refused with field and reason', async t => {
  const port = { target: 80, published: 8080 }
  const table: readonly (readonly [ReturnType<typeof web>, string])[] = [
    [withDefaults({}), 'service: a name must be given'],
    [web({}, {}, { annotations: { name: 'a b' } }), 'service: invalid name "a b"'],
    [web({ image: '' }), 'service web: task.container.image: image reference must be provided'],
    [
      web({ image: 'Nginx:1' }),
      'service web: task.container.image: "Nginx:1" is not a valid repository/tag',
    ],
    [
      web({
        mounts: [
          { type: 1, target: '/a' },
          { type: 1, source: 'v', target: 'x' },
        ],
      }),
      'service web: task.container.mounts[1].target: must be an absolute path',
    ],
    [
      web({
        mounts: [
          { type: 1, target: '/a' },
          { type: 1, target: '/a/' },
        ],
      }),
      'task.container.mounts[1].target: duplicate mount point "/a/"',
    ],
    [
      web({ mounts: [{ target: '/a' }] }),
      'task.container.mounts[0].source: must be given for a bind mount',
    ],
    [
      web({ mounts: [{ type: 1, source: './x', target: '/a' }] }),
      'invalid volume name "./x"; for a path of the host use a bind mount',
    ],
    [
      web({ mounts: [{ type: 2, source: 'x', target: '/a' }] }),
      'mounts[0].source: must not be given for a tmpfs mount',
    ],
    [
      web({ mounts: [{ source: '/x', target: '/a', volumeDriver: 'nfs' }] }),
      'mounts[0]: volume options on a mount of another type',
    ],
    [
      web({ mounts: [{ type: 1, source: '{{nope}}', target: '/a' }] }),
      'mounts[0].source: template: expansion:1: function "nope" not defined',
    ],
    [web({ env: ['=x'] }), 'task.container.env[0]: "=x" is not KEY or KEY=value'],
    [web({ env: ['A={{.X'] }), 'task.container.env[0]: template: expansion:1: unclosed action'],
    [web({ dir: 'x' }), 'working directory "x" must be an absolute path'],
    [
      web({ healthcheck: { test: ['curl'] } }),
      'healthcheck.test: must start with CMD, CMD-SHELL or NONE, starts with "curl"',
    ],
    [
      web({ healthcheck: { intervalMs: -1 } }),
      'healthcheck.intervalMs: must not be negative, is -1',
    ],
    [
      web({
        secrets: [
          { secretName: 'a', file: { name: 't' } },
          { secretName: 'b', file: { name: '/run/secrets/t' } },
        ],
      }),
      "secret references 'a' and 'b' have a conflicting target: '/run/secrets/t'",
    ],
    [web({ secrets: [{}] }), 'task.container.secrets[0]: must name a secret'],
    [
      web({ configs: [{ configName: 'c', file: { name: 'c', uid: 'root' } }] }),
      'configs[0].file.uid: must be a number, is "root"',
    ],
    [web({ hosts: ['db'] }), 'hosts[0]: "db" is not HOST:IP'],
    [
      web({ ulimits: [{ name: 'nofile', soft: 3, hard: 2 }] }),
      'soft limit 3 of "nofile" is above the hard limit 2',
    ],
    [
      web({}, { placement: { constraints: ['node.id==a', 'nod.id==a'] } }),
      'task.placement.constraints[1]: invalid constraint "nod.id==a": unknown key',
    ],
    [
      web({}, { placement: { preferences: [{ spread: 'zone' }] } }),
      'cannot spread over "zone"; use node.labels.<key> or engine.labels.<key>',
    ],
    [
      web({}, { resources: { limits: { nanoCpus: 1 } } }),
      'task.resources.limits.nanoCpus: invalid cpu value 1e-9: Must be at least 0.001',
    ],
    [
      web({}, { resources: { reservations: { memoryBytes: 1 } } }),
      'task.resources.reservations.memoryBytes: invalid memory value 1: Must be at least 4MiB',
    ],
    [web({}, { resources: { swapBytes: 1 } }), 'memory swap provided, but no memory-limit was set'],
    [
      web({}, { resources: { reservations: { generic: [{ kind: 'gpu', names: ['a'] }] } } }),
      '"gpu" must be asked for by number, not by name',
    ],
    [web({}, { restart: { delayMs: -1 } }), 'task.restart.delayMs: must not be negative'],
    [
      web({}, { networks: [{ target: 'n' }, { target: 'n' }] }),
      'task.networks[1].target: is already attached to network n',
    ],
    [
      web({}, { networks: [{ target: 'n', addresses: ['10.0.0.1', '10.0.0.300'] }] }),
      'task.networks[0].addresses[1]: invalid IPv4 address "10.0.0.300"',
    ],
    [
      web({}, { networks: [{ target: 'n', addresses: ['10.0.0.1', '10.0.0.1'] }] }),
      'slots 1 and 2 both have 10.0.0.1',
    ],
    [
      web(
        {},
        { networks: [{ target: 'n', addresses: ['10.0.0.25{{.Task.Slot}}'] }] },
        { replicated: { replicas: 6 } },
      ),
      'addresses[0]: invalid IPv4 address "10.0.0.256"',
    ],
    [
      web({}, { networks: [{ target: 'n', addresses: ['10.0.0.1'] }] }, { global: {} }),
      'addresses go by slot, and a global service has none',
    ],
    [
      web(
        {},
        { networks: [{ target: 'n', addresses: ['10.0.0.1'] }] },
        { update: { order: UpdateOrder.START_FIRST } },
      ),
      'update.order: start-first needs two tasks a slot',
    ],
    [
      web({}, {}, { update: { maxFailureRatio: 1.5 } }),
      'update.maxFailureRatio: must be between 0 and 1, is 1.5',
    ],
    [
      web({}, {}, { rollback: { failureAction: UpdateFailureAction.FAILURE_ROLLBACK } }),
      'rollback.failureAction: a rollback is not rolled back',
    ],
    [web({}, {}, { replicatedJob: {}, update: {} }), 'Jobs may not have an update config'],
    [
      web({}, { placement: { maxReplicasPerNode: 1 } }, { global: {} }),
      'task.placement.maxReplicasPerNode: is for replicated services',
    ],
    [
      web({}, {}, { endpoint: { ports: [port, { ...port, target: 81 }] } }),
      'endpoint.ports[1]: duplicate published port: *:8080->81/tcp and endpoint.ports[0] share it',
    ],
    [
      web({}, {}, { endpoint: { ports: [{ target: 70000 }] } }),
      'endpoint.ports[0].target: must be between 1 and 65535, is 70000',
    ],
    [
      web({}, {}, { endpoint: { mode: EndpointMode.DNSRR, ports: [port] } }),
      "port published with ingress mode can't be used with dnsrr mode",
    ],
    [
      web({ networkMode: 'host' }, {}, { endpoint: { ports: [port] } }),
      'ports cannot be published for tasks with network mode host',
    ],
  ]
  for (const [spec, message] of table)
    t.throws(() => validateService(spec), { code: 'InvalidArgument', message }, message)
})

t.test('networks, secrets, configs, nodes, containers', async t => {
  const network = (rest: Parameters<typeof make<typeof v1.NetworkSpec>>[1]) => () =>
    validateNetwork(make(v1.NetworkSpec, { annotations: { name: 'net' }, ...rest }))
  t.doesNotThrow(
    network({ ipam: [{ subnet: '172.38.0.0/16', gateway: '172.38.0.1', range: '172.38.1.0/24' }] }),
  )
  const bad: readonly (readonly [() => void, string])[] = [
    [
      network({ driver: 'macvlan' }),
      'network net: driver: "macvlan" does not span hosts; use overlay',
    ],
    [
      network({ ipam: [{ subnet: '172.38.0.1/16' }] }),
      'network net: ipam[0]: invalid subnet 172.38.0.1/16: it should be 172.38.0.0/16',
    ],
    [
      network({ ipam: [{ subnet: '10.0.0.0/24', gateway: '10.0.1.1' }] }),
      'gateway 10.0.1.1 is not a host address of 10.0.0.0/24',
    ],
    [
      network({ ipam: [{ subnet: '10.0.0.0/24', range: '10.0.0.0/16' }] }),
      'range 10.0.0.0/16 is not within 10.0.0.0/24',
    ],
    [network({ ipam: [{ subnet: '10.0.0.0/30' }] }), 'the prefix must be between 8 and 29'],
    [network({ ipam: [{ gateway: '10.0.0.1' }] }), 'ipam[0].subnet: must be given'],
    [network({ ipv6: true }), 'ipv6: overlay networks carry IPv4 only'],
    [
      () => validateSecret(make(v1.SecretSpec, { annotations: { name: 'pw' } })),
      'secret pw: data: must not be empty',
    ],
    [
      () =>
        validateSecret(
          make(v1.SecretSpec, { annotations: { name: 'pw' }, data: new Uint8Array(512001) }),
        ),
      'secret pw: data: has 512001 bytes, at most 512000 are allowed',
    ],
    [
      () =>
        validateConfig(
          make(v1.ConfigSpec, {
            annotations: { name: 'c' },
            data: Buffer.from('{{x}}'),
            templating: { name: 'golang' },
          }),
        ),
      'config c: data: template: expansion:1: function "x" not defined',
    ],
    [
      () =>
        validateConfig(
          make(v1.ConfigSpec, {
            annotations: { name: 'c' },
            data: Buffer.from('x'),
            templating: { name: 'jinja' },
          }),
        ),
      'unknown templating driver "jinja"; use golang',
    ],
    [
      () => validateNode(make(v1.NodeSpec, { annotations: { labels: { '': 'x' } } }), 'n1'),
      'node n1: annotations.labels: has an entry without a key',
    ],
    [
      () =>
        validateContainerWorkload(
          make(v1.ContainerWorkloadSpec, {
            annotations: { name: 'c1' },
            task: { container: { image: 'x' } },
            restartPolicy: 'maybe',
          }),
        ),
      'container c1: restartPolicy: unknown restart policy "maybe"',
    ],
  ]
  for (const [check, message] of bad) t.throws(check, { code: 'InvalidArgument', message }, message)
})

t.test('hostile names and images are refused', async t => {
  // A pattern that tries every split of these would not end within the test's time.
  for (const name of [`${'a'.repeat(62)}!`, 'a-'.repeat(31)])
    t.throws(() => validateService(web({}, {}, { annotations: { name } })))
  t.throws(() => validateService(web({ image: `${'a-'.repeat(250)}` })))
})

t.test('a task is dirty only for what it runs (UP-02)', async t => {
  const spec = web({ env: ['A=1'] }, { placement: { constraints: ['node.role==worker'] } })
  const service = make(v1.Service, { id: 's', meta: { specVersion: 5 }, spec } as never)
  const task = make(v1.Task, {
    spec: spec.task,
    specVersion: 4,
    endpoint: { spec: spec.endpoint },
    nodeId: 'n',
    status: { state: TaskState.RUNNING },
    desiredState: TaskState.RUNNING,
  } as never)
  const node = make(v1.Node, { id: 'n' })
  const changed = (next: ReturnType<typeof web>) => ({ ...service, spec: next })
  t.notOk(isDirty(task, service), 'same spec, other version')
  t.ok(
    isDirty(
      task,
      changed(web({ env: ['A=2'] }, { placement: { constraints: ['node.role==worker'] } })),
    ),
  )
  t.notOk(
    isDirty({ ...task, specVersion: 5 }, changed(web({ env: ['A=2'] }))),
    'version decides first',
  )
  const relabelled = web(
    { env: ['A=1'] },
    { placement: { constraints: ['node.role==worker'] } },
    { annotations: { name: 'web', labels: { a: 'b' } }, replicated: { replicas: 9 } },
  )
  t.notOk(isDirty(task, changed(relabelled)), 'labels and replicas')
  const onManagers = changed(
    web({ env: ['A=1'] }, { placement: { constraints: ['node.role==manager'] } }),
  )
  const elsewhere = changed(web({ env: ['A=1'] }, { placement: { constraints: ['node.id==n'] } }))
  t.ok(isDirty(task, onManagers, node), 'node no longer fits')
  t.notOk(isDirty(task, elsewhere, node), 'node still fits')
  t.ok(isDirty(task, elsewhere), 'node unknown')
  const pull = changed(
    web(
      { env: ['A=1'], pull: { registryAuth: 'new' } },
      { placement: { constraints: ['node.role==worker'] } },
    ),
  )
  t.notOk(isDirty(task, pull), 'running: pulled already')
  t.ok(
    isDirty({ ...task, status: { ...task.status, state: TaskState.PREPARING } } as never, pull),
    'still pulling',
  )
  t.ok(
    isDirty(
      task,
      changed(
        web(
          { env: ['A=1'] },
          { placement: { constraints: ['node.role==worker'] } },
          { endpoint: { ports: [{ target: 80 }] } },
        ),
      ),
    ),
    'endpoint',
  )
})

t.test('a difference reads well and hides credentials', async t => {
  const before = web({ env: ['A=1'], pull: { registryAuth: 's3cret' } })
  const after = web(
    { image: 'nginx:2', env: ['A=1', 'B=2'], pull: { registryAuth: 'other' } },
    {},
    { replicated: { replicas: 3 } },
  )
  const lines = diffSpecs(before, after).map(describeChange)
  t.same(lines.toSorted(), [
    'replicated.replicas: 1 → 3',
    'task.container.env[1]: + B=2',
    'task.container.image: nginx:1 → nginx:2',
    'task.container.pull.registryAuth: (hidden) → (changed)',
  ])
  t.notMatch(JSON.stringify(diffSpecs(web(), after)), /s3cret|other/)
  t.same(diffSpecs(before, before), [])
  t.ok(replacesTasks(before, after))
  t.notOk(replacesTasks(before, { ...before, annotations: null }))
})
