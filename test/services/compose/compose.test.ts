// Goal: compose files become the specs docker stack deploy would make, and what would be lost is refused with its place.
// Method: whole files against whole specs; one mistake a case with the exact message.
import fc from 'fast-check'
import t from 'tap'
import { MountType, PublishMode, VolumeLocality } from '../../../proto/index.ts'
import { interpolate } from '../../../services/compose/interpolate.ts'
import { parseCompose } from '../../../services/compose/parse.ts'
import { shellWords } from '../../../services/compose/shell-words.ts'
import type { ComposeOptions, Stack } from '../../../services/compose/stack.ts'
import { withDefaults } from '../../../services/spec/defaults.ts'
import { validateNetwork, validateService } from '../../../services/spec/validate.ts'
import { make } from '../../../proto/codec.ts'
import { v1 } from '../../../proto/index.ts'

const parse = (text: string, options: Partial<ComposeOptions> = {}): Stack =>
  parseCompose(text, {
    fileName: 'c.yml',
    env: {},
    projectName: 'app',
    directory: '/srv',
    ...options,
  })
const valid = (stack: Stack): Stack => {
  for (const spec of stack.services.values()) validateService(withDefaults(spec))
  for (const network of stack.networks.values())
    if (!network.external) validateNetwork(make(v1.NetworkSpec, network.spec))
  return stack
}

t.test('the smallest file', async t => {
  const stack = valid(parse('services:\n  web:\n    image: nginx\n'))
  t.same(
    [...stack.networks],
    [
      [
        'default',
        {
          name: 'app_default',
          external: false,
          spec: {
            annotations: { name: 'app_default', labels: { 'com.docker.stack.namespace': 'app' } },
            driver: 'overlay',
          },
        },
      ],
    ],
  )
  t.match(stack.services.get('web'), {
    annotations: {
      name: 'app_web',
      labels: { 'com.docker.stack.namespace': 'app', 'com.docker.stack.image': 'nginx' },
    },
    replicated: { replicas: 1 },
    task: {
      container: { image: 'nginx', labels: { 'com.docker.stack.namespace': 'app' } },
      networks: [{ target: 'app_default', aliases: ['web'] }],
    },
  })
  t.same(stack.warnings, [])
})

t.test('a file with everything', async t => {
  const stack = valid(
    parse(
      `
version: "3.8"
x-common: &common
  init: true
  environment: &env
    B: two
    A: "1"
    HOME:
    NOT_SET:
services:
  web:
    <<: *common
    image: "nginx:\${TAG:-1.25}"
    command: sh -c "echo $$HOME 'x y'"
    entrypoint: ["/e", "p"]
    ports: ["8080:80", "127.0.0.1:53:53/udp", "9000-9001:90-91", { target: 443, published: "8443", mode: host }]
    volumes:
      - data:/data:ro
      - ./conf:/etc/conf
      - /abs
      - { type: tmpfs, target: /t, tmpfs: { size: 64m, mode: 0755 } }
    tmpfs: /run:size=1m
    networks: { front: { aliases: [www] }, back: }
    secrets: [pw, { source: key, target: k.pem, mode: 0400, uid: "5" }]
    configs: [conf]
    healthcheck: { test: curl localhost, interval: 1m30s, retries: 2 }
    labels: [a=b, c]
    ulimits: { nofile: { soft: 10, hard: 20 }, nproc: 5 }
    extra_hosts: ["db:10.0.0.9"]
    sysctls: { net.core.somaxconn: 1024 }
    stop_grace_period: 20s
    shm_size: 64m
    privileged: true
    logging: { driver: json-file, options: { max-size: 10m } }
    deploy:
      replicas: 3
      endpoint_mode: vip
      labels: { tier: front }
      placement: { constraints: [node.role == worker], preferences: [{ spread: node.labels.zone }], max_replicas_per_node: 1 }
      resources: { limits: { cpus: "0.5", memory: 512M, pids: 100 }, reservations: { memory: 64M, generic_resources: [{ discrete_resource_spec: { kind: gpu, value: 2 } }] } }
      restart_policy: { condition: on-failure, delay: 2s, max_attempts: 3, window: 1m }
      update_config: { parallelism: 2, order: start-first, failure_action: rollback, max_failure_ratio: 0.5 }
  job:
    image: busybox
    restart: "no"
    deploy: { mode: replicated-job, replicas: 4 }
networks:
  front: { driver_opts: { encrypted: "" }, ipam: { config: [{ subnet: 172.38.0.0/16, gateway: 172.38.0.1 }] } }
  back: { external: true, name: shared }
  unused:
volumes:
  data: { driver: local, labels: { l: v } }
secrets:
  pw: { file: ./pw.txt }
  key: { external: true }
configs:
  conf: { content: "port=\${PORT}" , template_driver: golang }
`,
      {
        env: { HOME: '/root', PORT: '80' },
        readFile: path => new TextEncoder().encode(`bytes of ${path}`),
      },
    ),
  )
  const web = stack.services.get('web')
  t.match(web, {
    replicated: { replicas: 3 },
    annotations: { name: 'app_web', labels: { tier: 'front' } },
    update: { parallelism: 2, order: 1, failureAction: 2, maxFailureRatio: 0.5, monitorMs: 5000 },
    task: {
      restart: { condition: 1, delayMs: 2000, maxAttempts: 3, windowMs: 60_000 },
      resources: {
        limits: { nanoCpus: 5e8, memoryBytes: 2 ** 29 },
        reservations: { memoryBytes: 2 ** 26, generic: [{ kind: 'gpu', count: 2 }] },
      },
      placement: {
        constraints: ['node.role == worker'],
        preferences: [{ spread: 'node.labels.zone' }],
        maxReplicasPerNode: 1,
      },
      networks: [
        { target: 'app_front', aliases: ['web', 'www'] },
        { target: 'shared', aliases: ['web'] },
      ],
      logDriver: { name: 'json-file', options: { 'max-size': '10m' } },
      container: {
        image: 'nginx:1.25',
        init: true,
        args: ['sh', '-c', "echo $HOME 'x y'"],
        command: ['/e', 'p'],
        env: ['A=1', 'B=two', 'HOME=/root'],
        labels: { a: 'b', c: '' },
        hosts: ['db:10.0.0.9'],
        stopGraceMs: 20_000,
        shmSizeBytes: 2 ** 26,
        pidsLimit: 100,
        privileged: true,
        sysctls: { 'net.core.somaxconn': '1024' },
        ulimits: [
          { name: 'nofile', soft: 10, hard: 20 },
          { name: 'nproc', soft: 5, hard: 5 },
        ],
        healthcheck: { test: ['CMD-SHELL', 'curl localhost'], intervalMs: 90_000, retries: 2 },
        secrets: [
          { secretName: 'app_pw', file: { name: 'pw', mode: 0o444 } },
          { secretName: 'key', file: { name: 'k.pem', mode: 0o400, uid: '5' } },
        ],
        configs: [{ configName: 'app_conf', file: { name: 'conf' } }],
        mounts: [
          {
            type: MountType.VOLUME,
            source: 'app_data',
            target: '/data',
            readOnly: true,
            volumeDriver: 'local',
            volumeLabels: { l: 'v', 'com.docker.stack.namespace': 'app' },
          },
          { type: MountType.BIND, source: '/srv/conf', target: '/etc/conf' },
          { type: MountType.VOLUME, target: '/abs' },
          { type: MountType.TMPFS, target: '/t', tmpfsSizeBytes: 2 ** 26, tmpfsMode: 0o755 },
          { type: MountType.TMPFS, target: '/run', tmpfsSizeBytes: 2 ** 20 },
        ],
      },
    },
  })
  t.same(
    web?.endpoint?.ports?.map(p => [p.target, p.published, p.protocol, p.mode, p.hostIp]),
    [
      [53, 53, 1, PublishMode.INGRESS, '127.0.0.1'],
      [80, 8080, 0, 0, ''],
      [90, 9000, 0, 0, ''],
      [91, 9001, 0, 0, ''],
      [443, 8443, 0, PublishMode.HOST, ''],
    ],
  )
  t.match(stack.services.get('job'), {
    replicatedJob: { maxConcurrent: 4, totalCompletions: 4 },
    task: { restart: { condition: 2 } },
  })
  t.same([...stack.networks.keys()].toSorted(), ['back', 'default', 'front'])
  t.match(stack.networks.get('front'), {
    spec: { encrypted: true, ipam: [{ subnet: '172.38.0.0/16', gateway: '172.38.0.1' }] },
  })
  t.same(stack.networks.get('back'), { name: 'shared', external: true })
  const [pw, conf] = [stack.secrets.get('pw'), stack.configs.get('conf')]
  t.equal(
    new TextDecoder().decode(pw?.external === false ? (pw.spec.data ?? undefined) : undefined),
    'bytes of /srv/pw.txt',
  )
  t.equal(
    new TextDecoder().decode(conf?.external === false ? (conf.spec.data ?? undefined) : undefined),
    'port=80',
  )
  t.match(conf, { spec: { templating: { name: 'golang' } } })
})

t.test('x-skein: addresses and volumes by slot', async t => {
  const stack = valid(
    parse(`
services:
  redis:
    image: redis:5
    networks: [net]
    volumes: [data:/data]
    deploy: { replicas: 6 }
    x-skein:
      addresses: { net: "172.38.0.1{{.Task.Slot}}" }
      volumes: { data: { per_slot: true, locality: preferred } }
  two:
    image: redis:5
    networks: { net: { ipv4_address: 172.38.0.99 } }
networks: { net: { ipam: { config: [{ subnet: 172.38.0.0/16 }] } } }
volumes: { data: }
`),
  )
  t.match(stack.services.get('redis')?.task, {
    networks: [{ target: 'app_net', addresses: ['172.38.0.1{{.Task.Slot}}'] }],
    container: {
      mounts: [{ source: 'app_data-{{.Task.Slot}}', volumeLocality: VolumeLocality.PREFERRED }],
    },
  })
  t.match(stack.services.get('two')?.task?.networks, [{ addresses: ['172.38.0.99'] }])
})

t.test('what has no effect is said, not hidden', async t => {
  const stack = parse(
    'version: "2.4"\nservices:\n  a:\n    image: "x${NOPE}"\n    container_name: b\n    depends_on: [c]\n    expose: [80]\n    links: [c]\n',
  )
  t.same(stack.warnings, [
    'c.yml:4:12: the "NOPE" variable is not set, it becomes an empty text',
    'c.yml:1:10: version: 2.4 is read as 3',
    'c.yml:6:17: services.a.depends_on: start order is not kept in a cluster; let services wait for each other, or fail and be restarted',
    'c.yml:5:21: services.a.container_name: is ignored: each task has a name of its own',
    'c.yml:8:13: services.a.links[0]: is not needed: services on one network reach each other by name',
  ])
})

t.test('mistakes are refused with file, line, column and remedy', async t => {
  const service = (line: string): string => `services:\n  a:\n    image: x\n    ${line}\n`
  const table: readonly (readonly [string, string])[] = [
    [
      service('enviroment: {}'),
      'c.yml:4:5: services.a.enviroment: unknown key "enviroment"; did you mean "environment"?',
    ],
    [
      service('stopSignal: x'),
      'c.yml:4:5: services.a.stopSignal: unknown key "stopSignal"; did you mean "stop_signal"?',
    ],
    [service('qqqqqq: x'), 'c.yml:4:5: services.a.qqqqqq: unknown key "qqqqqq"'],
    [
      service('build: .'),
      'c.yml:4:5: services.a.build: images must be built first: build and push the image, then name it with image:',
    ],
    [
      service('mem_limit: 1g'),
      'c.yml:4:5: services.a.mem_limit: is version 2; use deploy.resources.limits.memory',
    ],
    [
      service('deploy: { replica: 2 }'),
      'c.yml:4:15: services.a.deploy.replica: unknown key "replica"; did you mean "replicas"?',
    ],
    [
      service('deploy: { replicas: two }'),
      'c.yml:4:25: services.a.deploy.replicas: must be a number, is "two"',
    ],
    [
      service('deploy: { replicas: -1 }'),
      'c.yml:4:25: services.a.deploy.replicas: must be a whole number, between 0 and 4294967295, is -1',
    ],
    [
      service('deploy: { mode: global, replicas: 2 }'),
      'services.a.deploy.replicas: replicas can only be used with replicated or replicated-job mode',
    ],
    [
      service('deploy: { mode: all }'),
      'services.a.deploy.mode: must be replicated, global, replicated-job, global-job, is "all"',
    ],
    [
      service('ports: ["8080:http"]'),
      'c.yml:4:13: services.a.ports[0]: invalid port "8080:http"; write [PUBLISHED:]TARGET[/PROTOCOL]',
    ],
    [
      service('ports: ["1-2:80"]'),
      'services.a.ports[0]: invalid port "1-2:80": the ranges differ in length',
    ],
    [service('ports: 80'), 'c.yml:4:12: services.a.ports: must be a list, is 80'],
    [
      service('volumes: [data:/d]'),
      'c.yml:4:15: services.a.volumes[0]: volume "data" is not declared under the top-level volumes:',
    ],
    [service('volumes: [/a:/b:z]'), 'services.a.volumes[0]: volume option "z" cannot be honoured'],
    [
      service('networks: [n]'),
      'c.yml:4:16: services.a.networks[0]: network "n" is not declared under the top-level networks:',
    ],
    [
      service('secrets: [s]'),
      'services.a.secrets[0]: secret "s" is not declared under the top-level secrets:',
    ],
    [
      service('stop_grace_period: 10'),
      'services.a.stop_grace_period: invalid duration "10": write 10s, 1m30s or 500ms',
    ],
    [service('init: perhaps'), 'services.a.init: must be true or false, is "perhaps"'],
    [
      service('restart: sometimes'),
      'services.a.restart: must be no, always, unless-stopped or on-failure[:N], is "sometimes"',
    ],
    [service('network_mode: bridge'), 'services.a.network_mode: must be host, none, is "bridge"'],
    [service('command: echo "x'), 'services.a.command: unclosed " in command "echo "x"'],
    [
      service('links: [db:mysql]'),
      'the alias of a link is lost; give service "db" the alias "mysql" on a network',
    ],
    [
      service('image: "${X:?set X}"').replace('    image: x\n', ''),
      'c.yml:3:12: required variable X is missing a value: set X',
    ],
    [
      service('x-skein: { address: {} }'),
      'services.a.x-skein.address: unknown key "address"; did you mean "addresses"?',
    ],
    [
      service('x-skein: { addresses: { n: [] } }'),
      'services.a.x-skein.addresses.n: the service is not on network "n"',
    ],
    [
      service('x-skein: { volumes: { v: { per_slot: true } } }'),
      'services.a.x-skein.volumes.v: the service does not mount volume "v"',
    ],
    [
      'services:\n  a: { command: x }\n',
      'c.yml:2:6: services.a: invalid image reference for service a: no image specified',
    ],
    [
      'web:\n  image: x\n',
      'c.yml:2:3: web: "web" looks like a service of a version 1 file: put it under services:',
    ],
    ['service: {}\n', 'c.yml:1:1: service: unknown key "service"; did you mean "services"?'],
    ['services: {}\n', 'the file declares no services'],
    ['', 'c.yml:1:1: the file is empty'],
    ['services:\n  a: [\n', 'c.yml:3:1: '],
    [
      'services: { a: { image: x, deploy: { replicas: 2 }, networks: { n: { ipv4_address: 10.0.0.2 } } } }\nnetworks: { n: }\n',
      'one address cannot serve 2 replicas; use x-skein.addresses, one a slot',
    ],
    [
      'services: { a: { image: x } }\nsecrets: { s: { content: hi } }\n',
      'secrets.s.content: a secret must not stand in the file',
    ],
    [
      'services: { a: { image: x } }\nconfigs: { s: }\n',
      'configs.s: exactly one of file, content, environment or external must be given',
    ],
    [
      'services: { a: { image: x } }\nnetworks: { n: { external: true, driver: overlay } }\n',
      'networks.n: "driver" has no effect on what is external; remove it',
    ],
  ]
  for (const [text, message] of table)
    t.throws(() => parse(text), { code: 'InvalidArgument', message }, message)
})

t.test('a file of aliases cannot grow without end', async t => {
  let text = 'services: { a: { image: x } }\nx-0: &x0 [1,1,1,1,1,1,1,1,1,1]\n'
  for (let i = 1; i < 9; i++)
    text += `x-${i}: &x${i} [${Array(10)
      .fill(`*x${i - 1}`)
      .join(',')}]\n`
  t.throws(() => parse(text), { message: 'the file has too many values' })
})

t.test('variables', async t => {
  const env = { A: 'a', EMPTY: '', toString: undefined }
  const table: Record<string, string> = {
    '$A ${A}': 'a a',
    '${A:-d}${B:-d}${EMPTY:-d}${EMPTY-d}': 'add',
    '${B-${A}x}': 'ax',
    '${A:+y}${B:+y}${EMPTY:+y}${EMPTY+y}': 'yy',
    '$$A $${A}': '$A ${A}',
    '${A:?e}': 'a',
    plain: 'plain',
    '${B:-}': '',
  }
  for (const [text, out] of Object.entries(table)) t.equal(interpolate(text, env).text, out, text)
  t.same(interpolate('$X ${Y} ${Z:-}', env), { text: '  ', unset: ['X', 'Y'] })
  for (const text of ['$', '${', '${A', '${1}', '$1', '${A!b}', '${B:?}', '${B?no}'])
    t.throws(() => interpolate(text, env), text)
  fc.assert(
    fc.property(fc.string(), text => interpolate(text.replaceAll('$', '$$$$'), {}).text === text),
  )
})

t.test('command lines', async t => {
  t.same(shellWords(` a  'b c' "d \\"e\\" \\n" f\\ g '' h"i"j `), [
    'a',
    'b c',
    'd "e" \\n',
    'f g',
    '',
    'hij',
  ])
  t.same(shellWords(''), [])
  t.throws(() => shellWords("a 'b"))
})
