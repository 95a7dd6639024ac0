// Goal: a task takes the right next step in every situation, never backwards, and always comes to an end.
// Method: a table of situations; then random lives (observations, wishes, failures) driven by step() itself.
import * as fc from 'fast-check'
import t from 'tap'
import { ABSENT, type Observation } from '../../../agent/executor/types.ts'
import {
  type Facts,
  MAX_ATTEMPTS,
  type Step,
  step,
  worthRetrying,
} from '../../../agent/task/step.ts'
import { TaskState } from '../../../proto/index.ts'
import { StatusError } from '../../../runtime/errors.ts'

const created: Observation = { ...ABSENT, phase: 'created' }
const running: Observation = { ...ABSENT, phase: 'running' }
const exited = (exitCode: number, error = ''): Observation => ({
  ...ABSENT,
  phase: 'exited',
  exitCode,
  error,
})

function facts(init: Partial<Facts> = {}): Facts {
  return {
    state: TaskState.ASSIGNED,
    desired: TaskState.RUNNING,
    seen: ABSENT,
    prepared: false,
    started: false,
    condemned: undefined,
    missing: [],
    released: false,
    removed: false,
    failure: undefined,
    ...init,
  }
}

const said = (next: Step): string =>
  next.do === 'report' ? `${TaskState[next.status.state]} ${next.status.error}`.trim() : next.do

const ready = { state: TaskState.READY, seen: created, prepared: true }
const failure = new StatusError('NotFound', 'image nope:1 not found')

const table: readonly (readonly [string, Partial<Facts>, string])[] = [
  ['a new task is accepted', {}, 'ACCEPTED'],
  ['an accepted task prepares', { state: TaskState.ACCEPTED }, 'PREPARING'],
  ['a preparing task prepares its container', { state: TaskState.PREPARING }, 'prepare'],
  ['it waits for a secret', { state: TaskState.PREPARING, missing: ['secret a'] }, 'wait'],
  ['a prepared task is ready', { ...ready, state: TaskState.PREPARING }, 'READY'],
  ['a ready task waits while it is wanted ready', { ...ready, desired: TaskState.READY }, 'wait'],
  ['a ready task starts when it is wanted', ready, 'STARTING'],
  ['a job starts too', { ...ready, desired: TaskState.COMPLETE }, 'STARTING'],
  ['a starting task starts its container', { ...ready, state: TaskState.STARTING }, 'start'],
  [
    'a found container is made ready again after a restart',
    { ...ready, prepared: false },
    'prepare',
  ],
  ['without a health check it runs', { state: TaskState.STARTING, seen: running }, 'RUNNING'],
  [
    'with one it waits',
    { state: TaskState.STARTING, seen: { ...running, health: 'starting' } },
    'wait',
  ],
  [
    'healthy is running',
    { state: TaskState.STARTING, seen: { ...running, health: 'healthy' } },
    'RUNNING',
  ],
  [
    'unhealthy while starting is stopped',
    { state: TaskState.STARTING, seen: { ...running, health: 'unhealthy', error: 'refused' } },
    'condemn',
  ],
  [
    'unhealthy later too',
    { state: TaskState.RUNNING, seen: { ...running, health: 'unhealthy' } },
    'condemn',
  ],
  [
    'the condemned are stopped',
    { state: TaskState.RUNNING, seen: running, condemned: 'refused' },
    'stop',
  ],
  [
    'and fail, however they exit',
    { state: TaskState.RUNNING, seen: exited(0), condemned: 'refused' },
    'FAILED unhealthy container: refused',
  ],
  ['exit 0 completes', { state: TaskState.RUNNING, seen: exited(0) }, 'COMPLETE'],
  [
    'exit 0 before healthy completes too',
    { state: TaskState.STARTING, seen: exited(0) },
    'COMPLETE',
  ],
  [
    'exit 3 fails',
    { state: TaskState.RUNNING, seen: exited(3, 'exited with code 3') },
    'FAILED exited with code 3',
  ],
  ['a running container is adopted', { state: TaskState.ACCEPTED, seen: running }, 'STARTING'],
  ['and never restarted', { state: TaskState.RUNNING, seen: running }, 'wait'],
  [
    'a final error before the start rejects',
    { state: TaskState.PREPARING, failure },
    'REJECTED image nope:1 not found',
  ],
  [
    'a final error of the start fails',
    { ...ready, state: TaskState.STARTING, failure },
    'FAILED image nope:1 not found',
  ],
  [
    'shutdown stops',
    { state: TaskState.RUNNING, desired: TaskState.SHUTDOWN, seen: running },
    'stop',
  ],
  [
    'a stopped one is shut down',
    { state: TaskState.RUNNING, desired: TaskState.SHUTDOWN, seen: exited(143, 'x') },
    'SHUTDOWN',
  ],
  [
    'shutdown before a container',
    { state: TaskState.PREPARING, desired: TaskState.SHUTDOWN },
    'SHUTDOWN',
  ],
  [
    'a final task gives back its secrets',
    { state: TaskState.COMPLETE, seen: exited(0) },
    'release',
  ],
  ['and rests', { state: TaskState.COMPLETE, seen: exited(0), released: true }, 'wait'],
  ['a final task’s container must not run', { state: TaskState.FAILED, seen: running }, 'stop'],
  [
    'remove stops first',
    { state: TaskState.RUNNING, desired: TaskState.REMOVE, seen: running },
    'stop',
  ],
  [
    'then removes',
    { state: TaskState.RUNNING, desired: TaskState.REMOVE, seen: exited(0) },
    'remove',
  ],
  [
    'then says so',
    { state: TaskState.RUNNING, desired: TaskState.REMOVE, removed: true },
    'SHUTDOWN',
  ],
  ['then ends', { state: TaskState.SHUTDOWN, desired: TaskState.REMOVE, removed: true }, 'finish'],
]

t.test('each situation has one next step', async t => {
  for (const [name, init, expected] of table) t.equal(said(step(facts(init))), expected, name)
})

t.test('a container that vanished fails its task with the reason', async t => {
  t.match(said(step(facts({ state: TaskState.RUNNING }))), /^FAILED its container is gone/)
})

t.test('errors that may pass are tried again, a limited number of times', async t => {
  const away = new StatusError('Unavailable', 'no answer')
  t.ok(worthRetrying('prepare', away, 1))
  t.notOk(worthRetrying('prepare', away, MAX_ATTEMPTS))
  t.notOk(worthRetrying('start', failure, 1))
  t.ok(worthRetrying('stop', failure, 1_000), 'a container is never left running')
})

const observation = fc.record({
  phase: fc.constantFrom('absent', 'created', 'running', 'exited'),
  health: fc.constantFrom('', 'starting', 'healthy', 'unhealthy'),
  exitCode: fc.constantFrom(0, 1, 137),
  error: fc.constantFrom('', 'exited with code 1'),
  container: fc.constant(null),
  ports: fc.constant([]),
}) as fc.Arbitrary<Observation>

t.test('whatever is seen, the state never falls', async () => {
  const states = Object.values(TaskState).filter(state => typeof state === 'number') as TaskState[]
  fc.assert(
    fc.property(
      observation,
      fc.constantFrom(...states),
      fc.constantFrom(TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.REMOVE),
      fc.boolean(),
      fc.boolean(),
      (seen, state, desired, prepared, failed) => {
        const next = step(facts({ seen, state, desired, prepared, ...(failed && { failure }) }))
        return next.do !== 'report' || next.status.state > state
      },
    ),
  )
})

/** Lives one life with an obedient engine, until nothing is left to do. */
function live(seed: { seen: Observation; desired: TaskState; dies: boolean }): TaskState[] {
  let now = facts({ seen: seed.seen, desired: seed.desired })
  const states: TaskState[] = []
  for (let steps = 0; steps < 50; steps++) {
    const next = step(now)
    if (next.do === 'finish') return states
    if (next.do === 'wait') {
      if (now.desired >= TaskState.SHUTDOWN) {
        now = { ...now, desired: TaskState.REMOVE }
      } else if (now.seen.phase === 'running' && seed.dies) {
        now = { ...now, seen: exited(1, 'exited with code 1') }
      } else {
        now = { ...now, desired: TaskState.SHUTDOWN }
      }
      continue
    }
    if (next.do === 'report') {
      states.push(next.status.state)
      now = { ...now, state: next.status.state }
    } else if (next.do === 'prepare') now = { ...now, prepared: true, seen: created }
    else if (next.do === 'start') now = { ...now, started: true, seen: running }
    else if (next.do === 'stop') now = { ...now, seen: exited(143, 'killed by SIGTERM') }
    else if (next.do === 'condemn') now = { ...now, condemned: next.reason }
    else if (next.do === 'release') now = { ...now, released: true }
    else now = { ...now, removed: true, seen: ABSENT }
  }
  throw new Error('did not end')
}

t.test('every life ends in a final state', async () => {
  const desired = fc.constantFrom(
    TaskState.READY,
    TaskState.RUNNING,
    TaskState.SHUTDOWN,
    TaskState.REMOVE,
  )
  fc.assert(
    fc.property(fc.record({ seen: observation, desired, dies: fc.boolean() }), seed => {
      const states = live(seed)
      const last = states.at(-1) ?? TaskState.NEW
      return (
        last >= TaskState.COMPLETE &&
        states.every((state, at) => at === 0 || state > (states[at - 1] ?? 0))
      )
    }),
  )
})
