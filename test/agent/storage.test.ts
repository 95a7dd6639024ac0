// Goal: tasks and tables come back from disk as they were written, and damage costs a file, never the process.
// Method: real storage over files in memory; bytes flipped and cut at random.
import * as fc from 'fast-check'
import t from 'tap'
import { Storage } from '../../agent/storage.ts'
import { TaskJournal } from '../../agent/task-journal.ts'
import { make } from '../../proto/codec.ts'
import { TaskState, v1 } from '../../proto/index.ts'
import { MemoryFs } from '../../runtime/fs.ts'
import { MemoryLog } from '../../runtime/log.ts'
import { aTask } from './builders.ts'

function setUp() {
  const fs = new MemoryFs()
  const log = new MemoryLog()
  return { fs, log, storage: new Storage({ fs, log, dir: '/state' }) }
}

t.test('what is written comes back', async t => {
  const { storage } = setUp()
  const task = aTask({
    desiredState: TaskState.SHUTDOWN,
    status: { state: TaskState.RUNNING, message: 'ü' },
  })
  await storage.saveTask(task)
  t.strictSame(await storage.loadTasks(), [task])
  const networks = [make(v1.NetworkTable, { networkId: 'n', vni: 4097, subnet: '10.0.0.0/24' })]
  const peers = [make(v1.NodePeer, { nodeId: 'n2', address: '10.0.0.2' })]
  await storage.saveNetworks({ networks, peers })
  const stored = await storage.loadNetworks()
  t.strictSame(stored.networks, networks)
  t.strictSame(stored.peers, peers)
  await storage.removeTask('t1')
  t.strictSame(await storage.loadTasks(), [])
})

t.test('nothing on disk is nothing, not an error', async t => {
  const { storage, log } = setUp()
  t.strictSame(await storage.loadTasks(), [])
  t.strictSame((await storage.loadNetworks()).networks, [])
  t.strictSame(log.lines, [])
})

t.test('any damage to a file loses that file alone and is logged', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
      async (where, flip, cut) => {
        const { fs, log, storage } = setUp()
        await storage.saveTask(aTask())
        await storage.saveTask(aTask({ id: 't2' }))
        const bytes = fs.files.get('/state/tasks/t1') ?? new Uint8Array()
        const at = where % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ flip
        if (cut) fs.files.set('/state/tasks/t1', bytes.subarray(0, at))
        const loaded = await storage.loadTasks()
        return loaded.length === 1 && loaded[0]?.id === 't2' && log.lines.length === 1
      },
    ),
  )
})

t.test('a file under another task’s name is not taken', async t => {
  const { fs, storage } = setUp()
  await storage.saveTask(aTask())
  fs.files.set('/state/tasks/other', fs.files.get('/state/tasks/t1') ?? new Uint8Array())
  t.strictSame(
    (await storage.loadTasks()).map(task => task.id),
    ['t1'],
  )
})

t.test(
  'the journal writes the newest state, also while a write runs, and outlives a full disk',
  async t => {
    const { fs, log, storage } = setUp()
    const journal = new TaskJournal(storage, log)
    const first = journal.save(aTask())
    for (const slot of [2, 3, 4]) void journal.save(aTask({ slot }))
    await first
    await journal.settled()
    t.equal((await storage.loadTasks())[0]?.slot, 4)
    await journal.save(aTask({ slot: 5 }))
    t.equal((await storage.loadTasks())[0]?.slot, 5, 'a later save is its own write')
    fs.write = async () => {
      throw new Error('ENOSPC')
    }
    await t.resolves(journal.save(aTask()))
    t.match(log.lines.at(-1)?.fields, { error: 'ENOSPC' })
    await journal.remove('t1')
    t.strictSame(await storage.loadTasks(), [])
  },
)
