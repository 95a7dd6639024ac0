// Goal: the lab keeps its word: real engines, a power cut that looks like one, partitions, nothing left behind.
// Method: one lab of three hosts of its own; needs root and takes about 15 s.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cgroupMembers } from '../lab/cgroups.ts'
import { isOnPath } from '../lab/install.ts'
import { type Host, Lab } from '../lab/lab.ts'
import { waitFor } from '../lab/wait.ts'

const NAME = 'labcheck'
const output = async (host: Host, ...argv: string[]): Promise<string> =>
  (await host.exec(argv, { timeoutMs: 20_000 })).stdout.trim()
const reaches = async (from: Host, to: Host): Promise<boolean> =>
  (await from.exec(['busybox', 'ping', '-c1', '-W1', to.address])).code === 0
const mounts = (): string => readFileSync('/proc/self/mounts', 'utf8')

const before = mounts()
const lab = await Lab.up({ hosts: 3, name: NAME, log: line => t.comment(line) })
t.teardown(() => (existsSync(`/var/lib/skein-lab/${NAME}/lab.json`) ? lab.down() : undefined))
const [h1, h2, h3] = lab.hosts as [Host, Host, Host]

t.test('commands run inside the host, with its name, network, input and exit code', async t => {
  t.equal(await output(h2, 'hostname'), 'h2')
  t.match(await output(h2, 'ip', '-br', 'address', 'show', 'eth0'), `${h2.address}/24`)
  t.strictSame(await h1.exec(['sh', '-c', 'cat; exit 7'], { input: 'hello' }), {
    code: 7,
    stdout: 'hello',
    stderr: '',
  })
  await t.rejects(h1.exec(['sleep', '9'], { timeoutMs: 100 }), /sleep 9 on h1: not finished/)
  await t.rejects(
    h1.spawn(['no-such-program'], { logFile: join(h1.dir, 'x.log') }),
    /ended with 127/,
  )
  const { pid } = await h1.spawn(['sleep', '1000'], { logFile: join(h1.dir, 'x.log') })
  t.equal(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), 'sleep\x001000\x00', 'its real pid')
})

t.test('every engine has an id and cgroup of its own, and the same images', async t => {
  const ids = await Promise.all(lab.hosts.map(host => host.docker('info', '--format', '{{.ID}}')))
  t.equal(new Set(ids).size, 3)
  const listed = await Promise.all(
    lab.hosts.map(host => host.docker('images', '--no-trunc', '--format', '{{.ID}} {{.Tag}}')),
  )
  const images = listed.map(lines => lines.split('\n').toSorted().join())
  t.equal(new Set(images).size, 1)
})

t.test('a container serves to all hosts and outlives its engine', async t => {
  await h1.docker('run', '-d', '--name', 'web', '-p', '8080:80', 'skein/tools:1', 'web')
  const ask = (): Promise<string> =>
    output(lab.client, 'curl', '-sm2', 'http://h1:8080/cgi-bin/whoami')
  t.ok(await waitFor(async () => (await ask()).includes('host='), 5_000))
  t.match(await ask(), / version=1 client=10\.77\.\d+\.100$/)
  await h1.stopEngine('SIGKILL')
  await t.rejects(h1.docker('ps'), /Cannot connect/)
  t.match(await ask(), /version=1/, 'serving without an engine')
  await h1.startEngine()
  t.match(await h1.docker('ps', '--format', '{{.Names}} {{.Status}}'), /web Up/)
})

t.test('a partition cuts what it names and heals', async t => {
  await lab.partition('h1', 'h2')
  t.strictSame([await reaches(h1, h2), await reaches(h2, h1)], [false, false])
  t.strictSame([await reaches(h1, h3), await reaches(h2, h3)], [true, true])
  await lab.partition('h3')
  t.strictSame([await reaches(h1, h3), await reaches(lab.client, h3)], [false, false])
  await lab.heal()
  t.strictSame([await reaches(h1, h2), await reaches(h1, h3)], [true, true])
})

t.test('a power cut kills everything, paused containers too; the disk survives', async t => {
  await h2.docker('run', '-d', '--name', 'keep', '--restart', 'always', 'skein/redis:7')
  await h2.docker('run', '-d', '--name', 'frozen', 'skein/tools:1', 'sleep', '1000')
  await h2.docker('pause', 'frozen')
  await h2.exec(['touch', '/run/marker'])
  await h2.kill()
  t.equal(await h2.alive(), false)
  t.strictSame(cgroupMembers(`${NAME}-h2`), [])
  t.equal(await reaches(h1, h2), false)
  await t.rejects(h2.exec(['true']), /host h2 is off/)
  await h2.start()
  t.equal(await reaches(h1, h2), true)
  t.equal((await h2.exec(['test', '-e', '/run/marker'])).code, 1, '/run is fresh')
  const running = (): Promise<string> => h2.docker('ps', '--format', '{{.Names}}')
  t.ok(await waitFor(async () => (await running()) === 'keep', 10_000, 200))
})

t.test('a second lab of the name is refused; down leaves nothing', async t => {
  await t.rejects(Lab.up({ hosts: 1, name: NAME }), /is up already/)
  await lab.down()
  t.equal(existsSync(`/var/lib/skein-lab/${NAME}`), false)
  t.strictSame(
    mounts()
      .split('\n')
      .filter(line => line.includes(NAME)),
    before.split('\n').filter(line => line.includes(NAME)),
  )
  for (const tree of readdirSync('/sys/fs/cgroup')) {
    t.equal(existsSync(`/sys/fs/cgroup/${tree}/${NAME}-h1`), false, tree)
  }
  t.ok(isOnPath('dockerd'), 'the programs stay')
  await t.rejects(Lab.attach(NAME), /there is no lab/)
})
