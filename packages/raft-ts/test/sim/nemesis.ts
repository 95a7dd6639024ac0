// Chance alone hardly ever strikes in the moments that matter: between a vote and its sync, between an election and the
// first entry that a majority holds. This one reads the wire and strikes then. What it draws for one occasion depends on
// that occasion alone, so that one strike can be left out without changing the dice of the others.
import type { Message } from '../../src/index.ts'
import { pick, stream } from './chance.ts'
import type { Climate } from './climate.ts'
import type { Host, World } from './world.ts'

/** Without pre-votes every forced campaign is an occasion for the next; the cluster must come to rest in between. */
const RIVALRY_PAUSE_MS = 400

export class Nemesis {
  readonly #world: World
  readonly #climate: Climate
  readonly #seen = new Set<string>()
  #rivalryMs = 0
  #renames = 0

  constructor(world: World, climate: Climate) {
    this.#world = world
    this.#climate = climate
  }

  /** A message is about to go on the wire. */
  saw(m: Message): void {
    if (this.#world.calm) return
    if (m.type === 'vote') this.#onCampaign(m.from, m.term)
    else if (m.type === 'voteResponse' && !m.reject) this.#onGrant(m.from, m.to, m.term)
    else if (m.type === 'append') this.#onLeader(m.from, m.term)
  }

  /** A snapshot is about to be renamed to its final name on `host`: the log's own record of it comes next. */
  sawSnapshot(host: Host): void {
    const occasion = `snapshot ${host.id} ${this.#renames++}`
    const random = this.#dice(occasion)
    if (random() >= this.#climate.temper.snapshots) return
    const calls = Math.floor(random() * 6)
    this.#world.strike(occasion, `member ${host.id} dies ${calls} disk calls after`, () =>
      host.disk.dieAt(calls, pick(random, ['some', 'nothing', 'all', 'kill'] as const) ?? 'some'),
    )
  }

  /** A rival that has not heard of the candidate campaigns for the same term. */
  #onCampaign(candidate: number, term: number): void {
    const world = this.#world
    const nowMs = world.clock.monotonic()
    if (nowMs < this.#rivalryMs) return
    const occasion = this.#first(`campaign ${term} ${candidate}`)
    if (occasion === undefined) return
    const random = this.#dice(occasion)
    if (random() >= this.#climate.temper.votes) return
    this.#rivalryMs = nowMs + RIVALRY_PAUSE_MS
    const rival = pick(
      random,
      world.live().filter(h => h.id !== candidate),
    )
    if (rival === undefined) return
    world.strike(occasion, `member ${rival.id} becomes its rival`, () => {
      world.wire.estrange(candidate, rival.id, 50 + random() * 200)
      for (let tries = 0; tries < 4; tries++)
        world.clock.after(random() * 100, () => rival.node?.campaign())
    })
  }

  #onGrant(voter: number, candidate: number, term: number): void {
    const world = this.#world
    const occasion = this.#first(`grant ${term} ${voter}`)
    const host = world.hosts.get(voter)
    if (occasion === undefined || host === undefined) return
    const random = this.#dice(occasion)
    if (random() >= this.#climate.temper.votes) return
    const hurryMs = random() < 0.5 ? 0 : random() * this.#climate.maxDiskMs
    const alone = random() < 0.5
    world.strike(occasion, `the voter dies${alone ? ', the candidate is cut off' : ''}`, () => {
      this.#crash(host, hurryMs, random)
      if (alone) world.wire.isolate([candidate], 50 + random() * 300)
    })
  }

  /** What it appended alone stays behind; whoever was cut off before comes back with the like. */
  #onLeader(leader: number, term: number): void {
    const world = this.#world
    const occasion = this.#first(`leader ${term}`)
    if (occasion === undefined) return
    const random = this.#dice(occasion)
    if (random() >= this.#climate.temper.leaders) return
    const { maxDelayMs } = this.#climate
    const waits = [0, random() * 4 * maxDelayMs, random() * 8 * maxDelayMs, 300]
    const companion = pick(random, [...world.hosts.keys()])
    const island = random() < 0.6 || companion === undefined ? [leader] : [leader, companion]
    world.clock.after(pick(random, waits) ?? 0, () => {
      const host = world.hosts.get(leader)
      if (host === undefined) return
      world.strike(occasion, `members ${island.join(' and ')} are cut off`, () => {
        world.wire.isolate(island, 700 + random() * 800)
        if (random() < 0.2) this.#crash(host, 0, random)
      })
    })
  }

  /** Down for hardly longer than it takes to start: nobody else has moved on meanwhile. */
  #crash(host: Host, delayMs: number, random: () => number): void {
    const { life } = host
    this.#world.clock.after(delayMs, () => {
      if (this.#world.calm || host.life !== life) return
      this.#world.crashAndRestart(host, 'some', random() * 20)
    })
  }

  #dice(occasion: string): () => number {
    return stream(this.#world.seed, occasion)
  }

  #first(occasion: string): string | undefined {
    if (this.#seen.has(occasion)) return undefined
    this.#seen.add(occasion)
    return occasion
  }
}
