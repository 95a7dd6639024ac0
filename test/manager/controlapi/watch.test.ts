// Goal: a watch gives every committed change, filtered and without secrets, and never lets a slow client hold the store.
// Method: an outlet that records; the store in memory written to directly.
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import { ActionKind, v1, type WatchMessage } from '../../../proto/index.ts'
import type { StatusError } from '../../../runtime/errors.ts'
import { aSpec, aTask, bench, caller } from './fixture.ts'

function outlet() {
  const state = {
    messages: [] as WatchMessage[],
    ended: undefined as StatusError | undefined,
    backlog: 0,
    cancel: () => {},
    send: (message: object) => void state.messages.push(message as WatchMessage),
    end: (error?: StatusError) => {
      state.ended = error
      state.cancel()
    },
    onEnd: (listener: (error: undefined) => void) => {
      state.cancel = () => listener(undefined)
    },
  }
  return state
}
const request = { kinds: [], fromVersion: 0, serviceId: '' }

t.test('changes arrive a transaction at a time, after a first empty message', async t => {
  const { control, store } = await bench()
  const out = outlet()
  control.watch(request, out, caller)
  t.match(out.messages, [{ version: store.version, events: [] }])
  await store.update(tx => {
    tx.create('task', aTask('t1'))
    tx.create('task', aTask('t2'))
  })
  await store.update(tx => {
    const task = tx.resolve('task', 't1')
    tx.update('task', { ...task, nodeId: 'm1' })
  })
  await store.update(tx => tx.delete('task', 't2'))
  t.match(out.messages.slice(1), [
    {
      events: [
        { kind: ActionKind.CREATE, object: 'task', task: { id: 't1' } },
        { task: { id: 't2' } },
      ],
    },
    { events: [{ kind: ActionKind.UPDATE, task: { id: 't1', nodeId: 'm1' } }] },
    { events: [{ kind: ActionKind.DELETE, task: { id: 't2' } }] },
  ])
  out.cancel()
  await store.update(tx => tx.delete('task', 't1'))
  t.equal(out.messages.length, 4)
})

t.test('by kind and by service', async t => {
  const { control, store } = await bench()
  const { service } = await control.createService({ spec: aSpec('web') }, caller)
  const [ofWeb, ofNodes] = [outlet(), outlet()]
  control.watch({ ...request, serviceId: 'web' }, ofWeb, caller)
  control.watch({ ...request, kinds: ['node'] }, ofNodes, caller)
  await store.update(tx => {
    tx.create('task', aTask('t1', { serviceId: String(service?.id) }))
    tx.create('task', aTask('t2', { serviceId: 'other' }))
  })
  t.equal(ofNodes.messages.length, 1)
  t.match(ofWeb.messages[1]?.events, { length: 1 })
  t.throws(() => control.watch({ ...request, kinds: ['goose'] }, outlet(), caller), {
    code: 'InvalidArgument',
    message: /no kind "goose"/,
  })
  t.throws(() => control.watch({ ...request, serviceId: 'no' }, outlet(), caller), {
    code: 'NotFound',
  })
})

t.test('a watch goes on from a version, or says that it cannot', async t => {
  const { control, store } = await bench()
  const from = store.version
  await store.update(tx => tx.create('task', aTask('t1')))
  await store.update(tx => tx.create('task', aTask('t2')))
  const out = outlet()
  control.watch({ ...request, fromVersion: from }, out, caller)
  t.match(out.messages, [
    { version: from, events: [] },
    { events: [{ task: { id: 't1' } }] },
    { version: store.version, events: [{ task: { id: 't2' } }] },
  ])
})

t.test('secret data, keys and credentials are stripped', async t => {
  const { control, store } = await bench()
  const out = outlet()
  control.watch(request, out, caller)
  const pull = { registryAuth: 'Y3JlZGVudGlhbA', policy: '' }
  await control.createService(
    { spec: aSpec('web', { task: { container: { image: 'a:1', pull } } }) },
    caller,
  )
  const data = Buffer.from('hunter2')
  await control.createSecret(
    { spec: make(v1.SecretSpec, { annotations: { name: 'k' }, data }) },
    caller,
  )
  await store.update(tx => tx.update('cluster', { ...tx.cluster(), tokenGeneration: 9 }))
  const text = JSON.stringify(out.messages)
  t.equal(out.messages.length, 4)
  for (const secret of ['Y3JlZGVudGlhbA', 'PRIVATE KEY', JSON.stringify([...data])]) {
    t.notMatch(text, secret)
  }
  t.match(out.messages[3]?.events[0], { cluster: { rootCa: { keyPem: '', workerSecret: '' } } })
})

t.test('a client that does not keep up is ended and told to start again', async t => {
  const { control, store } = await bench()
  const out = outlet()
  control.watch(request, out, caller)
  out.backlog = 1_000
  await store.update(tx => tx.create('task', aTask('t1')))
  t.match(out.ended, { code: 'ResourceExhausted', message: /start again/ })
  await store.update(tx => tx.create('task', aTask('t2')))
  t.equal(out.messages.length, 1)
})
