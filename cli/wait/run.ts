// Waits until services are what was asked for, showing how it goes, and turns what went wrong into a Failure.
import type { Explanation, Service, Task } from '../../proto/index.ts'
import { taskName } from '../../services/model/task.ts'
import type { Api } from '../connection.ts'
import type { Context } from '../context.ts'
import { Exit, Failure } from '../failure.ts'
import { NodeNames } from '../model/lookup.ts'
import { tookText } from '../output/ago.ts'
import { type Display, canRedraw } from '../output/progress.ts'
import { explanationLines } from '../output/explanation.ts'
import { type Progress, look } from './converge.ts'
import { ServiceFeed } from './feed.ts'
import { BLANK, type Memory } from './memory.ts'
import type { Goal } from './outcome.ts'
import { failureReason } from './view.ts'

/** Without a terminal nobody presses Ctrl-C. */
const DEFAULT_TIMEOUT_MS = 600_000
/** Time itself decides some things (settling, giving up): look at least this often. */
const LOOK_MS = 200

export interface WaitOptions {
  /** Undefined: 10 min without a terminal, none on one. */
  readonly timeoutMs?: number | undefined
  readonly action: Goal['action']
}

/**
 * Waits for one service.
 * @throws Failure with the exit code of what went wrong, and how to look further
 */
export async function waitForService(
  context: Context,
  api: Api,
  display: Display,
  service: Service,
  options: WaitOptions,
): Promise<void> {
  const { clock, interrupt } = context
  const isAttended = canRedraw(context)
  const goal: Goal = {
    serviceId: service.id,
    version: service.meta?.version ?? 0,
    action: options.action,
    isAttended,
  }
  const name = service.spec?.annotations?.name ?? service.id
  const startMs = clock.monotonic()
  const limitMs = options.timeoutMs ?? (isAttended ? Number.POSITIVE_INFINITY : DEFAULT_TIMEOUT_MS)
  const feed = new ServiceFeed(api, context, service.id)
  const stop = (): void => feed.stop()
  interrupt.addEventListener('abort', stop, { once: true })
  feed.start()
  let memory: Memory = BLANK
  let last: Progress | undefined
  let explained = ''
  try {
    for (;;) {
      if (interrupt.aborted) throw interrupted(name, options.action)
      const snapshot = feed.snapshot()
      if (snapshot !== undefined) {
        const seen = look(goal, memory, snapshot, clock.monotonic())
        memory = seen.memory
        last = seen.progress
        display.show(service.id, last)
        if (last.outcome.kind === 'done') {
          const tookMs = clock.monotonic() - startMs
          display.say(`${name}: ${last.running} of ${last.wanted} in ${tookText(tookMs)}`)
          return
        }
        const names = new NodeNames(snapshot.nodes)
        if (last.outcome.kind === 'failed') throw await failed(api, last, names, name)
        if (last.stuck !== undefined && explained !== last.stuck.id) {
          explained = last.stuck.id
          const explanation = await explain(api, last.stuck)
          if (explanation !== undefined) display.say(explanationLines(explanation).join('\n'))
        }
      }
      const passedMs = clock.monotonic() - startMs
      if (passedMs >= limitMs) throw late(name, last, passedMs)
      await feed.changed(Math.min(LOOK_MS, limitMs - passedMs))
    }
  } finally {
    interrupt.removeEventListener('abort', stop)
    feed.stop()
  }
}

function interrupted(name: string, action: Goal['action']): Failure {
  const what = action === 'create' ? 'is still being started' : 'is still being changed'
  return new Failure(`interrupted: ${name} ${what} in the background`, {
    exit: Exit.INTERRUPTED,
    next: [`skein service ps ${name}`, `skein why ${name}`],
  })
}

function late(name: string, last: Progress | undefined, passedMs: number): Failure {
  const isStuck = last?.stuck !== undefined
  const missing = (last?.lines ?? []).filter(line => line.mark !== 'good').slice(0, 5)
  const count = last === undefined ? '' : ` (${last.running} of ${last.wanted})`
  return new Failure(`${name} is not there after ${tookText(passedMs)}${count}`, {
    exit: isStuck ? Exit.UNPLACEABLE : Exit.TIMEOUT,
    why: missing.map(line => `${line.name} ${line.text}`),
    next: [`skein why ${name}`, `skein service ps ${name}`],
  })
}

async function failed(
  api: Api,
  progress: Progress,
  names: NodeNames,
  name: string,
): Promise<Failure> {
  if (progress.outcome.kind !== 'failed') throw new Error('no failure')
  const { exit, reason, task } = progress.outcome
  if (exit === Exit.UNPLACEABLE) {
    const explanation = task === undefined ? undefined : await explain(api, task)
    const fallback = task?.status?.error || progress.note
    return new Failure(reason, {
      exit,
      why: explanation === undefined ? [fallback] : explanationLines(explanation),
      next: [`skein why ${name}`, `remove it: skein service rm ${name}`],
    })
  }
  return new Failure(reason, {
    exit,
    why: task === undefined ? [] : taskWhy(task, names),
    next: nextSteps(name, exit, task),
  })
}

/** Why a task failed: its reason, exit code, node and last words. */
export function taskWhy(task: Task, names: NodeNames): readonly string[] {
  const container = task.status?.container
  const where = task.nodeId === '' ? '' : ` on ${names.of(task.nodeId)}`
  const reason = failureReason(task)
  const code = container?.exitCode ?? 0
  const exit = code === 0 || reason.includes(String(code)) ? '' : ` (exit code ${code})`
  const log = container?.lastLogLines ?? []
  return [
    `${taskName(task)}${where}: ${reason}${exit}`,
    ...(log.length === 0 ? [] : ['its last lines:', ...log.slice(-10).map(line => `  ${line}`)]),
  ]
}

function nextSteps(name: string, exit: Exit, task: Task | undefined): readonly string[] {
  const look = task === undefined ? `skein service ps ${name}` : `skein logs ${taskName(task)}`
  if (exit === Exit.PAUSED || exit === Exit.ROLLBACK_FAILED) {
    return [
      look,
      `skein service rollback ${name}`,
      `or update it again: skein service update … ${name}`,
    ]
  }
  return [look, `skein service ps --no-trunc ${name}`]
}

/** What the manager says of a task; undefined when it cannot be asked. An explanation never hides the failure itself. */
async function explain(api: Api, task: Task): Promise<Explanation | undefined> {
  try {
    const { explanation } = await api.control.explainTask({ id: task.id })
    return explanation ?? undefined
  } catch {
    return task.explanation ?? undefined
  }
}
