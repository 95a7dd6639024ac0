import { messageOf } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import type { Log } from '../runtime/log.ts'
import { type Random } from '../runtime/random.ts'

/** Weights as Swarm keeps them (row DP-17): an observation moves a weight half-way, within ±256. */
const OBSERVATION = 10
const LIMIT = 256

/** The managers this node knows, which of them answered lately, and which said to lead. Kept on disk. */
export class Remotes {
  readonly #fs: Fs
  readonly #log: Log
  readonly #random: Random
  readonly #path: string
  #weights = new Map<string, number>()
  #leader: string | undefined

  constructor(deps: {
    readonly fs: Fs
    readonly log: Log
    readonly random: Random
    readonly path: string
    /** Addresses the operator gave (join, configuration). */
    readonly addresses: readonly string[]
  }) {
    this.#fs = deps.fs
    this.#log = deps.log
    this.#random = deps.random
    this.#path = deps.path
    for (const address of deps.addresses) this.#weights.set(address, 0)
  }

  /** Adds what an earlier process wrote. */
  async load(): Promise<void> {
    try {
      const bytes = await this.#fs.read(this.#path)
      if (!bytes) return
      const parsed: unknown = JSON.parse(new TextDecoder().decode(bytes))
      if (!Array.isArray(parsed)) throw new Error('not a list')
      for (const address of parsed) {
        if (typeof address === 'string' && !this.#weights.has(address))
          this.#weights.set(address, 0)
      }
    } catch (error) {
      this.#log.error('list of managers is damaged, skipped', {
        file: this.#path,
        error: messageOf(error),
      })
    }
  }

  addresses(): readonly string[] {
    return [...this.#weights.keys()]
  }

  /** The managers are now these. An empty list changes nothing: it would cut the node off for good. */
  async replace(addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return
    const before = this.addresses()
    this.#weights = new Map(addresses.map(address => [address, this.#weights.get(address) ?? 0]))
    if (before.length === addresses.length && before.every(known => this.#weights.has(known)))
      return
    await this.#fs.write(this.#path, JSON.stringify(addresses))
  }

  /** A manager named the leader: the next session goes there. */
  follow(leader: string): void {
    this.#leader = leader
    if (!this.#weights.has(leader)) this.#weights.set(leader, 0)
  }

  /** A session with `address` came about, or failed. */
  observe(address: string, good: boolean): void {
    const weight = this.#weights.get(address)
    if (weight === undefined) return
    const moved = (weight + (good ? OBSERVATION : -OBSERVATION)) / 2
    this.#weights.set(address, Math.max(-LIMIT, Math.min(LIMIT, moved)))
  }

  /**
   * The address to dial: the leader somebody named, once; else one drawn by weight, `avoid` only when there is no other.
   */
  pick(avoid?: string): string | undefined {
    const leader = this.#leader
    this.#leader = undefined
    if (leader !== undefined) return leader
    const known = [...this.#weights]
    const others = known.filter(([address]) => address !== avoid)
    const candidates = others.length > 0 ? others : known
    const lowest = Math.min(...candidates.map(([, weight]) => weight))
    const shares = candidates.map(([address, weight]) => [address, weight - lowest + 1] as const)
    let drawn = this.#random.next() * shares.reduce((sum, [, share]) => sum + share, 0)
    for (const [address, share] of shares) {
      drawn -= share
      if (drawn < 0) return address
    }
    return shares.at(-1)?.[0]
  }
}
