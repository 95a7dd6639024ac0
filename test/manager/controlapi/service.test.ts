// Goal: services are taken, changed, rolled back and removed as Swarm does, and refused with what to do about it.
// Method: the Control handlers on a store in memory.
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import { PublishMode, UpdateState, v1, type NetworkSpecInit } from '../../../proto/index.ts'
import { aSpec, aTask, bench, caller } from './fixture.ts'

const network = (name: string, init: NetworkSpecInit = {}) => ({
  spec: make(v1.NetworkSpec, { annotations: { name }, ...init }),
})
const update = { specVersion: 0, rollback: false, spec: null }

t.test('a service gets its defaults and an id, and is found by name, id and prefix', async t => {
  const { control } = await bench()
  const { service } = await control.createService({ spec: aSpec('web') }, caller)
  const id = String(service?.id)
  t.match(id, /^[0-9a-z]{25}$/)
  t.match(service, {
    spec: { update: { parallelism: 1 }, task: { restart: { delayMs: 5000 } } },
    meta: { specVersion: Number },
  })
  for (const reference of ['web', 'WEB', id, id.slice(0, 6)]) {
    t.match(await control.getService({ id: reference }, caller), { service: { id } })
  }
  t.match((await control.listServices({}, caller)).services, { length: 1 })
  await t.rejects(control.createService({ spec: aSpec('Web') }, caller), { code: 'AlreadyExists' })
  await t.rejects(control.getService({ id: 'nope' }, caller), {
    code: 'NotFound',
    message: 'service nope not found',
  })
  await t.rejects(control.createService({ spec: null }, caller), { code: 'InvalidArgument' })
  await t.rejects(control.createService({ spec: aSpec('bad name') }, caller), {
    code: 'InvalidArgument',
  })
})

t.test('names become ids; what is referred to must exist', async t => {
  const { control } = await bench()
  await control.createNetwork(network('back'), caller)
  const { network: back } = await control.getNetwork({ id: 'back' }, caller)
  await control.createSecret(
    { spec: make(v1.SecretSpec, { annotations: { name: 'key' }, data: Buffer.from('s3cret') }) },
    caller,
  )
  const { secret } = await control.getSecret({ id: 'key' }, caller)
  const spec = aSpec('api', {
    task: {
      container: { image: 'api:1', secrets: [{ secretName: 'key' }] },
      networks: [{ target: 'back' }],
    },
  })
  const { service } = await control.createService({ spec }, caller)
  t.match(service?.spec?.task, {
    networks: [{ target: back?.id }],
    container: { secrets: [{ secretId: secret?.id, secretName: 'key', file: { name: 'key' } }] },
  })
  const lacking = aSpec('x', {
    task: { container: { image: 'x:1' }, networks: [{ target: 'no' }] },
  })
  await t.rejects(control.createService({ spec: lacking }, caller), {
    code: 'NotFound',
    message: 'service x: network no not found',
  })
  const unkept = aSpec('x', {
    task: { container: { image: 'x:1', configs: [{ configName: 'c' }] } },
  })
  await t.rejects(control.createService({ spec: unkept }, caller), {
    code: 'NotFound',
    message: 'service x: config c not found',
  })
  await control.createNetwork(network('in', { ingress: true }), caller)
  const ingress = aSpec('x', {
    task: { container: { image: 'x:1' }, networks: [{ target: 'in' }] },
  })
  await t.rejects(control.createService({ spec: ingress }, caller), {
    code: 'InvalidArgument',
    message: /ingress network in explicitly/,
  })
})

t.test('an update made from an old reading is refused with both versions', async t => {
  const { control, store } = await bench()
  const first = await control.createService({ spec: aSpec('web') }, caller)
  const specVersion = first.service?.meta?.specVersion as number
  await store.update(tx => {
    const service = tx.resolve('service', 'web')
    tx.update('service', { ...service, blockedBy: 'an internal write' })
  })
  const spec = aSpec('web', { replicated: { replicas: 3 } })
  const second = await control.updateService({ ...update, id: 'web', specVersion, spec }, caller)
  const now = second.service?.meta?.specVersion as number
  t.ok(now > specVersion)
  await t.rejects(control.updateService({ ...update, id: 'web', specVersion, spec }, caller), {
    code: 'Aborted',
    message: `update out of sequence: service web was changed since you read it (you have ${specVersion}, now ${now}); read it again`,
  })
})

t.test('the previous spec is kept; a rollback swaps the two, and back', async t => {
  const { control } = await bench()
  const created = await control.createService({ spec: aSpec('web') }, caller)
  await t.rejects(control.updateService({ ...update, id: 'web', rollback: true }, caller), {
    code: 'FailedPrecondition',
    message: /does not have a previous spec/,
  })
  const v2 = aSpec('web', { task: { container: { image: 'nginx:2' } } })
  const { service } = await control.updateService({ ...update, id: 'web', spec: v2 }, caller)
  t.match(service, {
    spec: { task: { container: { image: 'nginx:2' } } },
    previousSpec: { task: { container: { image: 'nginx:1' } } },
    previousSpecVersion: created.service?.meta?.specVersion,
    updateStatus: null,
  })
  const back = await control.updateService({ ...update, id: 'web', rollback: true }, caller)
  t.match(back.service, {
    spec: { task: { container: { image: 'nginx:1' } } },
    previousSpec: { task: { container: { image: 'nginx:2' } } },
    updateStatus: { state: UpdateState.ROLLBACK_STARTED, message: 'manually requested rollback' },
  })
  const forth = await control.updateService({ ...update, id: 'web', rollback: true }, caller)
  t.match(forth.service?.spec, { task: { container: { image: 'nginx:2' } } })
})

t.test('an update that changes nothing writes nothing', async t => {
  const { control, store } = await bench()
  const { service } = await control.createService({ spec: aSpec('web') }, caller)
  const before = store.version
  const spec = service?.spec as ReturnType<typeof aSpec>
  await control.updateService({ ...update, id: 'web', spec }, caller)
  t.equal(store.version, before)
})

t.test('name, mode and jobs are refused as Unimplemented', async t => {
  const { control } = await bench()
  await control.createService({ spec: aSpec('web') }, caller)
  const refused = (spec: ReturnType<typeof aSpec>, message: RegExp) =>
    t.rejects(control.updateService({ ...update, id: 'web', spec }, caller), {
      code: 'Unimplemented',
      message,
    })
  await refused(aSpec('web2'), /renaming services is not supported/)
  const global = make(v1.ServiceSpec, {
    annotations: { name: 'web' },
    task: { container: { image: 'nginx:1' } },
    global: {},
  })
  await refused(global, /mode change is not allowed \(from replicated to global\)/)
  const job = make(v1.ServiceSpec, {
    annotations: { name: 'job' },
    task: { container: { image: 'nginx:1' } },
    replicatedJob: { maxConcurrent: 1, totalCompletions: 1 },
  })
  await t.rejects(control.createService({ spec: job }, caller), {
    code: 'Unimplemented',
    message: /service job: mode replicated-job/,
  })
})

t.test('ports in use are refused, naming their holder', async t => {
  const { control } = await bench()
  const ports = [{ target: 80, published: 8080, mode: PublishMode.INGRESS }]
  await control.createService({ spec: aSpec('web', { endpoint: { ports } }) }, caller)
  await t.rejects(control.createService({ spec: aSpec('api', { endpoint: { ports } }) }, caller), {
    code: 'InvalidArgument',
    message: /service api: port '8080' is already in use by service 'web'/,
  })
  const same = aSpec('web', { endpoint: { ports }, replicated: { replicas: 5 } })
  await control.updateService({ ...update, id: 'web', spec: same }, caller)
})

t.test(
  'registry credentials are never shown, and not lost by reading and writing back',
  async t => {
    const { control, store } = await bench()
    const pull = { registryAuth: 'dG9wc2VjcmV0', policy: '' }
    const spec = aSpec('web', { task: { container: { image: 'nginx:1', pull } } })
    const { service } = await control.createService({ spec }, caller)
    t.notMatch(JSON.stringify(service), pull.registryAuth)
    const read = (await control.getService({ id: 'web' }, caller)).service?.spec as typeof spec
    const scaled = { ...read, mode: 'replicated', replicated: { replicas: 4 } } as typeof spec
    const after = await control.updateService({ ...update, id: 'web', spec: scaled }, caller)
    t.notMatch(JSON.stringify(after), pull.registryAuth)
    const kept = store.view(tx => tx.resolve('service', 'web').spec?.task?.container?.pull)
    t.match(kept, pull)
  },
)

t.test('warnings say what may not be what was meant', async t => {
  const { control } = await bench()
  const spec = aSpec('web', {
    task: {
      container: { image: 'localhost:5000/nginx' },
      placement: { constraints: ['node.labels.zone==nowhere'] },
    },
  })
  const { warnings } = await control.createService({ spec }, caller)
  t.match(warnings, [/has no tag/, /no node fits the constraints/])
})

t.test('removing a service frees its name; tasks are found by slot', async t => {
  const { control, store } = await bench()
  const { service } = await control.createService({ spec: aSpec('web') }, caller)
  const serviceId = String(service?.id)
  await store.update(tx => {
    tx.create('task', aTask('old1', { serviceId, slot: 1, serviceName: 'web', desiredState: 640 }))
    tx.create('task', aTask('new1', { serviceId, slot: 1, serviceName: 'web', nodeId: 'm1' }))
  })
  t.match(await control.getTask({ id: 'web.1' }, caller), { task: { id: 'new1' } })
  t.match(await control.getTask({ id: 'web.1.old1' }, caller), { task: { id: 'old1' } })
  await t.rejects(control.getTask({ id: 'web.7' }, caller), { code: 'NotFound' })
  const list = (serviceId: string, nodeId: string) =>
    control
      .listTasks({ serviceId, nodeId }, caller)
      .then(({ tasks }) => tasks?.map(task => task.id))
  t.same(await list('web', ''), ['old1', 'new1'])
  t.same(await list('web', 'self'), ['new1'])
  t.same(await list('', 'host-m1'), ['new1'])
  t.match(await control.explainTask({ id: 'new1' }, caller), {
    explanation: { summary: 'running' },
  })
  await control.removeService({ id: 'web' }, caller)
  await control.createService({ spec: aSpec('web') }, caller)
})
