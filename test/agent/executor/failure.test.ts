// Goal: users read why a container failed, not what an engine calls it.
// Method: inspect results and engine messages as real engines (20.10, 28.5) write them.
import t from 'tap'
import {
  containerStatus,
  exitFailure,
  healthFailure,
  phaseOf,
  pullFailure,
  runFailure,
  signalOf,
} from '../../../agent/executor/docker/failure.ts'
import { engineError } from '../../../agent/executor/docker/engine.ts'
import { withTag } from '../../../agent/executor/docker/pull.ts'
import { failureReason } from '../../../agent/task/failure-reason.ts'
import { make } from '../../../proto/codec.ts'
import { TaskState, v1 } from '../../../proto/index.ts'
import { StatusError } from '../../../runtime/errors.ts'

type Inspect = Parameters<typeof exitFailure>[0]

const inspect = (state: Partial<Inspect['State']>, memory = 0): Inspect => ({
  Id: 'c1',
  State: {
    Status: 'exited',
    Running: false,
    Paused: false,
    Restarting: false,
    OOMKilled: false,
    Dead: false,
    Pid: 0,
    ExitCode: 0,
    Error: '',
    StartedAt: '',
    FinishedAt: '',
    ...state,
  },
  HostConfig: { Memory: memory },
})

t.test('exits', async t => {
  t.equal(exitFailure(inspect({})), '')
  t.equal(exitFailure(inspect({ ExitCode: 3 })), 'exited with code 3')
  t.equal(exitFailure(inspect({ ExitCode: 143 })), 'killed by SIGTERM (exit code 143)')
  t.equal(exitFailure(inspect({ ExitCode: 255 })), 'exited with code 255')
  t.equal(
    exitFailure(inspect({ ExitCode: 137, OOMKilled: true }, 64 * 1_048_576)),
    'killed by SIGKILL: out of memory (limit 64 MiB)',
  )
  t.equal(
    exitFailure(inspect({ ExitCode: 1, OOMKilled: true }, 1_572_864)),
    'exited with code 1 after one of its processes was killed: out of memory (limit 1.5 MiB)',
  )
  t.equal(
    exitFailure(inspect({ ExitCode: 127, Error: 'no such file' })),
    'exited with code 127: no such file',
  )
})

t.test('the status carries code, signal and at most 20 lines', async t => {
  const lines = Array.from({ length: 30 }, (_, line) => `line ${line} ${'x'.repeat(5_000)}`)
  const status = containerStatus(inspect({ ExitCode: 137, OOMKilled: true }), lines)
  t.match(status, { containerId: 'c1', exitCode: 137, oomKilled: true, signal: 'SIGKILL' })
  t.equal(status.lastLogLines.length, 20)
  t.match(status.lastLogLines.at(-1), /^line 29/)
  t.ok(status.lastLogLines.every(line => line.length <= 2_048))
  t.equal(containerStatus(inspect({ Status: 'running', ExitCode: 137 }), []).signal, '')
})

t.test('health', async t => {
  const Log = [{ Start: '', End: '', ExitCode: 7, Output: ' refused\n' }]
  const failed = inspect({
    Status: 'running',
    Health: { Status: 'unhealthy', FailingStreak: 3, Log },
  })
  t.equal(healthFailure(failed), 'health check failed 3 times: refused')
})

t.test('phases and signals', async t => {
  t.strictSame(
    ['created', 'running', 'paused', 'restarting', 'exited', 'dead', 'removing'].map(phaseOf),
    ['created', 'running', 'running', 'running', 'exited', 'exited', 'exited'],
  )
  t.strictSame([137, 139, 130, 129, 1, 128, 255].map(signalOf), [
    'SIGKILL',
    'SIGSEGV',
    'SIGINT',
    'SIGHUP',
    undefined,
    undefined,
    undefined,
  ])
})

const engine = (statusCode: number, message: string): StatusError =>
  engineError('test', Object.assign(new Error('x'), { statusCode, json: { message } }))

t.test('pulls: what is final and what may pass', async t => {
  const cases: readonly (readonly [number, string, string, RegExp])[] = [
    [
      404,
      'manifest for nope:1 not found: manifest unknown',
      'NotFound',
      /^image nope:1 not found: manifest for/,
    ],
    [
      404,
      "pull access denied for nope, repository does not exist or may require 'docker login'",
      'PermissionDenied',
      /^image nope:1 not found or may not be pulled: pull access denied/,
    ],
    [500, 'Get "https://r/v2/": unauthorized', 'PermissionDenied', /may not be pulled/],
    [500, 'dial tcp: lookup r: no such host', 'Unavailable', /could not be pulled: dial tcp/],
    [
      500,
      'no matching manifest for linux/arm64 in the manifest list entries',
      'NotFound',
      /not found: no matching/,
    ],
    [400, 'invalid reference format', 'InvalidArgument', /is no image name/],
  ]
  for (const [status, message, code, pattern] of cases) {
    const error = pullFailure('nope:1', engine(status, message))
    t.equal(error.code, code, message)
    t.match(error.message, pattern)
  }
})

t.test('busy ports, as four engines say it', async t => {
  for (const message of [
    'driver failed programming external connectivity on endpoint x (abc): Bind for 0.0.0.0:8080 failed: port is already allocated',
    'driver failed programming external connectivity on endpoint web.1.abc12 (f00): Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use',
    'failed to set up container networking: driver failed programming external connectivity on endpoint e2: failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use',
    'failed to bind host port [::]:8080/tcp: address already in use',
  ]) {
    const error = runFailure('app:1', engine(500, message))
    t.equal(error.message, `port 8080 is already in use on this node: ${message}`)
    t.equal(error.code, 'FailedPrecondition')
  }
  t.equal(
    runFailure('app:1', engine(404, 'No such image: app:1')).message,
    'image app:1 not found: No such image: app:1',
  )
  t.equal(runFailure('app:1', engine(400, 'bad')).message, 'bad')
})

t.test('an engine that does not answer may come back', async t => {
  const error = engineError(
    'create container',
    Object.assign(new Error('connect ENOENT /run/docker.sock'), { code: 'ENOENT' }),
  )
  t.equal(error.code, 'Unavailable')
  t.match(error.message, /engine on this node does not answer \(create container\): connect ENOENT/)
  const streamed = Object.assign(
    new Error('(HTTP code 500) unexpected - Get "https://a - b": x '),
    { statusCode: 500 },
  )
  t.equal(engineError('pull image', streamed).message, 'Get "https://a - b": x')
})

t.test('an image without a tag is :latest, not every tag', async t => {
  t.equal(withTag('app'), 'app:latest')
  t.equal(withTag('r:5000/app'), 'r:5000/app:latest')
  t.equal(withTag('r:5000/app:1'), 'r:5000/app:1')
  t.equal(withTag('app@sha256:00'), 'app@sha256:00')
})

t.test('failures are counted under a closed list', async t => {
  const reason = (state: TaskState, error: string, message = '', oomKilled = false) =>
    failureReason(make(v1.TaskStatus, { state, error, message, container: { oomKilled } }))
  t.equal(reason(TaskState.FAILED, 'exited with code 3'), 'exit')
  t.equal(reason(TaskState.FAILED, 'killed by SIGKILL: out of memory', '', true), 'oom')
  t.equal(reason(TaskState.FAILED, 'unhealthy container: x'), 'unhealthy')
  t.equal(reason(TaskState.REJECTED, 'image a not found: x'), 'image')
  t.equal(reason(TaskState.FAILED, 'port 80 is already in use on this node: x', 'starting'), 'port')
  t.equal(reason(TaskState.REJECTED, 'invalid mount config for type "bind": x'), 'mount')
  t.equal(reason(TaskState.FAILED, 'OCI runtime create failed', 'starting'), 'start')
  t.equal(reason(TaskState.REJECTED, 'no command specified'), 'create')
})
