// Goal: the words of the model mean what Swarm's rows say (TS-01, PL-07, PL-21, SV-03, EX-01).
// Method: every pair of states against the rule written out; tables of names.
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import { type Task, TaskState, v1 } from '../../../proto/index.ts'
import { checkObjectName, checkPayloadName } from '../../../services/model/names.ts'
import { modeName, wantedReplicas } from '../../../services/model/service.ts'
import {
  containerName,
  holdsResources,
  isActive,
  isRunnable,
  isTerminal,
  stateFromName,
  stateName,
  taskName,
} from '../../../services/model/task.ts'

const STATES = Object.values(TaskState).filter(state => typeof state === 'number')
const aTask = (init: Parameters<typeof make<typeof v1.Task>>[1]): Task =>
  make(v1.Task, { id: 't1', serviceName: 'web', ...init })

t.test('state names round trip', async t => {
  for (const state of STATES) t.equal(stateFromName(stateName(state)), state)
  t.equal(stateName(TaskState.RUNNING), 'running')
  t.equal(stateFromName('Running'), TaskState.RUNNING)
  t.equal(stateFromName('nonsense'), undefined)
})

t.test('predicates over every pair of desired and observed state', async t => {
  for (const desiredState of STATES)
    for (const state of STATES) {
      const task = aTask({ desiredState, nodeId: 'n', status: { state } })
      t.equal(isRunnable(task), desiredState <= 512 && state <= 512)
      t.equal(isActive(task), desiredState <= 576)
      t.equal(holdsResources(task), state >= 192 && state <= 512)
      t.equal(isTerminal(state), state >= 576)
    }
  t.notOk(holdsResources(aTask({ status: { state: TaskState.ASSIGNED } })), 'on no node')
  t.ok(isRunnable(aTask({})), 'nothing observed yet')
})

t.test('names of tasks and containers', async t => {
  t.equal(taskName(aTask({ slot: 2, nodeId: 'n1' })), 'web.2')
  t.equal(taskName(aTask({ nodeId: 'n1' })), 'web.n1')
  t.equal(containerName(aTask({ slot: 2 })), 'web.2.t1')
  t.equal(taskName(aTask({ containerWorkloadId: 'c' })), 'web')
})

t.test('modes', async t => {
  t.same(
    [
      make(v1.ServiceSpec, {}),
      make(v1.ServiceSpec, { replicated: { replicas: 0 } }),
      make(v1.ServiceSpec, { global: {} }),
      make(v1.ServiceSpec, { replicatedJob: { totalCompletions: 7 } }),
      make(v1.ServiceSpec, { globalJob: {} }),
    ].map(spec => [modeName(spec), wantedReplicas(spec)]),
    [
      ['replicated', 1],
      ['replicated', 0],
      ['global', undefined],
      ['replicated-job', 7],
      ['global-job', undefined],
    ],
  )
})

t.test('name rules', async t => {
  for (const name of ['a', 'web-1', 'a__b', 'A9', 'x'.repeat(63)])
    t.doesNotThrow(() => checkObjectName(name, 'service'), name)
  for (const name of ['', '-a', 'a-', 'a.b', 'a b', 'é', 'x'.repeat(64)])
    t.throws(() => checkObjectName(name, 'service'), { code: 'InvalidArgument' }, name)
  for (const name of ['a.b', 'cert_1.pem', 'x'.repeat(64)])
    t.doesNotThrow(() => checkPayloadName(name, 'secret'), name)
  for (const name of ['', '.a', 'a.', 'a/b', 'x'.repeat(65)])
    t.throws(() => checkPayloadName(name, 'secret'), { code: 'InvalidArgument' }, name)
})
