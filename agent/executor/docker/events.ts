import type { Readable } from 'node:stream'
import { Backoff } from '../../../runtime/backoff.ts'
import { type Clock, sleep } from '../../../runtime/clock.ts'
import { messageOf } from '../../../runtime/errors.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Random } from '../../../runtime/random.ts'
import type { AgentMetrics } from '../../metrics.ts'
import { readJsonLines } from './json-lines.ts'
import { TASK_ID } from './labels.ts'

interface EngineEvent {
  readonly Action?: string
  readonly Actor?: { readonly Attributes?: Readonly<Record<string, string>> }
}

export interface EventsDeps {
  /** Opens the engine's stream of this node's container events. */
  open(signal: AbortSignal): Promise<Readable>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: AgentMetrics
}

/**
 * Reads the engine's events until `signal` aborts, opening the stream again whenever it breaks. `onChange` gets the task
 * whose container changed; undefined after each opening, since anything may have changed unseen. `onOutOfMemory` gets a
 * task of which the kernel killed a process.
 */
export async function followEvents(
  deps: EventsDeps,
  onChange: (taskId: string | undefined) => void,
  onOutOfMemory: (taskId: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, metrics } = deps
  const backoff = new Backoff(deps.random, { firstMs: 200, maxMs: 2_000 })
  let down = false
  while (!signal.aborted) {
    try {
      const stream = await deps.open(signal)
      metrics.engineUp(true)
      backoff.reset()
      if (down) log.info('the engine is back')
      down = false
      onChange(undefined)
      for await (const event of readJsonLines<EngineEvent>(stream)) {
        const action = event.Action?.split(':')[0] ?? ''
        // Health probes are exec calls: three events each, none of which says anything of the container.
        if (action.startsWith('exec_')) continue
        metrics.engineEvent(action)
        const taskId = event.Actor?.Attributes?.[TASK_ID]
        if (taskId && action === 'oom') onOutOfMemory(taskId)
        if (taskId) onChange(taskId)
      }
    } catch (error) {
      if (signal.aborted) return
      metrics.engineUp(false)
      // One line an outage, not one a try.
      if (!down) log.warn('engine events cannot be read', { error: messageOf(error) })
      down = true
    }
    metrics.eventStreamRestarted()
    await sleep(clock, backoff.nextMs(), signal).catch(() => undefined)
  }
}
