// A user's program: it calls some manager, follows its hint to the leader, and knows what it knows when nobody answers.
import type { HandlersOf } from '../../proto/service.ts'
import type { Caller } from '../../proto/service.ts'
import { hasCode, messageOf } from '../../runtime/errors.ts'
import type { World } from './cluster.ts'
import type { Daemon } from './host.ts'

const ANSWER_MS = 4_000
const GIVE_UP_MS = 6_000
const PAUSE_MS = 120

const CALLER: Caller = { nodeId: '', role: 'local', address: '' }

export type Outcome<T> =
  | { readonly is: 'done'; readonly value: T }
  /** Certainly not carried out. */
  | { readonly is: 'refused'; readonly why: string }
  /** Carried out, or not, or later. */
  | { readonly is: 'unknown'; readonly why: string }

type Control = HandlersOf<'Control'>

export class Client {
  readonly #world: World
  #favourite: string | undefined

  constructor(world: World) {
    this.#world = world
  }

  /** Makes one call, on as many managers as it takes to find one that leads. */
  async call<T>(work: (control: Control, caller: Caller) => Promise<T>): Promise<Outcome<T>> {
    const world = this.#world
    const dueMs = world.timeline.monotonic() + GIVE_UP_MS
    let why = 'no manager runs'
    while (world.timeline.monotonic() < dueMs) {
      const daemon = this.#choose()
      const outcome = daemon ? await this.#once(daemon, work) : undefined
      if (outcome && outcome.is !== 'later') return outcome
      why = outcome?.why ?? why
      await new Promise<void>(resolve =>
        world.timeline.after(PAUSE_MS * world.random.next(), resolve),
      )
    }
    return { is: 'refused', why }
  }

  #choose(): Daemon | undefined {
    const world = this.#world
    const serving = world.running().filter(({ manager }) => manager !== undefined)
    const favourite = serving.find(({ host }) => host === this.#favourite)
    this.#favourite = undefined
    return favourite ?? (serving.length > 0 ? world.pick(serving) : undefined)
  }

  async #once<T>(
    { life, handlers, manager }: Daemon,
    work: (control: Control, caller: Caller) => Promise<T>,
  ): Promise<Outcome<T> | { readonly is: 'later'; readonly why: string }> {
    if (!handlers || !manager) return { is: 'later', why: 'no manager' }
    if (!manager.isLeader()) {
      this.#favourite = this.#hostAt(manager.leaderAddress())
      return { is: 'later', why: 'not the leader' }
    }
    const { timeline } = this.#world
    try {
      const answer = life.guard(work(handlers.Control, CALLER))
      const late = Symbol('late')
      const value = await Promise.race([
        answer,
        new Promise<typeof late>(resolve => timeline.after(ANSWER_MS, () => resolve(late))),
      ])
      if (value === late) {
        answer.catch(() => undefined)
        return { is: 'unknown', why: 'no answer in time' }
      }
      return { is: 'done', value: value as T }
    } catch (error) {
      const why = messageOf(error)
      if (hasCode(error, 'Unavailable')) return { is: 'later', why }
      if (hasCode(error, 'Aborted', 'DeadlineExceeded')) return { is: 'unknown', why }
      if (hasCode(error, 'Internal', 'Unknown')) this.#world.fail(`a call failed oddly: ${why}`)
      return { is: 'refused', why }
    }
  }

  #hostAt(address: string | undefined): string | undefined {
    return this.#world.hosts.find(host => host.address === address)?.id
  }
}
