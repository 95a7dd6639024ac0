// Goal: tasks go where Swarm's rules and volumes send them, deterministically and fast; refusals name their reasons.
// Method: placement on views made from hand-made objects; one large group against the clock.
import t from 'tap'
import fc from 'fast-check'
import { explain } from '../../../manager/scheduler/explain.ts'
import { ClusterView } from '../../../manager/scheduler/cluster-view.ts'
import { placeGroup, placeOne } from '../../../manager/scheduler/place.ts'
import { createMemoryStore } from '../../../manager/state/store/memory-proposer.ts'
import type { Store } from '../../../manager/state/store/types.ts'
import { make, type InitOf } from '../../../proto/codec.ts'
import {
  MountType,
  NodeAvailability,
  NodeState,
  type Node,
  type Service,
  type Task,
  TaskState,
  v1,
  VolumeLocality,
} from '../../../proto/index.ts'
import { SimClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { seededRandom } from '../../../runtime/random.ts'
import { aDescription, aNode, aService, aTask, aTaskSpec } from '../world.ts'

async function storeOf(
  nodes: readonly Node[],
  tasks: readonly Task[] = [],
  volumes: readonly InitOf<typeof v1.Volume>[] = [],
): Promise<Store> {
  const store = createMemoryStore({
    clock: new SimClock(),
    random: seededRandom(1),
    log: silentLog,
  })
  await store.update(tx => {
    for (const node of nodes) tx.create('node', node)
    for (const task of tasks) tx.create('task', task)
    for (const volume of volumes) tx.create('volume', make(v1.Volume, volume))
  })
  return store
}
async function viewOf(...args: Parameters<typeof storeOf>): Promise<ClusterView> {
  return (await storeOf(...args)).view(tx => ClusterView.of(tx))
}
const waiting = (service: Service, slot = 1, init: InitOf<typeof v1.Task> = {}): Task =>
  aTask(service, { slot, nodeId: '', status: { state: TaskState.PENDING }, ...init })
const waitingMany = (service: Service, count: number): Task[] =>
  Array.from({ length: count }, (_, at) => waiting(service, at + 1))
const counts = (tasks: readonly Task[]): Record<string, number> => {
  const found: Record<string, number> = {}
  for (const task of tasks) found[task.nodeId] = (found[task.nodeId] ?? 0) + 1
  return found
}
const at = { nowMs: 1_000_000 }
const labelled = (id: string, zone: string): Node =>
  aNode(id, { spec: { annotations: { name: id, labels: { zone } } } })

t.test('spreads by tasks of the service, then by all tasks', async t => {
  const service = aService('web')
  const other = aService('db')
  const view = await viewOf(
    [aNode('n1'), aNode('n2'), aNode('n3')],
    [aTask(service, { nodeId: 'n1' }), aTask(other, { nodeId: 'n2' })],
  )
  t.same(counts(placeGroup(waitingMany(service, 5), view, at).assigned), { n3: 2, n2: 2, n1: 1 })
})

t.test('a preference divides equally between its values, and a full branch overflows', async t => {
  const service = aService('web', {
    task: aTaskSpec({ placement: { preferences: [{ spread: 'node.labels.zone' }] } }),
  })
  const nodes = [labelled('a1', 'a'), labelled('b1', 'b'), labelled('b2', 'b')]
  t.same(counts(placeGroup(waitingMany(service, 4), await viewOf(nodes), at).assigned), {
    a1: 2,
    b1: 1,
    b2: 1,
  })
  const limited = aService('web', {
    task: aTaskSpec({
      placement: { maxReplicasPerNode: 1, preferences: [{ spread: 'node.labels.zone' }] },
    }),
  })
  const placed = placeGroup(waitingMany(limited, 4), await viewOf(nodes), at)
  t.same([counts(placed.assigned), placed.unplaced.length], [{ a1: 1, b1: 1, b2: 1 }, 1])
})

t.test('reservations are kept by every sequence of placements', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 30 }),
      async quarters => {
        const view = await viewOf([aNode('n1'), aNode('n2')])
        const used: Record<string, number> = {}
        for (const quarter of quarters) {
          const nanoCpus = quarter * 0.25e9
          const service = aService(`s${quarter}`, {
            task: aTaskSpec({ resources: { reservations: { nanoCpus } } }),
          })
          for (const task of placeGroup([waiting(service)], view, at).assigned)
            used[task.nodeId] = (used[task.nodeId] ?? 0) + nanoCpus
        }
        return Object.values(used).every(sum => sum <= 4e9)
      },
    ),
    { numRuns: 60 },
  )
})

t.test('named resources are handed out once', async t => {
  const gpu = {
    description: {
      ...aDescription('n1'),
      resources: {
        nanoCpus: 4e9,
        memoryBytes: 2 ** 33,
        generic: [{ kind: 'gpu', names: ['a', 'b', 'c'] }],
      },
    },
  }
  const service = aService('ml', {
    task: aTaskSpec({ resources: { reservations: { generic: [{ kind: 'gpu', count: 2 }] } } }),
  })
  const placed = placeGroup(waitingMany(service, 2), await viewOf([aNode('n1', gpu)]), at)
  t.same(
    placed.assigned.map(x => x.assignedGeneric?.generic[0]?.names),
    [['a', 'b']],
  )
})

t.test('published ports keep tasks apart until the holder is seen stopped', async t => {
  const service = aService('web', { endpoint: { ports: [{ target: 80, published: 80 }] } })
  const view = await viewOf(
    [aNode('n1'), aNode('n2')],
    [aTask(service, { nodeId: 'n1', desiredState: TaskState.SHUTDOWN })],
  )
  const placed = placeGroup(waitingMany(service, 2), view, at)
  t.same(counts(placed.assigned), { n2: 1 })
  t.equal(placed.unplaced.length, 1)
})

t.test('a node where the version failed five times comes last', async t => {
  const service = aService('web')
  const failed = Array.from({ length: 5 }, () =>
    aTask(service, {
      nodeId: 'n1',
      desiredState: TaskState.SHUTDOWN,
      status: { state: TaskState.FAILED, appliedAtMs: at.nowMs - 1_000 },
    }),
  )
  const busy = [aTask(service, { nodeId: 'n2' }), aTask(service, { nodeId: 'n2' })]
  t.same(
    counts(
      placeGroup(
        [waiting(service)],
        await viewOf([aNode('n1'), aNode('n2')], [...failed, ...busy]),
        at,
      ).assigned,
    ),
    { n2: 1 },
  )
  const later = { nowMs: at.nowMs + 10 * 60_000 }
  t.same(
    counts(
      placeGroup(
        [waiting(service)],
        await viewOf([aNode('n1'), aNode('n2')], [...failed, ...busy]),
        later,
      ).assigned,
    ),
    { n1: 1 },
  )
})

t.test('a slot follows its volume, or waits for it; a preference may start elsewhere', async t => {
  const mount = (volumeLocality: VolumeLocality) =>
    aService('web', {
      task: aTaskSpec({
        container: {
          image: 'x',
          mounts: [
            {
              type: MountType.VOLUME,
              source: 'data-{{.Task.Slot}}',
              target: '/data',
              volumeLocality,
            },
          ],
        },
      }),
    })
  const volume = {
    id: 'v1',
    spec: { annotations: { name: 'data-1' } },
    copies: [{ nodeId: 'w3', owner: 'web.1' }],
  }
  const up = [aNode('w1'), aNode('w3')]
  const down = [aNode('w1'), aNode('w3', { status: { state: NodeState.DOWN } })]
  const required = mount(VolumeLocality.REQUIRED)
  const placed = async (service: Service, nodes: Node[], slot = 1) =>
    placeOne(
      waiting(service, slot),
      await viewOf(nodes, [aTask(service, { nodeId: 'w3', slot: 7 })], [volume]),
      at,
    ).assigned[0]?.nodeId
  t.equal(await placed(required, up), 'w3')
  t.equal(await placed(required, up, 2), 'w1', 'another slot is free to go')
  t.equal(await placed(required, down), undefined)
  t.equal(await placed(mount(VolumeLocality.PREFERRED), up), 'w3')
  t.equal(await placed(mount(VolumeLocality.PREFERRED), down), 'w1')
  const store = await storeOf(down, [], [volume])
  t.match(
    store.view(tx => explain(waiting(required), tx)).summary,
    /volume data-1 of web\.1 is on node w3, which is down/,
  )
})

t.test('explains every node and suggests what would help', async t => {
  const service = aService('web', {
    task: aTaskSpec({
      placement: { constraints: ['node.labels.zone == a'] },
      resources: { reservations: { memoryBytes: 6 * 2 ** 30 } },
    }),
  })
  const drained = aNode('w3', {
    spec: {
      annotations: { name: 'w3', labels: { zone: 'a' } },
      availability: NodeAvailability.DRAIN,
    },
  })
  const full = aTask(
    aService('big', {
      task: aTaskSpec({ resources: { reservations: { memoryBytes: 4 * 2 ** 30 } } }),
    }),
    { nodeId: 'w1' },
  )
  const store = await storeOf([labelled('w1', 'a'), aNode('w2'), drained], [full])
  const why = store.view(tx => explain(waiting(service), tx))
  t.equal(
    why.summary,
    'no suitable node (insufficient resources on 1 node: w1; scheduling constraints not satisfied on 1 node: w2; 1 node not available for new tasks: w3)',
  )
  t.same(
    why.nodes.map(n => n.failures.map(f => f.reason)),
    [
      ['insufficient memory: needs 6144 MiB, 4096 MiB free'],
      ['node.labels.zone == a does not hold'],
      ['node is drained'],
    ],
  )
  t.same(why.suggestions, [
    'skein node update --label-add zone=a w2',
    'skein node update --availability active w3',
  ])
})

t.test('ten thousand tasks on a thousand nodes', async t => {
  const nodes = Array.from({ length: 1_000 }, (_, n) => aNode(`n${n}`))
  const service = aService('web', {
    task: aTaskSpec({ resources: { reservations: { nanoCpus: 1e6, memoryBytes: 2 ** 20 } } }),
  })
  const view = await viewOf(nodes)
  const placed = placeGroup(waitingMany(service, 10_000), view, at)
  t.equal(placed.assigned.length, 10_000)
  t.same(new Set(Object.values(counts(placed.assigned))), new Set([10]))
})
