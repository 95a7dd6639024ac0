// Goal: every field of a task reaches the engine's create body as the engine means it, and nothing else does.
// Method: one field at a time over a plain task; what is not asked for must be absent.
import t from 'tap'
import type { TaskNetworking } from '../../../agent/network/types.ts'
import { atLeast, connectBodies, createBody } from '../../../agent/executor/docker/convert.ts'
import { boundPorts } from '../../../agent/executor/docker/ports.ts'
import { mountBody, volumeBodies } from '../../../agent/executor/docker/mounts.ts'
import { make } from '../../../proto/codec.ts'
import { type MountInit, MountType, PortProtocol, PublishMode, v1 } from '../../../proto/index.ts'
import { aTask } from '../builders.ts'

type TaskInit = NonNullable<Parameters<typeof aTask>[0]>
type SpecInit = NonNullable<TaskInit['spec']>
type ContainerInit = NonNullable<SpecInit['container']>

const NONE: TaskNetworking = { attachments: [], dns: [], resolvConf: undefined }
const TWO: TaskNetworking = {
  attachments: [
    { networkId: 'a', engineNetwork: 'neta', address: '10.1.0.2', mac: '02:42:0a:01:00:02' },
    { networkId: 'b', engineNetwork: 'netb', address: '10.2.0.2', mac: '02:42:0a:02:00:02' },
  ],
  dns: ['10.1.0.254'],
  resolvConf: 'nameserver 10.1.0.254\n',
}

const body = (
  container: ContainerInit = {},
  more: { spec?: SpecInit; task?: TaskInit; networking?: TaskNetworking; apiVersion?: string } = {},
) =>
  createBody(
    aTask({ ...more.task, spec: { ...more.spec, container: { image: 'app:1', ...container } } }),
    {
      clusterId: 'c1',
      networking: more.networking ?? NONE,
      files: [],
      apiVersion: more.apiVersion ?? '1.51',
    },
  )

t.test('a plain task asks for nothing beyond its image, labels and stop time', async t => {
  t.strictSame(body(), {
    Image: 'app:1',
    Labels: {
      'io.skein.task.id': 't1',
      'io.skein.task.name': 'web.1',
      'io.skein.service.id': 's1',
      'io.skein.service.name': 'web',
      'io.skein.node.id': 'n1',
      'io.skein.cluster': 'c1',
    },
    StopTimeout: 10,
    HostConfig: { RestartPolicy: { Name: 'no' } },
  })
})

t.test('each field of the container', async t => {
  const cases: readonly (readonly [ContainerInit, object])[] = [
    [
      { command: ['/init'], args: ['a', 'b'] },
      { Entrypoint: ['/init'], Cmd: ['a', 'b'] },
    ],
    [{ env: ['A=1'] }, { Env: ['A=1'] }],
    [
      { hostname: 'h', domainname: 'd' },
      { Hostname: 'h', Domainname: 'd' },
    ],
    [
      { user: '1000:1000', dir: '/srv' },
      { User: '1000:1000', WorkingDir: '/srv' },
    ],
    [
      { tty: true, openStdin: true },
      { Tty: true, OpenStdin: true },
    ],
    [
      { stopSignal: 'SIGINT', stopGraceMs: 1_500 },
      { StopSignal: 'SIGINT', StopTimeout: 2 },
    ],
    [{ stopGraceMs: 0 }, { StopTimeout: 0 }],
    [{ groups: ['audio'] }, { HostConfig: { GroupAdd: ['audio'] } }],
    [{ init: false }, { HostConfig: { Init: false } }],
    [
      { readOnly: true, privileged: true },
      { HostConfig: { ReadonlyRootfs: true, Privileged: true } },
    ],
    [{ hosts: ['db:10.0.0.9'] }, { HostConfig: { ExtraHosts: ['db:10.0.0.9'] } }],
    [
      { dns: { nameservers: ['9.9.9.9'], search: ['corp'], options: ['ndots:2'] } },
      { HostConfig: { Dns: ['9.9.9.9'], DnsSearch: ['corp'], DnsOptions: ['ndots:2'] } },
    ],
    [
      { capAdd: ['NET_ADMIN'], capDrop: ['ALL'] },
      { HostConfig: { CapAdd: ['NET_ADMIN'], CapDrop: ['ALL'] } },
    ],
    [
      { sysctls: { 'net.core.somaxconn': '1024' } },
      { HostConfig: { Sysctls: { 'net.core.somaxconn': '1024' } } },
    ],
    [
      { ulimits: [{ name: 'nofile', soft: 10, hard: 20 }] },
      { HostConfig: { Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }] } },
    ],
    [
      { devices: [{ pathOnHost: '/dev/fuse' }] },
      {
        HostConfig: {
          Devices: [
            { PathOnHost: '/dev/fuse', PathInContainer: '/dev/fuse', CgroupPermissions: 'rwm' },
          ],
        },
      },
    ],
    [
      { deviceRequests: [{ driver: 'nvidia', count: -1, capabilities: ['gpu'] }] },
      {
        HostConfig: {
          DeviceRequests: [
            { Driver: 'nvidia', Count: -1, DeviceIDs: null, Capabilities: [['gpu']], Options: {} },
          ],
        },
      },
    ],
    [{ pidsLimit: 100, oomScoreAdj: -5 }, { HostConfig: { PidsLimit: 100, OomScoreAdj: -5 } }],
    [{ shmSizeBytes: 1_024 }, { HostConfig: { ShmSize: 1_024 } }],
    [
      { securityOptions: ['no-new-privileges'] },
      { HostConfig: { SecurityOpt: ['no-new-privileges'] } },
    ],
    [
      {
        pidMode: 'host',
        ipcMode: 'private',
        usernsMode: 'host',
        cgroupParent: '/p',
        runtime: 'runsc',
      },
      {
        HostConfig: {
          PidMode: 'host',
          IpcMode: 'private',
          UsernsMode: 'host',
          CgroupParent: '/p',
          Runtime: 'runsc',
        },
      },
    ],
    [{ networkMode: 'host' }, { HostConfig: { NetworkMode: 'host' } }],
    [{ isolation: 'default' }, { HostConfig: { Isolation: 'default' } }],
    [
      {
        healthcheck: {
          test: ['CMD', 'true'],
          intervalMs: 1_000,
          timeoutMs: 2_000,
          startPeriodMs: 3_000,
          startIntervalMs: 500,
          retries: 4,
        },
      },
      {
        Healthcheck: {
          Test: ['CMD', 'true'],
          Interval: 1e9,
          Timeout: 2e9,
          StartPeriod: 3e9,
          StartInterval: 5e8,
          Retries: 4,
        },
      },
    ],
    [{ healthcheck: { test: ['NONE'] } }, { Healthcheck: { Test: ['NONE'] } }],
  ]
  for (const [init, expected] of cases) t.match(body(init), expected, JSON.stringify(init))
})

t.test('system labels win over the user’s', async t => {
  const { Labels } = body({ labels: { 'io.skein.task.id': 'forged', mine: 'yes' } })
  t.equal(Labels['io.skein.task.id'], 't1')
  t.equal(Labels['mine'], 'yes')
})

t.test('resources; swap is on top of memory; generic resources reach the environment', async t => {
  const memoryBytes = 64 * 1_048_576
  const limited = body(
    { env: ['A=1'] },
    {
      spec: {
        resources: {
          limits: { nanoCpus: 5e8, memoryBytes },
          reservations: { memoryBytes: 1_048_576 },
          swapBytes: 1_048_576,
          swappiness: 10,
        },
      },
      task: {
        assignedGeneric: {
          generic: [
            { kind: 'gpu', names: ['U1', 'U2'] },
            { kind: 'fpga', count: 2 },
          ],
        },
      },
    },
  )
  t.match(limited.HostConfig, {
    NanoCpus: 5e8,
    Memory: memoryBytes,
    MemoryReservation: 1_048_576,
    MemorySwap: memoryBytes + 1_048_576,
    MemorySwappiness: 10,
  })
  t.strictSame(limited.Env, ['A=1', 'DOCKER_RESOURCE_GPU=U1,U2', 'DOCKER_RESOURCE_FPGA=2'])
  const unlimited = body({}, { spec: { resources: { limits: { memoryBytes }, swapBytes: -1 } } })
  t.equal(unlimited.HostConfig.MemorySwap, -1)
})

t.test('log driver', async t => {
  const { HostConfig } = body(
    {},
    { spec: { logDriver: { name: 'journald', options: { tag: 'x' } } } },
  )
  t.strictSame(HostConfig.LogConfig, { Type: 'journald', Config: { tag: 'x' } })
})

t.test('published ports are bound on the node, whatever their mode', async t => {
  const ports = [
    { target: 80, published: 8_080, mode: PublishMode.HOST, hostIp: '127.0.0.1' },
    { target: 53, published: 0, protocol: PortProtocol.UDP, mode: PublishMode.HOST },
    { target: 443, published: 443, mode: PublishMode.INGRESS },
  ]
  const task: TaskInit = { endpoint: { ports } }
  const made = body({}, { task })
  t.strictSame(made.ExposedPorts, { '80/tcp': {}, '53/udp': {}, '443/tcp': {} })
  t.strictSame(made.HostConfig.PortBindings, {
    '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }],
    '53/udp': [{ HostIp: '', HostPort: '' }],
    '443/tcp': [{ HostIp: '', HostPort: '443' }],
  })
  const bound = boundPorts(aTask(task), {
    '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }],
    '53/udp': [{ HostIp: '0.0.0.0', HostPort: '32768' }],
    '443/tcp': null,
  })
  t.strictSame(
    bound.map(port => port.published),
    [8_080, 32_768],
  )
})

t.test('networks: all in create from API 1.44 on, the first alone before', async t => {
  const modern = body({}, { networking: TWO, apiVersion: '1.51' })
  t.equal(modern.HostConfig.NetworkMode, 'neta')
  t.strictSame(modern.HostConfig.Dns, ['10.1.0.254'])
  t.strictSame(modern.NetworkingConfig?.EndpointsConfig, {
    neta: {
      IPAMConfig: { IPv4Address: '10.1.0.2' },
      MacAddress: '02:42:0a:01:00:02',
      GwPriority: 1,
    },
    netb: { IPAMConfig: { IPv4Address: '10.2.0.2' }, MacAddress: '02:42:0a:02:00:02' },
  })
  t.strictSame(connectBodies('id', { networking: TWO, apiVersion: '1.51' }), [])
  const old = body({}, { networking: TWO, apiVersion: '1.41' })
  t.strictSame(Object.keys(old.NetworkingConfig?.EndpointsConfig ?? {}), ['neta'])
  t.equal(old.NetworkingConfig?.EndpointsConfig['neta']?.GwPriority, undefined)
  t.strictSame(connectBodies('id', { networking: TWO, apiVersion: '1.41' }), [
    {
      network: 'netb',
      body: {
        Container: 'id',
        EndpointConfig: {
          IPAMConfig: { IPv4Address: '10.2.0.2' },
          MacAddress: '02:42:0a:02:00:02',
        },
      },
    },
  ])
})

t.test('files are bind-mounted read-only, after the user’s mounts', async t => {
  const made = createBody(
    aTask({
      spec: {
        container: { image: 'a', mounts: [{ type: MountType.BIND, source: '/a', target: '/b' }] },
      },
    }),
    {
      clusterId: 'c',
      networking: NONE,
      files: [{ source: '/run/x/0', target: '/run/secrets/k' }],
      apiVersion: '1.51',
    },
  )
  t.strictSame(made.HostConfig.Mounts, [
    { Type: 'bind', Source: '/a', Target: '/b' },
    { Type: 'bind', Source: '/run/x/0', Target: '/run/secrets/k', ReadOnly: true },
  ])
})

t.test('mounts, each kind with its options', async t => {
  const mount = (init: MountInit) => mountBody(make(v1.Mount, init))
  t.strictSame(
    mount({
      type: MountType.BIND,
      source: '/a',
      target: '/b',
      readOnly: true,
      bindPropagation: 'rslave',
      bindNonRecursive: true,
      bindCreateSource: true,
      consistency: 'cached',
    }),
    {
      Type: 'bind',
      Source: '/a',
      Target: '/b',
      ReadOnly: true,
      Consistency: 'cached',
      BindOptions: { Propagation: 'rslave', NonRecursive: true, CreateMountpoint: true },
    },
  )
  const volume: MountInit = {
    type: MountType.VOLUME,
    source: 'data',
    target: '/d',
    volumeNoCopy: true,
    volumeLabels: { a: 'b' },
    volumeDriver: 'nfs',
    volumeOptions: { o: 'x' },
    volumeSubpath: 'sub',
  }
  t.strictSame(mount(volume), {
    Type: 'volume',
    Source: 'data',
    Target: '/d',
    VolumeOptions: {
      NoCopy: true,
      Labels: { a: 'b' },
      DriverConfig: { Name: 'nfs', Options: { o: 'x' } },
      Subpath: 'sub',
    },
  })
  t.strictSame(
    volumeBodies([
      make(v1.Mount, volume),
      make(v1.Mount, { type: MountType.VOLUME, target: '/anonymous' }),
    ]),
    [{ Name: 'data', Driver: 'nfs', DriverOpts: { o: 'x' }, Labels: { a: 'b' } }],
  )
  t.strictSame(
    mount({ type: MountType.TMPFS, target: '/t', tmpfsSizeBytes: 100, tmpfsMode: 0o1777 }),
    {
      Type: 'tmpfs',
      Target: '/t',
      TmpfsOptions: { SizeBytes: 100, Mode: 0o1777 },
    },
  )
  t.throws(() => mount({ type: MountType.TMPFS, source: 'x', target: '/t' }), /must have no source/)
  t.throws(() => mount({ type: MountType.BIND, source: 'x', target: '/t' }), /not an absolute path/)
  t.throws(() => mount({ type: MountType.BIND, source: '/x', target: 't' }), /not an absolute path/)
  t.throws(
    () => mount({ type: MountType.CLUSTER_VOLUME, source: 'x', target: '/t' }),
    /cluster volumes/,
  )
})

t.test('API versions compare by number', async t => {
  t.ok(atLeast('1.44', '1.44'))
  t.ok(atLeast('1.100', '1.44'))
  t.notOk(atLeast('1.9', '1.44'))
  t.ok(atLeast('2.0', '1.44'))
})
