// What every store must do, whatever its proposer: run by memory-store.test.ts and raft-store.test.ts.
import type { Test } from 'tap'
import { hasCode } from '../../../../runtime/errors.ts'
import type { ChangeBatch, Store } from '../../../../manager/state/store/types.ts'
import { aSecret, aService, aTask } from './builders.ts'

/** Makes a store that can be written to. */
export type MakeStore = (t: Tap, options?: { historyChanges?: number }) => Promise<Store>
type Tap = Pick<Test, 'teardown'>

export function storeContract(t: Test, makeStore: MakeStore): void {
  t.test('what is created can be read back, with its bookkeeping filled in', async t => {
    const store = await makeStore(t)
    const before = store.version
    const answer = await store.update(tx => {
      tx.create('service', aService('s1', 'web'))
      return 'made'
    })
    t.equal(answer, 'made')
    t.ok(store.version > before)
    const service = store.view(tx => tx.get('service', 's1'))
    t.equal(service?.meta?.version, store.version)
    t.equal(service?.meta?.specVersion, store.version)
    t.ok(service?.meta?.createdAtMs)
  })

  t.test('spec version moves with the spec alone', async t => {
    const store = await makeStore(t)
    await store.update(tx => tx.create('service', aService('s1', 'web')))
    const created = store.version
    await store.update(tx =>
      tx.update('service', { ...tx.resolve('service', 'web'), blockedBy: 'x' }),
    )
    const meta = store.view(tx => tx.get('service', 's1')?.meta)
    t.equal(meta?.specVersion, created)
    t.equal(meta?.version, store.version)
    await store.update(tx => tx.update('service', tx.resolve('service', 'web'), { spec: true }))
    t.equal(
      store.view(tx => tx.get('service', 's1')?.meta?.specVersion),
      store.version,
    )
  })

  t.test('a transaction sees its own writes', async t => {
    const store = await makeStore(t)
    await store.update(tx => {
      tx.create('task', aTask('t1', { serviceId: 's', slot: 1 }))
      tx.create('task', aTask('t2', { serviceId: 's', slot: 2, nodeId: 'n' }))
    })
    await store.update(tx => {
      tx.update('task', { ...tx.resolve('task', 't1'), nodeId: 'n' })
      tx.create('task', aTask('t3', { serviceId: 's', slot: 3, nodeId: 'n' }))
      tx.delete('task', 't2')
      t.same(ids(tx.list('task')), ['t1', 't3'])
      t.same(ids(tx.tasksOfService('s')), ['t1', 't3'])
      t.same(ids(tx.tasksOnNode('n')).sort(), ['t1', 't3'])
      t.same(ids(tx.tasksOfSlot('s', 2)), [])
      t.equal(tx.get('task', 't2'), undefined)
      t.throws(() => tx.resolve('task', 't2'), { code: 'NotFound', message: 'task t2 not found' })
    })
    t.same(ids(store.view(tx => tx.tasksOnNode('n'))).sort(), ['t1', 't3'])
  })

  t.test('a transaction that throws, or wrote nothing, changes nothing', async t => {
    const store = await makeStore(t)
    const before = store.version
    await t.rejects(
      store.update(tx => {
        tx.create('service', aService('s1', 'web'))
        throw new Error('no')
      }),
      { message: 'no' },
    )
    t.equal(await store.update(tx => tx.list('service').length), 0)
    await store.update(tx => {
      tx.create('service', aService('s1', 'web'))
      tx.delete('service', 's1')
    })
    t.equal(store.version, before)
  })

  t.test('a promise cannot slip into a transaction', async t => {
    const store = await makeStore(t)
    const change = async (): Promise<void> => undefined
    // @ts-expect-error the type refuses it too
    await t.rejects(store.update(change), /must be synchronous/)
  })

  t.test('names are unique per kind and regardless of case', async t => {
    const store = await makeStore(t)
    await store.update(tx => tx.create('service', aService('s1', 'web')))
    await store.update(tx => tx.create('secret', aSecret('x1', 'web')))
    await t.rejects(
      store.update(tx => tx.create('service', aService('s2', 'WEB'))),
      {
        code: 'AlreadyExists',
        message: 'service WEB already exists as web: names must differ by more than case',
      },
    )
    await t.rejects(
      store.update(tx => tx.create('service', aService('s1', 'other'))),
      { code: 'AlreadyExists' },
    )
    t.equal(
      store.view(tx => tx.byName('service', 'Web')[0]?.id),
      's1',
    )
    await store.update(tx => {
      tx.delete('service', 's1')
      tx.create('service', aService('s2', 'web'))
    })
    t.equal(
      store.view(tx => tx.resolve('service', 'web').id),
      's2',
    )
  })

  t.test('two that claim one name at once: the second learns that it exists', async t => {
    const store = await makeStore(t)
    const [first, second] = await Promise.allSettled([
      store.update(tx => tx.create('service', aService('s1', 'web'))),
      store.update(tx => tx.create('service', aService('s2', 'web'))),
    ])
    t.equal(first?.status, 'fulfilled')
    t.ok(second?.status === 'rejected' && hasCode(second.reason, 'AlreadyExists'))
    t.same(ids(store.view(tx => tx.list('service'))), ['s1'])
  })

  t.test('names can be exchanged in one transaction', async t => {
    const store = await makeStore(t)
    await store.update(tx => {
      tx.create('service', aService('s1', 'blue'))
      tx.create('service', aService('s2', 'green'))
    })
    await store.update(tx => {
      const [blue, green] = [tx.resolve('service', 's1'), tx.resolve('service', 's2')]
      tx.update('service', { ...blue, spec: aService('', 'tmp').spec })
      tx.update('service', { ...green, spec: aService('', 'blue').spec })
      tx.update('service', { ...tx.resolve('service', 's1'), spec: aService('', 'green').spec })
    })
    t.equal(
      store.view(tx => tx.resolve('service', 'blue').id),
      's2',
    )
    t.equal(
      store.view(tx => tx.resolve('service', 'green').id),
      's1',
    )
  })

  t.test('200 increments in flight at once are 200 increments', async t => {
    const store = await makeStore(t)
    await store.update(tx => tx.create('task', aTask('t1')))
    let runs = 0
    await Promise.all(
      Array.from({ length: 200 }, () =>
        store.update(tx => {
          runs += 1
          const task = tx.resolve('task', 't1')
          tx.update('task', { ...task, slot: task.slot + 1 })
        }),
      ),
    )
    t.equal(
      store.view(tx => tx.resolve('task', 't1').slot),
      200,
    )
    t.ok(runs > 200, 'conflicts were found and run again')
  })

  t.test('writing back what was read before a later change is refused', async t => {
    const store = await makeStore(t)
    await store.update(tx => tx.create('task', aTask('t1')))
    const stale = store.view(tx => tx.resolve('task', 't1'))
    await store.update(tx => tx.update('task', { ...tx.resolve('task', 't1'), slot: 7 }))
    await t.rejects(
      store.update(tx => tx.update('task', { ...stale, nodeId: 'n' })),
      { code: 'Aborted' },
    )
    t.equal(
      store.view(tx => tx.resolve('task', 't1').slot),
      7,
    )
  })

  t.test('updating what is gone is NotFound, deleting it is silent', async t => {
    const store = await makeStore(t)
    await t.rejects(
      store.update(tx => tx.update('task', aTask('t1'))),
      { code: 'NotFound' },
    )
    await store.update(tx => tx.delete('task', 't1'))
  })

  t.test('references resolve by id, name, then unambiguous prefix', async t => {
    const store = await makeStore(t)
    await store.update(tx => {
      tx.create('service', aService('abc1', 'web'))
      tx.create('service', aService('abc2', 'db'))
      tx.create('service', aService('xyz', 'abc1'))
      tx.create('task', aTask('t1', { serviceId: 'abc1', serviceName: 'web', slot: 2 }))
    })
    store.view(tx => {
      t.equal(tx.resolve('service', 'abc1').id, 'abc1', 'id before name')
      t.equal(tx.resolve('service', 'DB').id, 'abc2')
      t.equal(tx.resolve('service', 'x').id, 'xyz')
      t.equal(tx.resolve('task', 'web.2.t1').id, 't1')
      t.throws(() => tx.resolve('service', 'abc'), {
        code: 'InvalidArgument',
        message: /abc1 \(service web\), abc2/,
      })
      t.throws(() => tx.resolve('service', 'nope'), {
        code: 'NotFound',
        message: 'service nope not found',
      })
      t.throws(() => tx.cluster(), { code: 'FailedPrecondition' })
    })
  })

  t.test('watchers see each commit once, in order, with before and after', async t => {
    const store = await makeStore(t)
    const seen: ChangeBatch[] = []
    const cancel = store.watch(batch => seen.push(batch))
    await store.update(tx => tx.create('task', aTask('t1')))
    const created = store.version
    await store.update(tx => {
      tx.delete('task', 't1')
      tx.create('task', aTask('t1', { slot: 4 }))
    })
    cancel()
    await store.update(tx => tx.delete('task', 't1'))
    t.equal(seen.length, 2)
    t.match(seen[0]?.changes, [{ kind: 'task', before: undefined, after: { id: 't1' } }])
    t.match(seen[1]?.changes, [
      { before: { id: 't1', slot: 0 }, after: undefined },
      { before: undefined, after: { id: 't1', slot: 4 } },
    ])
    t.same(store.since(created)[0], seen[1])
    t.equal(store.since(created).length, 2)
    t.same(store.since(store.version), [])
  })

  t.test('a watcher that throws harms nobody', async t => {
    const store = await makeStore(t)
    store.watch(() => {
      throw new Error('mine')
    })
    let seen = 0
    store.watch(() => (seen += 1))
    await store.update(tx => tx.create('task', aTask('t1')))
    t.equal(seen, 1)
  })

  t.test('history that is gone is OutOfRange', async t => {
    const store = await makeStore(t, { historyChanges: 3 })
    const start = store.version
    for (let n = 0; n < 5; n++) await store.update(tx => tx.create('task', aTask(`t${n}`)))
    t.throws(() => store.since(start), { code: 'OutOfRange' })
    t.equal(store.since(store.version - 1).length, 1)
  })

  t.test('a batch is cut by changes and by bytes, and every item is there', async t => {
    const store = await makeStore(t)
    const batches: ChangeBatch[] = []
    store.watch(batch => batches.push(batch))
    const numbers = Array.from({ length: 450 }, (_, n) => n)
    const small = await store.batch(numbers, (tx, n) => tx.create('task', aTask(`t${n}`)))
    t.equal(small, 3)
    t.same(
      batches.map(batch => batch.changes.length),
      [200, 200, 50],
    )
    t.equal(
      store.view(tx => tx.list('task').length),
      450,
    )
    batches.length = 0
    // Three quarters of the limit are reached with the third; and with an item of 0.7 MiB behind 1.1 MiB it is burst.
    const sizes = [0.5, 0.5, 0.5, 0.55, 0.55, 0.7]
    await store.batch([...sizes.entries()], (tx, [n, size]) =>
      tx.create('secret', aSecret(`x${n}`, `s${n}`, size * 1024 * 1024)),
    )
    t.equal(
      store.view(tx => tx.list('secret').length),
      sizes.length,
    )
    t.ok(batches.every(batch => batch.changes.length <= 3))
    t.equal(await store.batch([], () => t.fail('there is no item')), 0)
  })

  t.test('a batch is not atomic: what was committed before a failure stays', async t => {
    const store = await makeStore(t)
    const numbers = Array.from({ length: 300 }, (_, n) => n)
    const failing = store.batch(numbers, (tx, n) => {
      if (n === 250) throw new Error('no more')
      tx.create('task', aTask(`t${n}`))
    })
    await t.rejects(failing, { message: 'no more' })
    t.equal(
      store.view(tx => tx.list('task').length),
      200,
    )
    const huge = store.batch(['a', 'b'], (tx, id) =>
      tx.create('secret', aSecret(id, id, (id === 'b' ? 1.6 : 0.1) * 1024 * 1024)),
    )
    await t.rejects(huge, { code: 'ResourceExhausted' })
    t.same(ids(store.view(tx => tx.list('secret'))), ['a'], 'what fitted was written')
  })

  t.test('a transaction over 1.5 MiB is refused with its size', async t => {
    const store = await makeStore(t)
    await t.rejects(
      store.update(tx => tx.create('secret', aSecret('x', 'big', 1.6 * 1024 * 1024))),
      {
        code: 'ResourceExhausted',
        message: /over the limit of 1572864/,
      },
    )
    t.equal(
      store.view(tx => tx.list('secret').length),
      0,
    )
  })
}

function ids(objects: readonly { readonly id: string }[]): string[] {
  return objects.map(object => object.id)
}
