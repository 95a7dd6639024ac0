// Chance alone hardly ever strikes in the moments that matter: between a vote and its sync, between an election and the
// first entry that a majority holds. This one reads the wire and strikes then.
import type { Message } from '../../src/index.ts'
import type { Host, World } from './world.ts'

/** How likely it strikes at each occasion. */
export interface Temper {
  /** Two candidates in one term, their voter crashing as soon as it has spoken. */
  readonly votes: number
  /** A fresh leader cut off, alone or with one other. */
  readonly leaders: number
  /** A crash around the moment a snapshot gets its name. */
  readonly snapshots: number
}

/** Without pre-votes every forced campaign is an occasion for the next; the cluster must come to rest in between. */
const RIVALRY_PAUSE_MS = 400

export class Nemesis {
  readonly #world: World
  readonly #temper: Temper
  readonly #seen = new Set<string>()
  #rivalryMs = 0

  constructor(world: World, temper: Temper) {
    this.#world = world
    this.#temper = temper
  }

  /** A message is about to go on the wire. */
  saw(m: Message): void {
    if (this.#world.calm) return
    if (m.type === 'vote') this.#onCampaign(m.from, m.term)
    if (m.type === 'voteResponse' && !m.reject) this.#onGrant(m.from, m.to, m.term)
    if (m.type === 'append') this.#onLeader(m.from, m.term)
  }

  /** A snapshot is about to be renamed to its final name on `host`. */
  sawSnapshot(host: Host): void {
    if (this.#world.calm || this.#world.random() >= this.#temper.snapshots) return
    this.#crash(host, this.#world.random() * 2 * this.#world.climate.maxDiskMs)
  }

  /** A rival that has not heard of the candidate campaigns for the same term. */
  #onCampaign(candidate: number, term: number): void {
    const world = this.#world
    const nowMs = world.clock.monotonic()
    if (nowMs < this.#rivalryMs || !this.#first(`campaign ${term} ${candidate}`)) return
    if (world.random() >= this.#temper.votes) return
    this.#rivalryMs = nowMs + RIVALRY_PAUSE_MS
    const rival = world.pick(world.live().filter(h => h.id !== candidate))
    if (rival === undefined) return
    world.estrange(candidate, rival.id, 50 + world.random() * 200)
    for (let tries = 0; tries < 4; tries++)
      world.clock.after(world.random() * 100, () => rival.node?.campaign())
  }

  #onGrant(voter: number, candidate: number, term: number): void {
    const world = this.#world
    if (!this.#first(`grant ${term} ${voter}`) || world.random() >= this.#temper.votes) return
    const host = world.hosts.get(voter)
    if (host === undefined) return
    const hurry = world.random() < 0.5 ? 0 : world.random() * world.climate.maxDiskMs
    this.#crash(host, hurry)
    if (world.random() < 0.5) world.isolate([candidate], 50 + world.random() * 300)
  }

  /** What it appended alone stays behind; whoever was cut off before comes back with the like. */
  #onLeader(leader: number, term: number): void {
    const world = this.#world
    if (!this.#first(`leader ${term}`) || world.random() >= this.#temper.leaders) return
    const { maxDelayMs } = world.climate
    const waits = [0, world.random() * 4 * maxDelayMs, world.random() * 8 * maxDelayMs, 300]
    const companion = world.pick([...world.hosts.keys()])
    const island = world.random() < 0.6 || companion === undefined ? [leader] : [leader, companion]
    world.clock.after(world.pick(waits) ?? 0, () => {
      const host = world.hosts.get(leader)
      if (world.calm || host === undefined) return
      world.isolate(island, 700 + world.random() * 800)
      if (world.random() < 0.2) this.#crash(host, 0)
    })
  }

  /** Down for hardly longer than it takes to start: nobody else has moved on meanwhile. */
  #crash(host: Host, delayMs: number): void {
    const { life } = host
    this.#world.clock.after(delayMs, () => {
      if (this.#world.calm || host.life !== life) return
      this.#world.crashAndRestart(host, this.#world.random() * 20)
    })
  }

  #first(occasion: string): boolean {
    if (this.#seen.has(occasion)) return false
    this.#seen.add(occasion)
    return true
  }
}
