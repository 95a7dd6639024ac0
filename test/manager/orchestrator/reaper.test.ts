// Goal: history stays within its limit, what must be counted stays, what is removed goes.
// Method: hand-made tasks through the pure functions of the reaper and the node enforcer.
import t from 'tap'
import { NodeAvailability, NodeState, TaskState, UpdateState } from '../../../proto/index.ts'
import { orphans, ORPHAN_AFTER_MS, violators } from '../../../manager/orchestrator/enforcer.ts'
import { reap } from '../../../manager/orchestrator/reaper.ts'
import { aNode, aService, aTask, aTaskSpec } from '../world.ts'

const nodes = new Map([['n1', aNode('n1')]])
const ended = { desiredState: TaskState.SHUTDOWN, status: { state: TaskState.FAILED } }

t.test('the oldest ended tasks of a slot go, never the living', async t => {
  const service = aService('web')
  const tasks = [...Array.from({ length: 7 }, () => aTask(service, ended)), aTask(service)]
  const ids = (historyLimit: number) =>
    reap({ service, tasks, nodes, historyLimit }).delete.map(x => x.id)
  t.same(
    ids(5),
    tasks.slice(0, 2).map(x => x.id),
  )
  t.same(ids(0).length, 7)
  t.same(ids(-1), [])
})

t.test('attempts, a finished slot and an update keep what they are counted from', async t => {
  const attempts = aService('web', { task: aTaskSpec({ restart: { maxAttempts: 8 } }) })
  const many = Array.from({ length: 12 }, () => aTask(attempts, ended))
  t.equal(reap({ service: attempts, tasks: many, nodes, historyLimit: 5 }).delete.length, 3)
  const done = aService('job')
  t.equal(
    reap({ service: done, tasks: [aTask(done, ended), aTask(done, ended)], nodes, historyLimit: 0 })
      .delete.length,
    1,
  )
  const busy = aService('web', {}, { updateStatus: { state: UpdateState.UPDATING } })
  const tasks = [
    aTask(busy, { ...ended, specVersion: 0 }),
    aTask(busy, ended),
    aTask(busy, ended),
    aTask(busy),
  ]
  t.same(
    reap({ service: busy, tasks, nodes, historyLimit: 0 }).delete.map(x => x.id),
    [tasks[0]?.id, tasks[2]?.id],
  )
})

t.test('a removed service: living tasks are told, the others forgotten', async t => {
  const service = aService('web')
  const tasks = [
    aTask(service),
    aTask(service, { status: { state: TaskState.PENDING }, nodeId: '' }),
    aTask(service, ended),
    aTask(service, { nodeId: 'gone' }),
  ]
  const { remove, delete: gone } = reap({ service: undefined, tasks, nodes, historyLimit: 5 })
  t.same(
    remove.map(x => x.id),
    [tasks[0]?.id],
  )
  t.same(
    gone.map(x => x.id),
    tasks.slice(1).map(x => x.id),
  )
})

t.test(
  'the enforcer rejects what the node no longer may or can run, the youngest for want of room',
  async t => {
    const big = aService('big', {
      task: aTaskSpec({ resources: { reservations: { memoryBytes: 5 * 2 ** 30 } } }),
    })
    const picky = aService('picky', {
      task: aTaskSpec({ placement: { constraints: ['node.labels.disk == ssd'] } }),
    })
    const services = new Map([big, picky].map(s => [s.id, s]))
    const tasks = [aTask(big), aTask(big), aTask(picky), aTask(picky, ended)]
    const node = aNode('n1')
    t.same(
      violators(node, tasks, id => services.get(id)).map(x => x.id),
      [tasks[1]?.id, tasks[2]?.id],
    )
    const drained = aNode('n1', { spec: { annotations: {}, availability: NodeAvailability.DRAIN } })
    t.same(
      violators(drained, tasks, id => services.get(id)),
      [],
    )
  },
)

t.test('tasks of a removed node, or one down for a day, are orphans', async t => {
  const service = aService('web')
  const tasks = [
    aTask(service),
    aTask(service, ended),
    aTask(service, { status: { state: TaskState.PENDING } }),
  ]
  t.same(
    orphans(undefined, tasks, 0).map(x => x.id),
    [tasks[0]?.id],
  )
  const down = aNode('n1', { status: { state: NodeState.DOWN, sinceMs: 1_000 } })
  t.same(orphans(down, tasks, 2_000), [])
  t.equal(orphans(down, tasks, 1_000 + ORPHAN_AFTER_MS).length, 1)
})
