// Goal: what agents are sent adds up to what they should have, no more often than needed and nothing beyond it.
// Method: random sets through the differ, applied as an agent would; hand-made objects through the tables.
import t from 'tap'
import fc from 'fast-check'
import {
  EMPTY_SET,
  networkTable,
  type NodeSet,
  nodeSet,
} from '../../../manager/dispatcher/assignments.ts'
import { completeMessage, diffMessage } from '../../../manager/dispatcher/diff.ts'
import { createMemoryStore } from '../../../manager/state/store/memory-proposer.ts'
import { make } from '../../../proto/codec.ts'
import {
  type Assignments,
  EndpointState,
  type NetworkTable,
  NodeState,
  type Task,
  TaskState,
  v1,
} from '../../../proto/index.ts'
import { SimClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { seededRandom } from '../../../runtime/random.ts'
import { aNetwork, aNode, aService, aTask, aTaskSpec } from '../world.ts'

const newStore = () =>
  createMemoryStore({ clock: new SimClock(), random: seededRandom(1), log: silentLog })

/** What an agent keeps, built from messages alone. */
class Mirror {
  tasks = new Map<string, Task>()
  secrets = new Set<string>()
  tables = new Map<string, { head: string; entries: Map<string, unknown> }>()
  revision = 0

  apply(m: Assignments): void {
    if (m.complete) Object.assign(this, new Mirror())
    else if (m.appliesTo !== this.revision) throw new Error('gap')
    this.revision = m.revision
    for (const task of m.tasks) this.tasks.set(task.id, task)
    for (const id of m.removedTasks) this.tasks.delete(id)
    for (const secret of m.secrets) this.secrets.add(secret.id)
    for (const id of m.removedSecrets) this.secrets.delete(id)
    for (const table of m.networks)
      this.tables.set(table.networkId, {
        head: head(table),
        entries: new Map(table.endpoints.map(e => [e.taskId, e])),
      })
    for (const id of m.removedNetworks) this.tables.delete(id)
    for (const { networkId, removed, entry } of m.endpoints) {
      if (!entry) continue
      if (removed) this.tables.get(networkId)?.entries.delete(entry.taskId)
      else this.tables.get(networkId)?.entries.set(entry.taskId, entry)
    }
  }
}
const head = (table: NetworkTable): string => JSON.stringify({ ...table, endpoints: [] })

const service = aService('web')
const anySet = fc
  .record({
    tasks: fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd'),
      fc.constantFrom(TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN),
    ),
    secrets: fc.uniqueArray(fc.constantFrom('s1', 's2', 's3')),
    tables: fc.dictionary(
      fc.constantFrom('net1', 'net2'),
      fc.record({
        vni: fc.constantFrom(4097, 4098),
        entries: fc.dictionary(
          fc.constantFrom('x', 'y', 'z'),
          fc.constantFrom('10.0.0.1', '10.0.0.2'),
        ),
      }),
    ),
  })
  .map(
    (x): NodeSet => ({
      ...EMPTY_SET,
      tasks: new Map(
        Object.entries(x.tasks).map(([id, desiredState]) => [
          id,
          aTask(service, { id, desiredState }),
        ]),
      ),
      secrets: new Map(x.secrets.map(id => [id, make(v1.Secret, { id, meta: { version: 1 } })])),
      networks: new Map(
        Object.entries(x.tables).map(([networkId, { vni, entries }]) => [
          networkId,
          make(v1.NetworkTable, {
            networkId,
            vni,
            endpoints: Object.entries(entries).map(([taskId, address]) => ({ taskId, address })),
          }),
        ]),
      ),
    }),
  )

t.test('messages applied in order give the wanted set; equal sets give no message', t => {
  fc.assert(
    fc.property(fc.array(anySet, { minLength: 1, maxLength: 6 }), sets => {
      const mirror = new Mirror()
      let sent: NodeSet | undefined
      let revision = 0
      for (const set of sets) {
        const message = sent
          ? diffMessage(sent, set, revision, revision + 1)
          : completeMessage(set, revision + 1)
        if (message) mirror.apply(message)
        if (message) revision += 1
        sent = set
        if (diffMessage(set, set, revision, revision + 1)) return false
        const tables = [...set.networks].every(([id, table]) => {
          const have = mirror.tables.get(id)
          return (
            have?.head === head(table) &&
            JSON.stringify([...have.entries.keys()].toSorted()) ===
              JSON.stringify(table.endpoints.map(e => e.taskId).toSorted()) &&
            table.endpoints.every(
              e => JSON.stringify(have.entries.get(e.taskId)) === JSON.stringify(e),
            )
          )
        })
        const tasks = [...set.tasks].every(
          ([id, task]) => mirror.tasks.get(id)?.desiredState === task.desiredState,
        )
        if (
          !tables ||
          !tasks ||
          mirror.tasks.size !== set.tasks.size ||
          mirror.tables.size !== set.networks.size ||
          mirror.secrets.size !== set.secrets.size
        )
          return false
      }
      return true
    }),
  )
  t.end()
})

t.test('a status alone is not sent back to the agent', async t => {
  const task = aTask(service)
  const set = (task: Task): NodeSet => ({ ...EMPTY_SET, tasks: new Map([[task.id, task]]) })
  const later = { ...task, status: aTask(service, { status: { state: TaskState.FAILED } }).status }
  t.equal(diffMessage(set(task), set(later), 1, 2), undefined)
  t.match(
    diffMessage(set(task), set({ ...later, desiredState: TaskState.SHUTDOWN }), 1, 2)?.tasks,
    [{ id: task.id }],
  )
})

t.test('a node has what its living tasks name, and its ended tasks without it', async t => {
  const store = newStore()
  const spec = aTaskSpec({
    container: { image: 'x', secrets: [{ secretId: 's1', secretName: 'key' }] },
    networks: [{ target: 'network-back' }],
  })
  const networks = [{ networkId: 'network-back', address: '10.0.0.1', mac: '02:42:0a:00:00:01' }]
  const mine = aTask(service, { spec, networks })
  await store.update(tx => {
    tx.create('node', aNode('n1'))
    for (const id of ['s1', 's2'])
      tx.create('secret', make(v1.Secret, { id, spec: { annotations: { name: id } } }))
    tx.create('task', mine)
    tx.create('task', aTask(service, { nodeId: 'n2', spec, networks }))
    tx.create('task', aTask(service, { status: { state: TaskState.PENDING } }))
  })
  const table = make(v1.NetworkTable, {
    networkId: 'network-back',
    endpoints: [{ taskId: mine.id, nodeId: 'n1' }],
  })
  const set = () => store.view(tx => nodeSet(tx, 'n1', () => table))
  t.same([...set().tasks.keys()], [mine.id])
  t.same([...set().secrets.keys()], ['s1'])
  t.same([...set().networks.keys()], ['network-back'])
  t.match([...set().peers.values()], [{ nodeId: 'n1', address: '192.168.0.2' }])
  await store.update(tx => {
    const task = tx.get('task', mine.id)
    if (task?.status)
      tx.update('task', { ...task, status: { ...task.status, state: TaskState.FAILED } })
  })
  t.same(
    [set().tasks.size, set().secrets.size, set().networks.size, set().peers.size],
    [1, 0, 0, 0],
  )
})

t.test('a table shows who is to be reached, by which names, in which state', async t => {
  const store = newStore()
  const networks = [
    { networkId: 'network-back', address: '10.0.0.1', mac: '02:42:0a:00:00:01', aliases: ['www'] },
  ]
  const named = aTaskSpec({ container: { image: 'x', hostname: 'host-{{.Task.Slot}}' } })
  await store.update(tx => {
    tx.create('node', aNode('n1'))
    tx.create('node', aNode('n3', { status: { state: NodeState.DOWN } }))
    tx.create('service', { ...service })
  })
  const table = (...tasks: Task[]) =>
    store.view(tx =>
      networkTable(tx, aNetwork('back', { vni: 4097, subnet: '10.0.0.0/24' }), tasks),
    )
  const old = aTask(service, { networks, spec: named, desiredState: TaskState.SHUTDOWN })
  const next = (state: TaskState) =>
    aTask(service, { networks, spec: named, desiredState: TaskState.RUNNING, status: { state } })
  t.match(table(old).endpoints, [
    {
      names: ['web.1', `web.1.${old.id}`, 'host-1'],
      aliases: ['www'],
      state: EndpointState.ENDPOINT_DRAINING,
      mac: '02:42:0a:00:00:01',
    },
  ])
  t.match(table(old).services, [{ name: 'web', virtualIp: '' }])
  t.equal(table(old, next(TaskState.PREPARING)).endpoints[0]?.taskId, old.id)
  t.match(table(old, next(TaskState.STARTING)).endpoints, [
    { state: EndpointState.ENDPOINT_STARTING },
  ])
  t.match(table(next(TaskState.RUNNING), old).endpoints, [{ state: EndpointState.ENDPOINT_READY }])
  t.same(
    table(aTask(service, { networks, nodeId: 'n3' })).endpoints,
    [],
    'nobody is reached on a node that is down',
  )
  const once = table(old)
  const again = store.view(tx => networkTable(tx, aNetwork('back'), [old], once))
  t.equal(again.endpoints[0], once.endpoints[0], 'what did not change is the same object')
})
