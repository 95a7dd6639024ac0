// Goal: the newest status of every task reaches a manager, in bounded messages, however often sessions break.
// Method: the real reporter in virtual time against a hand-driven manager; then random breaks and acknowledgements.
import * as fc from 'fast-check'
import t from 'tap'
import { Reporter } from '../../agent/reporter.ts'
import { make } from '../../proto/codec.ts'
import { type AgentMessage, TaskState, type TaskStatus, v1 } from '../../proto/index.ts'
import { SimClock } from '../../runtime/clock.ts'

const status = (message: string): TaskStatus =>
  make(v1.TaskStatus, { state: TaskState.RUNNING, message })

const batches = (sent: readonly AgentMessage[]) =>
  sent.flatMap(one => (one.message === 'report' ? [one.report] : []))

t.test('a burst makes one message with the newest status of each task', async t => {
  const clock = new SimClock()
  const reporter = new Reporter(clock)
  const sent: AgentMessage[] = []
  reporter.attach(message => sent.push(message))
  for (let round = 0; round < 5; round++)
    for (let id = 0; id < 10; id++) reporter.report(`t${id}`, status(`${round}`))
  clock.advance(50)
  t.equal(sent.length, 1)
  t.equal(batches(sent)[0]?.tasks.length, 10)
  t.ok(batches(sent)[0]?.tasks.every(report => report.status?.message === '4'))
})

t.test('the first of a series goes soon, the rest in steps', async t => {
  const clock = new SimClock()
  const reporter = new Reporter(clock)
  const sentMs: number[] = []
  reporter.attach(() => sentMs.push(clock.monotonic()))
  for (let n = 0; n < 30; n++) {
    reporter.report(`t${n}`, status('x'))
    clock.advance(10)
  }
  t.same(sentMs, [20, 120, 220])
})

t.test('a manager that does not acknowledge is not flooded', async t => {
  const clock = new SimClock()
  const reporter = new Reporter(clock)
  const sent: AgentMessage[] = []
  reporter.attach(message => sent.push(message))
  for (let id = 0; id < 5_000; id++) reporter.report(`t${id}`, status('x'))
  clock.advance(1_000)
  t.equal(sent.length, 4)
  t.equal(reporter.queueLength, 5_000)
  for (let sequence = 1; sequence <= 10; sequence++) reporter.acknowledge(sequence)
  t.equal(reporter.queueLength, 0)
})

t.test('in the end the managers know the newest status of every task', async () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('report'), task: fc.nat(4) }),
    fc.record({ kind: fc.constantFrom('break', 'ack', 'wait'), task: fc.constant(0) }),
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), events => {
      const clock = new SimClock()
      const reporter = new Reporter(clock)
      const known = new Map<string, string>()
      let pending: {
        sequence: number
        tasks: readonly { taskId: string; status: TaskStatus | null }[]
      }[] = []
      const open = (): void => {
        pending = []
        reporter.attach(message => {
          if (message.message === 'report') pending.push(message.report)
        })
      }
      const acknowledge = (): void => {
        const batch = pending.shift()
        if (!batch) return
        for (const report of batch.tasks) known.set(report.taskId, report.status?.message ?? '')
        reporter.acknowledge(batch.sequence)
      }
      const newest = new Map<string, string>()
      open()
      for (const [at, { kind, task }] of events.entries()) {
        if (kind === 'report') {
          newest.set(`t${task}`, `${at}`)
          reporter.report(`t${task}`, status(`${at}`))
        } else if (kind === 'ack') acknowledge()
        else if (kind === 'wait') clock.advance(30)
        else {
          reporter.detach()
          open()
        }
      }
      for (let rounds = 0; rounds < 30; rounds++) {
        clock.advance(30)
        acknowledge()
      }
      return (
        reporter.queueLength === 0 &&
        [...newest].every(([task, message]) => known.get(task) === message)
      )
    }),
  )
})
