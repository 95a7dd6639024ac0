// Goal: services run where they may, scale, and every way to fail shows its reason in `service ps` and in the exit code.
// Method: three hosts of the lab, real engines, the built command line.
import t from 'tap'
import { until } from '../support/cluster.ts'
import { clusterFor } from '../support/e2e.ts'

const cluster = await clusterFor(t, 'service', { managers: 1 })
const [h1, h2] = cluster.lab.hosts
if (!h1 || !h2) throw new Error('the lab has too few hosts')
const IMAGE = 'skein/tools:1'
const SLEEP = ['sleep', '100000']
/** A shell's `sleep` as a container's first process heeds no SIGTERM: without another signal each stop takes its grace. */
const AT_ONCE = ['--stop-signal', 'SIGKILL']
const create = (name: string, ...args: string[]): ReturnType<typeof cluster.skein> =>
  cluster.skein(h1, 'service', 'create', ...AT_ONCE, '--name', name, ...args)
const errorsOf = async (name: string): Promise<string> =>
  cluster.run(h1, 'service', 'ps', '--no-trunc', name)

t.test('a service spreads over the hosts and create waits until it runs', async t => {
  const { code, stderr } = await create('web', '--replicas', '6', IMAGE, ...SLEEP)
  t.equal(code, 0, stderr)
  const running = await cluster.running(h1, 'web')
  t.equal(running.length, 6)
  for (const host of cluster.lab.hosts)
    t.equal(running.filter(task => task.node === host.name).length, 2)
  t.match(await cluster.rows(h1, 'service', 'ls'), [
    { Name: 'web', Mode: 'replicated', Replicas: '6/6' },
  ])
})

t.test('scale goes up and down, and what is left stays spread', async t => {
  await cluster.run(h1, 'service', 'scale', 'web=9')
  t.equal((await cluster.running(h1, 'web')).length, 9)
  await cluster.run(h1, 'service', 'scale', 'web=3')
  const running = await cluster.running(h1, 'web')
  t.equal(running.length, 3)
  t.equal(new Set(running.map(task => task.node)).size, 3)
})

t.test('an update replaces the tasks, and rm leaves no container', async t => {
  await cluster.run(h1, 'service', 'update', '--env-add', 'A=1', '--update-parallelism', '3', 'web')
  const ids = await h1.docker('ps', '-q', '--filter', 'label=io.skein.service.name=web')
  const env = await h1.docker('inspect', '--format', '{{.Config.Env}}', ids.split('\n')[0] ?? '')
  t.match(env, /A=1/)
  await cluster.run(h1, 'service', 'rm', 'web')
  await until(
    async () => {
      const left = await Promise.all(
        cluster.lab.hosts.map(host =>
          host.docker('ps', '-aq', '--filter', 'label=io.skein.service.name=web'),
        ),
      )
      return left.every(text => text === '')
    },
    30_000,
    () => 'containers are left',
  )
})

t.test('a global service runs once on every node, and follows a drain', async t => {
  t.equal((await create('everywhere', '--mode', 'global', IMAGE, ...SLEEP)).code, 0)
  t.equal((await cluster.running(h1, 'everywhere')).length, 3)
  await cluster.run(h1, 'node', 'update', '--availability', 'drain', 'h2')
  await until(
    async () => (await cluster.running(h1, 'everywhere')).length === 2,
    30_000,
    () => 'the drained node still runs it',
  )
  await cluster.run(h1, 'node', 'update', '--availability', 'active', 'h2')
  await until(
    async () => (await cluster.running(h1, 'everywhere')).length === 3,
    30_000,
    () => 'the active node does not run it again',
  )
  await cluster.run(h1, 'service', 'rm', 'everywhere')
})

t.test(
  'an image that does not exist: the engine’s word is in service ps, and create fails',
  async t => {
    const { code, stderr } = await create(
      'noimage',
      '--restart-max-attempts',
      '1',
      '--restart-delay',
      '1s',
      'nope.invalid/nope:1',
    )
    t.equal(code, 1)
    t.match(stderr, /nope\.invalid\/nope:1/)
    t.match(await errorsOf('noimage'), /nope\.invalid\/nope:1/)
    await cluster.run(h1, 'service', 'rm', 'noimage')
  },
)

t.test(
  'a container that crashes: exit code and last words are shown, and create fails',
  async t => {
    const { code, stderr } = await create(
      'crash',
      '--restart-max-attempts',
      '1',
      '--restart-delay',
      '1s',
      IMAGE,
      'sh',
      '-c',
      'echo the disk is upside down; exit 3',
    )
    t.equal(code, 1)
    t.match(stderr, /code 3/)
    t.match(stderr, /the disk is upside down/)
    t.match(await errorsOf('crash'), /code 3/)
    await cluster.run(h1, 'service', 'rm', 'crash')
  },
)

t.test(
  'a published port that is taken: refused when a service has it, explained when nodes run out',
  async t => {
    t.equal((await create('p1', '--publish', '8080:80', IMAGE, ...SLEEP)).code, 0)
    const conflict = await create('p2', '--publish', '8080:80', IMAGE, ...SLEEP)
    t.equal(conflict.code, 1)
    t.match(conflict.stderr, /8080.*p1|p1.*8080/s)
    await cluster.run(h1, 'service', 'rm', 'p1')

    const mode = ['--publish', 'published=8081,target=80,mode=host']
    const tooMany = await create(
      'p3',
      '--replicas',
      '4',
      '--timeout',
      '12s',
      ...mode,
      IMAGE,
      ...SLEEP,
    )
    t.ok([3, 6].includes(tooMany.code), `exit code ${tooMany.code}`)
    t.match(await errorsOf('p3'), /port/)
    await cluster.run(h1, 'service', 'rm', 'p3')
  },
)

t.test('a constraint no node meets: says so and exits with 6', async t => {
  const { code, stderr } = await create(
    'nowhere',
    '--constraint',
    'node.labels.gpu==true',
    IMAGE,
    ...SLEEP,
  )
  t.equal(code, 6, stderr)
  t.match(stderr, /constraint/)
  t.match(await errorsOf('nowhere'), /no suitable node.*constraint/)
  await cluster.run(h1, 'node', 'update', '--label-add', 'gpu=true', 'h2')
  await until(
    async () => (await cluster.running(h1, 'nowhere')).some(task => task.node === 'h2'),
    20_000,
    () => 'the label does not let it run',
  )
  await cluster.run(h1, 'service', 'rm', 'nowhere')
})

t.test('a subnet with too few addresses: the network is named, and what fits runs', async t => {
  await cluster.run(
    h1,
    'network',
    'create',
    '--driver',
    'overlay',
    '--subnet',
    '10.200.0.0/29',
    'tiny',
  )
  const { code, stderr } = await create(
    'crowd',
    '--replicas',
    '8',
    '--network',
    'tiny',
    '--timeout',
    '20s',
    IMAGE,
    ...SLEEP,
  )
  t.ok([3, 6].includes(code), `exit code ${code}`)
  t.match(stderr, /tiny/)
  t.match(await errorsOf('crowd'), /tiny.*address/)
  await cluster.run(h1, 'service', 'rm', 'crowd')
  await cluster.run(h1, 'network', 'rm', 'tiny')
})

t.test('bad input is refused with its place and nothing is made', async t => {
  const cases: [string[], RegExp][] = [
    [['--replicas', '-1', IMAGE], /replicas/],
    [['--mount', 'type=volume,source=x', IMAGE], /target/],
    [['--constraint', 'node.lables.x==y', IMAGE], /node\.lables/],
    [['--limit-memory', '1', IMAGE], /memory/i],
    [['--network', 'missing', IMAGE], /network: missing/],
    [['--secret', 'missing', IMAGE], /secret: missing/],
  ]
  for (const [args, expected] of cases) {
    const { code, stderr } = await create('bad', ...args)
    t.not(code, 0, args.join(' '))
    t.match(stderr, expected)
  }
  t.same(await cluster.rows(h1, 'service', 'ls'), [])
})

t.test('secrets and configs are files of the task and of nobody else', async t => {
  await h1.exec(cluster.command('secret', 'create', 'word', '-'), { input: 'hunter2' })
  await h1.exec(cluster.command('config', 'create', 'greeting', '-'), { input: 'hello' })
  const { code, stderr } = await create(
    'files',
    '--secret',
    'word',
    '--config',
    'source=greeting,target=/etc/greeting',
    '--constraint',
    'node.hostname==h2',
    IMAGE,
    ...SLEEP,
  )
  t.equal(code, 0, stderr)
  const id = await h2.docker('ps', '-q', '--filter', 'label=io.skein.service.name=files')
  t.equal(await h2.docker('exec', id, 'cat', '/run/secrets/word'), 'hunter2')
  t.equal(await h2.docker('exec', id, 'cat', '/etc/greeting'), 'hello')
  t.notMatch(await h2.docker('inspect', id), /hunter2/)
  t.notMatch(await cluster.run(h1, 'secret', 'inspect', 'word'), /hunter2|aHVudGVyMg/)
  const used = await cluster.skein(h1, 'secret', 'rm', 'word')
  t.equal(used.code, 1)
  t.match(used.stderr, /in use by.*files/)
  await cluster.run(h1, 'service', 'rm', 'files')
})

t.test('logs come from every node', async t => {
  t.equal(
    (
      await create(
        'talk',
        '--replicas',
        '3',
        IMAGE,
        'sh',
        '-c',
        'echo I am $(hostname); sleep 100000',
      )
    ).code,
    0,
  )
  const lines = await until(
    async () => {
      const text = await cluster.run(h1, 'service', 'logs', 'talk')
      return text.match(/I am/g)?.length === 3 && text
    },
    20_000,
    () => 'not every task spoke',
  )
  t.match(lines, /talk\.1/)
  await cluster.run(h1, 'service', 'rm', 'talk')
})
