// Goal: secrets and configs land where their references say, with owner and mode, and leave nothing behind.
// Method: payloads and files over private files in memory.
import t from 'tap'
import {
  missingObjects,
  payloadFiles,
  resolvFile,
} from '../../../agent/executor/docker/payloads.ts'
import { TaskFiles, referencedFile } from '../../../agent/executor/files.ts'
import { make } from '../../../proto/codec.ts'
import { type Secret, v1 } from '../../../proto/index.ts'
import { MemoryPrivateFiles } from '../../../runtime/private-files.ts'
import { aTask } from '../builders.ts'

const text = (data: Uint8Array | string): string =>
  typeof data === 'string' ? data : Buffer.from(data).toString()

const secrets = new Map<string, Secret>([
  ['s1', make(v1.Secret, { id: 's1', spec: { data: Buffer.from('raw {{.Task.Slot}}') } })],
  [
    's2',
    make(v1.Secret, {
      id: 's2',
      spec: { data: Buffer.from('slot {{.Task.Slot}}'), templating: { name: 'golang' } },
    }),
  ],
])
const objects = {
  secret: (id: string) => secrets.get(id),
  config: () => undefined,
  node: () => make(v1.Node, { id: 'n1' }),
}
const task = aTask({
  spec: {
    container: {
      image: 'a',
      secrets: [
        {
          secretId: 's1',
          secretName: 'one',
          file: { name: 'one', uid: '10', gid: '20', mode: 0o400 },
        },
        { secretId: 's2', secretName: 'two', file: { name: '/etc/two' } },
      ],
      configs: [{ configId: 'gone', configName: 'conf' }],
      dns: { search: ['corp'], options: ['ndots:2'] },
    },
  },
})

t.test('payloads: raw as they are, templates expanded, absent ones named', async t => {
  const files = payloadFiles(task, objects).map(file => ({ ...file, data: text(file.data) }))
  t.strictSame(files, [
    { target: '/run/secrets/one', data: 'raw {{.Task.Slot}}', uid: 10, gid: 20, mode: 0o400 },
    { target: '/etc/two', data: 'slot 1', uid: 0, gid: 0, mode: 0o444 },
  ])
  t.strictSame(missingObjects(task, objects), ['config conf'])
})

t.test('no target climbs out of its place', async t => {
  const data = new Uint8Array()
  const at = (name: string) =>
    referencedFile(make(v1.SecretReference, { file: { name } }).file, 'n', '/run/secrets', data)
      .target
  t.equal(at('../../etc/shadow'), '/run/secrets/etc/shadow')
  t.equal(at('/a/../../b'), '/b')
  t.equal(at(''), '/run/secrets/n')
  t.throws(
    () => referencedFile(make(v1.SecretReference, { file: { uid: 'root' } }).file, 'n', '/', data),
    /owner root is not a numeric id/,
  )
})

t.test('written below one directory a task, wiped with it', async t => {
  const memory = new MemoryPrivateFiles()
  const files = new TaskFiles(memory, '/run/skein/files')
  t.strictSame(await files.write('t0', []), [], 'nothing to write mounts nothing')
  t.equal(memory.mounted.size, 0)
  const mounts = await files.write('t1', payloadFiles(task, objects))
  t.strictSame(mounts, [
    { source: '/run/skein/files/t1/0', target: '/run/secrets/one' },
    { source: '/run/skein/files/t1/1', target: '/etc/two' },
  ])
  t.ok(memory.mounted.has('/run/skein/files'))
  t.match(memory.files.get('/run/skein/files/t1/0')?.owner, { uid: 10, gid: 20, mode: 0o400 })
  await files.write('t2', payloadFiles(task, objects))
  await files.keepOnly(new Set(['t2']))
  t.strictSame(await memory.list('/run/skein/files'), ['t2'])
  await files.wipe('t2')
  t.equal(memory.files.size, 0)
  memory.mount = async () => {
    throw new Error('operation not permitted')
  }
  await t.rejects(
    files.write('t3', payloadFiles(task, objects)),
    /secrets and configs need a tmpfs at .*not permitted/,
  )
})

t.test('resolv.conf keeps the cluster’s servers and adds what the task asks for', async t => {
  const file = resolvFile(task, 'nameserver 10.0.0.1\noptions timeout:1\n')
  t.equal(file.target, '/etc/resolv.conf')
  t.equal(file.data, 'nameserver 10.0.0.1\noptions timeout:1\nsearch corp\noptions ndots:2\n')
})
