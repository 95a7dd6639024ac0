// What a wait looks at, kept fresh by a watch, and by asking each second while there is none: a change of managers costs
// a moment, never the wait.
import {
  ActionKind,
  type Node,
  type Service,
  type Task,
  type WatchEvent,
} from '../../proto/index.ts'
import { Backoff } from '../../runtime/backoff.ts'
import { sleep } from '../../runtime/clock.ts'
import { hasCode } from '../../runtime/errors.ts'
import type { Api } from '../connection.ts'
import type { Context } from '../context.ts'
import type { Snapshot } from './view.ts'

const POLL_MS = 1_000
/** How long no manager may answer before the wait gives up. */
const UNAVAILABLE_MS = 30_000

export class ServiceFeed {
  readonly #api: Api
  readonly #context: Context
  readonly #serviceId: string
  readonly #stop = new AbortController()
  #service: Service | undefined
  #tasks = new Map<string, Task>()
  #nodes = new Map<string, Node>()
  #failure: unknown
  #lastAnswerMs: number
  #isLoaded = false
  #wake: (() => void) | undefined
  #isDirty = false

  constructor(api: Api, context: Context, serviceId: string) {
    this.#api = api
    this.#context = context
    this.#serviceId = serviceId
    this.#lastAnswerMs = context.clock.monotonic()
  }

  /** Starts watching in the background. */
  start(): void {
    this.#run().catch((error: unknown) => {
      this.#failure = error
      this.#changed()
    })
  }

  stop(): void {
    this.#stop.abort()
    this.#changed()
  }

  /** What is known now; undefined before the first answer. @throws what ended the feed */
  snapshot(): Snapshot | undefined {
    if (this.#failure !== undefined) throw this.#failure
    if (!this.#isLoaded) return undefined
    return {
      service: this.#service,
      tasks: [...this.#tasks.values()],
      nodes: [...this.#nodes.values()],
    }
  }

  /** Resolves when something changed, after `limitMs` at the latest. */
  changed(limitMs: number): Promise<void> {
    return new Promise(resolve => {
      if (this.#isDirty) {
        this.#isDirty = false
        resolve()
        return
      }
      const done = (): void => {
        cancel()
        this.#wake = undefined
        this.#isDirty = false
        resolve()
      }
      const cancel = this.#context.clock.after(limitMs, done)
      this.#wake = done
    })
  }

  #changed(): void {
    this.#isDirty = true
    this.#wake?.()
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#context
    const backoff = new Backoff(random, { firstMs: 200, maxMs: 2_000 })
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#watch(backoff)
      } catch (error) {
        if (signal.aborted) return
        if (!isPassing(error)) throw error
        if (clock.monotonic() - this.#lastAnswerMs > UNAVAILABLE_MS) throw error
      }
      if (signal.aborted) return
      await sleep(clock, Math.min(POLL_MS, backoff.nextMs()), signal).catch(() => undefined)
      // The watch may be what does not work: asking still tells how things stand.
      await this.#load().catch(() => undefined)
    }
  }

  /** Watches until the stream ends. The first message says that the watch stands: what is listed then misses nothing. */
  async #watch(backoff: Backoff): Promise<void> {
    const request = { kinds: ['service', 'task', 'node'] }
    const messages = this.#api.watch(request, this.#stop.signal)
    let isFirst = true
    for await (const message of messages) {
      if (isFirst) await this.#load()
      else for (const event of message.events) this.#apply(event)
      isFirst = false
      backoff.reset()
      this.#lastAnswerMs = this.#context.clock.monotonic()
      if (message.events.length > 0) this.#changed()
    }
  }

  async #load(): Promise<void> {
    const { control } = this.#api
    const [service, tasks, nodes] = await Promise.all([
      control.getService({ id: this.#serviceId }).then(
        answer => answer.service ?? undefined,
        (error: unknown) => {
          if (hasCode(error, 'NotFound')) return undefined
          throw error
        },
      ),
      control.listTasks({ serviceId: this.#serviceId }).then(
        answer => answer.tasks,
        (error: unknown) => {
          if (hasCode(error, 'NotFound')) return []
          throw error
        },
      ),
      control.listNodes({}).then(answer => answer.nodes),
    ])
    this.#service = service
    this.#tasks = new Map(
      tasks.filter(task => task.serviceId === this.#serviceId).map(task => [task.id, task]),
    )
    this.#nodes = new Map(nodes.map(node => [node.id, node]))
    this.#isLoaded = true
    this.#lastAnswerMs = this.#context.clock.monotonic()
    this.#changed()
  }

  #apply(event: WatchEvent): void {
    const isGone = event.kind === ActionKind.DELETE
    if (event.object === 'service') {
      if (event.service.id !== this.#serviceId) return
      this.#service = isGone ? undefined : newer(this.#service, event.service)
    } else if (event.object === 'task') {
      if (event.task.serviceId !== this.#serviceId) return
      put(this.#tasks, event.task, isGone)
    } else if (event.object === 'node') put(this.#nodes, event.node, isGone)
  }
}

/** Errors that a change of managers causes. */
function isPassing(error: unknown): boolean {
  return hasCode(
    error,
    'Unavailable',
    'Aborted',
    'DeadlineExceeded',
    'Unimplemented',
    'OutOfRange',
    'Cancelled',
    'FailedPrecondition',
    'ResourceExhausted',
    'Internal',
    'Unknown',
  )
}

interface Versioned {
  readonly id: string
  readonly meta: { readonly version: number } | null
}

/** Events may be older than what was listed. */
function newer<T extends Versioned>(before: T | undefined, after: T): T {
  return (before?.meta?.version ?? 0) > (after.meta?.version ?? 0) ? (before ?? after) : after
}

function put<T extends Versioned>(map: Map<string, T>, object: T, isGone: boolean): void {
  if (isGone) map.delete(object.id)
  else map.set(object.id, newer(map.get(object.id), object))
}
