// Goal: docker's flags mean here what they mean there, and what is not understood is refused, never dropped.
// Method: texts as people type them → what they become; every refusal is a usage error (exit 125).
import t, { type Test } from 'tap'
import { Command } from 'commander'
import { Exit, Failure } from '../../cli/failure.ts'
import { matchExact, matchLabels, matchPart, matchPrefix, parseFilters } from '../../cli/filters.ts'
import { capability, parseDevice, parseUlimit } from '../../cli/flags/container.ts'
import { parseMount } from '../../cli/flags/mount.ts'
import { parsePublish } from '../../cli/flags/port.ts'
import { parseAddresses, parseNetwork, parsePayload } from '../../cli/flags/reference.ts'
import { csv, durationMs, envEntries, pairs, wholeNumber, words } from '../../cli/flags/values.ts'
import { readGlobals } from '../../cli/globals.ts'
import { plainBooleans } from '../../cli/program.ts'
import { parseTime } from '../../cli/commands/logs.ts'
import { parsePair } from '../../cli/commands/service/scale.ts'
import { networkSpec } from '../../cli/commands/network/create.ts'
import { withPort } from '../../cli/commands/swarm/join.ts'
import { MountType, PortProtocol, PublishMode, VolumeLocality } from '../../proto/index.ts'

function refused(t: Test, work: () => unknown, about: RegExp): void {
  try {
    work()
  } catch (error) {
    const failure = error instanceof Failure ? error : undefined
    t.equal(failure?.exit, Exit.USAGE, String(about))
    t.match(failure?.message ?? String(error), about)
    return
  }
  t.fail(`nothing was refused: ${about}`)
}

t.test('--publish in all its forms', async t => {
  t.match(parsePublish('8080:80'), [{ published: 8080, target: 80, mode: PublishMode.INGRESS }])
  t.match(parsePublish('80'), [{ published: 0, target: 80 }])
  t.match(parsePublish('53:53/udp'), [{ protocol: PortProtocol.UDP }])
  t.match(parsePublish('8000-8002:80-82'), [
    { published: 8000, target: 80 },
    { published: 8001, target: 81 },
    { published: 8002, target: 82 },
  ])
  t.match(parsePublish('published=8080,target=80,protocol=sctp,mode=host'), [
    { published: 8080, target: 80, protocol: PortProtocol.SCTP, mode: PublishMode.HOST },
  ])
  refused(t, () => parsePublish('127.0.0.1:80:80'), /host address/)
  refused(t, () => parsePublish('8000-8001:80-82'), /differ in length/)
  refused(t, () => parsePublish('80/icmp'), /none of tcp/)
  refused(t, () => parsePublish('0'), /no port number/)
  refused(t, () => parsePublish('70000:80'), /no port number/)
  refused(t, () => parsePublish('published=8080'), /missing target/)
  refused(t, () => parsePublish('target=80,speed=9'), /invalid field key speed/)
})

t.test('--mount', async t => {
  t.match(parseMount('source=data,target=/data'), { type: MountType.VOLUME, source: 'data' })
  t.match(parseMount('type=bind,src=/a,dst=/b,readonly,bind-propagation=rshared'), {
    type: MountType.BIND,
    source: '/a',
    target: '/b',
    readOnly: true,
    bindPropagation: 'rshared',
  })
  t.match(parseMount('type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770'), {
    tmpfsSizeBytes: 64 * 1024 ** 2,
    tmpfsMode: 0o1770,
  })
  t.match(
    parseMount('source=d,target=/d,"volume-opt=o=addr=10.0.0.1,rw",volume-locality=preferred'),
    {
      volumeOptions: { o: 'addr=10.0.0.1,rw' },
      volumeLocality: VolumeLocality.PREFERRED,
    },
  )
  refused(t, () => parseMount('source=data'), /target is required/)
  refused(t, () => parseMount('type=bind,target=/x'), /needs a source/)
  refused(t, () => parseMount('type=tmpfs,target=/x,source=y'), /no source/)
  refused(t, () => parseMount('type=tmpfs,target=/x,volume-nocopy'), /cannot be used/)
  refused(t, () => parseMount('type=disk,target=/x'), /none of bind/)
  refused(t, () => parseMount('target=/x,speed=1'), /unexpected key "speed"/)
})

t.test('--network, --address, --secret', async t => {
  t.match(parseNetwork('front'), { target: 'front', aliases: [] })
  t.match(parseNetwork('name=front,alias=a,alias=b,ip=10.0.1.5,driver-opt=k=v'), {
    target: 'front',
    aliases: ['a', 'b'],
    addresses: ['10.0.1.5'],
    driverOptions: { k: 'v' },
  })
  refused(t, () => parseNetwork('alias=a'), /name is missing/)
  t.same(parseAddresses('redis=172.38.0.11,172.38.0.12'), {
    network: 'redis',
    addresses: ['172.38.0.11', '172.38.0.12'],
  })
  refused(t, () => parseAddresses('redis=172.38.0.300'), /no IP address/)
  t.same(parsePayload('pw', '--secret'), {
    source: 'pw',
    file: { name: '', uid: '0', gid: '0', mode: 0o444 },
  })
  t.match(parsePayload('source=pw,target=p,uid=99,mode=0400', '--secret'), {
    file: { name: 'p', uid: '99', mode: 0o400 },
  })
  refused(t, () => parsePayload('source=pw,mode=rwx', '--secret'), /not octal/)
})

t.test('small values', async t => {
  t.same(parseUlimit('nofile=1024:2048'), { name: 'nofile', soft: 1024, hard: 2048 })
  t.same(parseUlimit('core=-1'), { name: 'core', soft: -1, hard: -1 })
  refused(t, () => parseUlimit('nofile=9:1'), /above the hard/)
  t.match(parseDevice('/dev/fuse'), { pathInContainer: '/dev/fuse', permissions: 'rwm' })
  t.match(parseDevice('/dev/a:/dev/b:r'), { pathInContainer: '/dev/b', permissions: 'r' })
  t.match(parseDevice('/dev/a:rw'), { pathInContainer: '/dev/a', permissions: 'rw' })
  t.equal(capability('net_admin'), 'CAP_NET_ADMIN')
  t.equal(capability('all'), 'ALL')
  t.equal(durationMs('--x', '1m30s'), 90_000)
  t.equal(durationMs('--x', undefined), undefined)
  refused(t, () => durationMs('--x', '-1s'), /negative/)
  refused(t, () => durationMs('--x', 'soon'), /--x: invalid duration/)
  refused(t, () => wholeNumber('--n', '1.5'), /whole number/)
  refused(t, () => wholeNumber('--n', '-1'), /0 or more/)
  t.same(pairs('--label', ['a=1', 'b', 'c=x=y']), { a: '1', b: '', c: 'x=y' })
  refused(t, () => pairs('--label', ['=1']), /no key/)
  t.same(csv('--m', 'a,"b,c",d""'.replace('d""', 'd')), ['a', 'b,c', 'd'])
  refused(t, () => csv('--m', 'a,"b'), /quote/)
  t.same(words('--args', `sh -c 'echo "x y"'`), ['sh', '-c', 'echo "x y"'])
  refused(t, () => words('--args', `sh 'x`), /--args/)
})

t.test(
  'the environment: files first, the last of a name wins, bare names take the caller’s',
  async t => {
    const file = { name: 'x.env', text: '# comment\nA=1\nB=2\n\nC\n' }
    t.same(envEntries(['B=3', 'D', 'E'], [file], { C: 'c', D: 'd' }), [
      'A=1',
      'C=c',
      'B=3',
      'D=d',
      'E',
    ])
    refused(t, () => envEntries([], [{ name: 'x.env', text: 'A B=1' }], {}), /x\.env:1/)
  },
)

t.test('filters', async t => {
  const filters = parseFilters(['name=we', 'name=ap', 'label=a=1', 'label=b'], ['name', 'label'])
  t.ok(matchPrefix(filters, 'name', 'WEB'), 'any value of a key, in any case')
  t.notOk(matchPrefix(filters, 'name', 'db'))
  t.ok(matchPrefix(filters, 'id', 'anything'), 'a key not asked for')
  t.ok(matchPart(parseFilters(['name=ro'], ['name']), 'name', 'front'))
  t.notOk(matchExact(parseFilters(['role=man'], ['role']), 'role', 'manager'))
  t.ok(matchLabels(filters, 'label', { a: '1', b: 'x' }), 'all labels')
  t.notOk(matchLabels(filters, 'label', { a: '2', b: 'x' }))
  t.notOk(matchLabels(filters, 'label', undefined))
  refused(t, () => parseFilters(['color=red'], ['name']), /invalid filter "color"/)
  refused(t, () => parseFilters(['name'], ['name']), /key=value/)
})

t.test('flags in front of the command', async t => {
  t.match(readGlobals(['-H', 'unix:///x', '--color=never', 'service', 'ls', '-q'], {}), {
    host: 'unix:///x',
    color: 'never',
    rest: ['service', 'ls', '-q'],
  })
  t.match(readGlobals(['ps'], { SKEIN_HOST: 'unix:///y', SKEIN_PROGRESS: 'plain' }), {
    host: 'unix:///y',
    progress: 'plain',
  })
  t.match(readGlobals(['ps'], {}), { host: 'unix:///run/skein/control.sock' })
  t.same(readGlobals(['--version'], {}).rest, ['--version'])
  refused(t, () => readGlobals(['--color', 'red'], {}), /none of auto/)
  refused(t, () => readGlobals(['-H'], {}), /needs a value/)
})

t.test('--flag=false as docker takes it, but not behind what is passed on', async t => {
  const command = new Command('create')
    .option('-d, --detach')
    .option('--init')
    .option('--no-init')
    .option('--name <n>')
    .argument('<image>')
    .argument('[args...]')
  const given = ['service', 'create', '--detach=false', '--init=false', '--name', 'x=true']
  t.same(plainBooleans([...given, 'img', '--detach=false'], command), [
    'service',
    'create',
    '--no-init',
    '--name',
    'x=true',
    'img',
    '--detach=false',
  ])
  t.same(plainBooleans(['service', 'create', '-d=true', 'img'], command), [
    'service',
    'create',
    '-d',
    'img',
  ])
})

t.test('arguments of commands', async t => {
  t.same(parsePair('web=5'), { name: 'web', replicas: 5 })
  for (const text of ['web', 'web=', 'web=-1', 'web=x', '=3', 'a=1=2']) {
    refused(t, () => parsePair(text), /scale specifier|replicas value/)
  }
  t.equal(withPort('10.0.0.1'), '10.0.0.1:2377')
  t.equal(withPort('10.0.0.1:9'), '10.0.0.1:9')
  t.equal(withPort('::1'), '[::1]:2377')
  t.equal(withPort('[::1]'), '[::1]:2377')
  t.equal(withPort('[::1]:9'), '[::1]:9')
  t.equal(parseTime('--since', '5m', 1_000_000), 700_000)
  t.equal(parseTime('--since', '1.5', 0), 1_500)
  t.equal(parseTime('--since', '2026-01-02T00:00:00Z', 0), Date.UTC(2026, 0, 2))
  refused(t, () => parseTime('--since', 'noon', 0), /invalid duration/)
  t.match(
    networkSpec('n', {
      driver: 'overlay',
      subnet: ['10.1.0.0/16'],
      opt: ['encrypted', 'mtu=1400'],
    }),
    {
      encrypted: true,
      mtu: 1400,
      driverOptions: {},
      ipam: [{ subnet: '10.1.0.0/16', gateway: '' }],
    },
  )
  refused(
    t,
    () => networkSpec('n', { driver: 'overlay', gateway: ['10.1.0.1'] }),
    /needs a --subnet/,
  )
})
