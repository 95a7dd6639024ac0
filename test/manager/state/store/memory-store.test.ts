// Goal: the store's contract on a proposer without a log; snapshots, determinism and indexes of the tables beneath.
// Method: the shared contract; two stores fed the same bytes; random writes against a naive model.
import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { SimClock } from '../../../../runtime/clock.ts'
import { MemoryLog, silentLog } from '../../../../runtime/log.ts'
import { seededRandom } from '../../../../runtime/random.ts'
import { createMemoryStore } from '../../../../manager/state/store/memory-proposer.ts'
import { MemoryStore } from '../../../../manager/state/store/memory-store.ts'
import { encodeSnapshot } from '../../../../manager/state/store/snapshot.ts'
import { Transaction } from '../../../../manager/state/store/tx.ts'
import { TableSet } from '../../../../manager/state/store/tables.ts'
import { applyActions } from '../../../../manager/state/store/apply.ts'
import type { ChangeBatch, Proposer } from '../../../../manager/state/store/types.ts'
import { decodeTransaction, encodeTransaction } from '../../../../manager/state/store/wire.ts'
import { isEqual } from '../../../../manager/state/store/share.ts'
import { codec, make } from '../../../../proto/codec.ts'
import { TaskReader } from '../../../../manager/state/store/task-reader.ts'
import { type Task, v1 } from '../../../../proto/index.ts'
import { aService, aTask } from './builders.ts'
import { storeContract } from './contract.ts'

const clock = new SimClock(1_000)
const deps = { clock, random: seededRandom(1), log: silentLog }

storeContract(t, async (_t, limits = {}) => createMemoryStore({ ...deps, limits }))

/** A proposer that keeps the bytes it is given and applies them to its store. */
function recording(): { store: MemoryStore; log: Uint8Array[] } {
  const log: Uint8Array[] = []
  const proposer: Proposer = {
    async propose(actions, options) {
      const bytes = encodeTransaction(actions, options.author)
      log.push(bytes)
      return store.applyTransaction(log.length, bytes)
    },
  }
  const store = new MemoryStore({ ...deps, proposer })
  return { store, log }
}

t.test('a snapshot restores the same state, order and bookkeeping included', async t => {
  const store = createMemoryStore(deps)
  await store.update(tx => {
    tx.create('service', aService('s1', 'web'))
    for (let n = 0; n < 1200; n++)
      tx.create('task', aTask(`t${n}`, { serviceId: 's1', slot: n % 7, nodeId: `n${n % 3}` }))
  })
  const captured = store.captureSnapshot()
  let pauses = 0
  await store.update(tx => tx.delete('task', 't5'))
  const bytes = await encodeSnapshot(captured, () => {
    pauses += 1
  })
  t.ok(pauses > 2, 'it is encoded in slices')
  const other = createMemoryStore(deps)
  const batches: ChangeBatch[] = []
  other.watch(batch => batches.push(batch))
  other.restore(bytes, captured.version)
  t.match(batches, [{ version: captured.version, reset: true, changes: [] }])
  t.equal(
    other.view(tx => tx.list('task').length),
    1200,
    'what was deleted after the capture is in it',
  )
  t.same(other.captureSnapshot(), captured)
  t.equal(
    other.view(tx => tx.resolve('service', 'WEB').id),
    's1',
  )
  t.throws(() => other.since(captured.version - 1), { code: 'OutOfRange' })
  t.throws(() => other.restore(Buffer.from('nonsense'), 9), { code: 'DataLoss' })
  t.equal(other.version, captured.version)
})

t.test('the same transactions make the same bytes on every member', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 60 }),
      fc.nat(59),
      async (operations, cut) => {
        const { store, log } = recording()
        for (const one of operations) await write(store, one)
        const follower = new MemoryStore({
          ...deps,
          proposer: { propose: () => Promise.reject(new Error('follower')) },
        })
        const late = new MemoryStore({
          ...deps,
          proposer: { propose: () => Promise.reject(new Error('follower')) },
        })
        for (const [at, bytes] of log.entries()) {
          follower.applyTransaction(at + 1, bytes)
          if (at === cut) late.restore(await encodeSnapshot(follower.captureSnapshot()), at + 1)
          else if (at > cut) late.applyTransaction(at + 1, bytes)
        }
        const expected = await encodeSnapshot(store.captureSnapshot())
        assert.deepEqual(await encodeSnapshot(follower.captureSnapshot()), expected)
        if (log.length > cut)
          assert.deepEqual(await encodeSnapshot(late.captureSnapshot()), expected)
      },
    ),
    { numRuns: 50 },
  )
  t.pass('50 random histories')
})

t.test('indexes agree with a naive model, inside a transaction and after it', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(operation, { maxLength: 8 }), { maxLength: 20 }),
      async rounds => {
        const store = createMemoryStore(deps)
        for (const operations of rounds) {
          await store.update(tx => {
            for (const one of operations) writeTx(tx, one)
            check(tx)
          })
          store.view(check)
        }
      },
    ),
    { numRuns: 60 },
  )
  t.pass('60 random histories')
  function check(
    tx: Pick<
      Transaction,
      'list' | 'get' | 'byName' | 'tasksOfService' | 'tasksOnNode' | 'tasksOfSlot'
    >,
  ): void {
    const tasks = tx.list('task')
    for (const id of IDS) {
      const ofService = tasks.filter(task => task.serviceId === id)
      assert.deepEqual(tx.tasksOfService(id), ofService)
      assert.deepEqual(byId(tx.tasksOnNode(id)), byId(tasks.filter(task => task.nodeId === id)))
      for (const slot of [0, 1])
        assert.deepEqual(
          tx.tasksOfSlot(id, slot),
          ofService.filter(task => task.slot === slot),
        )
      assert.deepEqual(
        tx.byName('service', id),
        tx.list('service').filter(service => service.spec?.annotations?.name.toLowerCase() === id),
      )
      assert.equal(
        tx.get('task', id),
        tasks.find(task => task.id === id),
      )
    }
  }
})

t.test('tasks of one service share what is equal, and only that', async t => {
  const store = createMemoryStore(deps)
  const withImage = (id: string, image: string): Task => ({
    ...aTask(id, { serviceId: 's' }),
    spec: make(v1.TaskSpec, { container: { image } }),
  })
  await store.update(tx => {
    tx.create('task', withImage('t1', 'a'))
    tx.create('task', withImage('t2', 'a'))
    tx.create('task', withImage('t3', 'b'))
  })
  const spec = (id: string): unknown => store.view(tx => tx.resolve('task', id).spec)
  t.equal(spec('t1'), spec('t2'))
  t.match(spec('t3'), { container: { image: 'b' } })
  const before = spec('t3')
  await store.update(tx => tx.update('task', { ...withImage('t3', 'b'), nodeId: 'n' }))
  t.equal(spec('t3'), before, 'an update that leaves the spec alone leaves the reference alone')
})

t.test('many tasks in one slot, as a global service has them', async t => {
  const store = createMemoryStore(deps)
  await store.update(tx => {
    for (let n = 0; n < 40; n++)
      tx.create('task', aTask(`t${n}`, { serviceId: 's', nodeId: `n${n}` }))
  })
  await store.update(tx => {
    tx.update('task', { ...tx.resolve('task', 't7'), nodeId: 'other' })
    for (let n = 20; n < 40; n++) tx.delete('task', `t${n}`)
    t.equal(tx.tasksOfSlot('s', 0).length, 20)
  })
  t.equal(store.view(tx => tx.tasksOfSlot('s', 0))[7]?.nodeId, 'other')
  await store.update(tx => tx.list('task').forEach(task => tx.delete('task', task.id)))
  t.same(
    store.view(tx => tx.tasksOfSlot('s', 0)),
    [],
  )
})

t.test('equality of decoded messages', t => {
  // A field that is no number equals nothing, itself neither: it is then written once more, which harms nobody.
  const values = [fc.boolean(), fc.integer(), fc.double({ noNaN: true }), fc.string()]
  const message = fc.object({ values, withNullPrototype: false })
  fc.assert(
    fc.property(message, message, (a, b) => {
      assert.equal(isEqual(a, structuredClone(a)), true)
      if (isEqual(a, b)) assert.deepEqual(a, b)
    }),
  )
  t.ok(isEqual({ a: Buffer.from('x') }, { a: Uint8Array.of(120) }))
  t.notOk(isEqual({ a: [] }, { a: {} }))
  t.notOk(isEqual({ a: undefined }, { b: undefined }))
  t.end()
})

t.test('a refused transaction leaves nothing behind', t => {
  const tables = new TableSet()
  const seed = new Transaction(tables, 0, 1)
  seed.create('task', aTask('t1'))
  applyActions(tables, 1, seed.actions())
  const early = new Transaction(tables, 1, 1)
  early.create('service', aService('s1', 'web'))
  early.delete('task', 't1')
  const late = new Transaction(tables, 1, 1)
  late.create('service', aService('s2', 'api'))
  late.update('task', { ...late.resolve('task', 't1'), slot: 3 })
  applyActions(tables, 2, decodeTransaction(encodeTransaction(early.actions(), 'a')).actions)
  t.same(applyActions(tables, 3, late.actions()), { conflict: 'task t1' })
  t.equal(tables.of('service').byName('api').length, 0)
  t.equal(tables.of('service').size, 1)
  t.end()
})

t.test('a malformed entry is refused and said, and the log goes on', t => {
  const log = new MemoryLog()
  const store = new MemoryStore({
    ...deps,
    log,
    proposer: { propose: () => Promise.reject(new Error('none')) },
  })
  t.match(store.applyTransaction(4, Buffer.from([0x12, 0xff])).conflict, /malformed/)
  t.equal(store.version, 4)
  t.match(log.lines, [{ level: 'error', fields: { index: 4 } }])
  t.end()
})

t.test('an object that always changes in between ends in Aborted, within its time', async t => {
  const simClock = new SimClock(1)
  let proposals = 0
  const proposer: Proposer = {
    async propose() {
      proposals += 1
      return { version: proposals, conflict: 'task t1' }
    },
  }
  const store = new MemoryStore({ ...deps, clock: simClock, proposer })
  const update = store.update(tx => tx.create('task', aTask('t1')))
  const aborted = t.rejects(update, { code: 'Aborted', message: /task t1/ })
  for (let n = 0; n < 500; n++) {
    simClock.advance(5)
    await Promise.resolve()
  }
  await aborted
  t.equal(proposals, 20)
})

t.test('what wrote nothing is confirmed and run again, unless it is for own use', async t => {
  let confirmed = 0
  const proposer: Proposer = {
    propose: async () => ({ version: 1, conflict: false }),
    confirm: async () => void (confirmed += 1),
  }
  const store = new MemoryStore({ ...deps, proposer })
  let runs = 0
  const look = (): number => (runs += 1)
  t.equal(await store.update(look), 2)
  t.equal(confirmed, 1)
  t.equal(await store.update(look, { ownUse: true }), 3)
  t.equal(confirmed, 1)
})

const IDS = ['a', 'b', 'c', 'd']
interface Operation {
  readonly what: 'task' | 'service' | 'delete'
  readonly id: string
  readonly other: string
  readonly slot: number
}
const operation = fc.record<Operation>({
  what: fc.constantFrom('task', 'task', 'service', 'delete'),
  id: fc.constantFrom(...IDS),
  other: fc.constantFrom(...IDS),
  slot: fc.nat(1),
})

async function write(store: MemoryStore, one: Operation): Promise<void> {
  await store.update(tx => writeTx(tx, one))
}

function writeTx(
  tx: Pick<Transaction, 'get' | 'create' | 'update' | 'delete' | 'byName'>,
  one: Operation,
): void {
  if (one.what === 'delete') {
    tx.delete('task', one.id)
    tx.delete('service', one.other)
  } else if (one.what === 'service') {
    if (tx.byName('service', one.other).some(service => service.id !== one.id)) return
    const service = aService(one.id, one.slot === 0 ? one.other : one.other.toUpperCase())
    if (tx.get('service', one.id)) tx.update('service', service, { spec: true })
    else tx.create('service', service)
  } else {
    const before = tx.get('task', one.id)
    // A task's service and slot are for life; where it runs is not.
    if (before) tx.update('task', { ...before, nodeId: one.other })
    else tx.create('task', aTask(one.id, { serviceId: one.other, slot: one.slot, nodeId: one.id }))
  }
}

function byId<T extends { readonly id: string }>(objects: readonly T[]): T[] {
  return objects.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

t.test('a task read with its spec cut out is the task, whatever its fields', async t => {
  const codecOfTasks = codec(v1.Task)
  const reader = new TaskReader()
  const specs = [
    undefined,
    {},
    { container: { image: 'web:1', env: ['A=1'] } },
    { container: { image: 'web:2' }, logDriver: { name: 'none' } },
  ]
  fc.assert(
    fc.property(
      fc.constantFrom(...specs),
      fc.nat(9),
      fc.string(),
      fc.dictionary(fc.string(), fc.string()),
      (spec, slot, serviceId, serviceLabels) => {
        const bytes = codecOfTasks.encode(
          make(v1.Task, { id: 't', slot, serviceId, serviceLabels, ...(spec && { spec }) }),
        )
        const [cut, whole] = [reader.decode(bytes), codecOfTasks.decode(bytes)]
        return isEqual(cut, whole) && Object.keys(cut).join() === Object.keys(whole).join()
      },
    ),
  )
  const twice = codecOfTasks.encode(make(v1.Task, { id: 't', spec: specs[2] ?? {} }))
  t.equal(reader.decode(twice).spec, reader.decode(twice).spec, 'equal specs are one object')
  const merged = Buffer.concat([
    twice,
    codecOfTasks.encode(make(v1.Task, { spec: { container: { image: 'web:3' } } })),
  ])
  t.same(
    reader.decode(merged),
    codecOfTasks.decode(merged),
    'two specs are merged, as protobuf says',
  )
})
