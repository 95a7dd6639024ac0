// Everything that goes wrong with hosts, disks, wires, engines and containers, drawn from the seed.
import type { World } from './cluster.ts'
import type { Host } from './host.ts'

const MEAN_MS = 900

type Fault = (nemesis: Nemesis) => void

const FAULTS: readonly (readonly [weight: number, fault: Fault])[] = [
  [4, n => n.crash()],
  [2, n => n.powerLoss()],
  [2, n => n.restart()],
  [3, n => n.partition()],
  [2, n => n.oneWay()],
  [2, n => n.isolateLeader()],
  [2, n => n.crashLeader()],
  [2, n => n.slowDisk()],
  [2, n => n.stall()],
  [4, n => n.containerExits()],
  [1, n => n.containerVanishes()],
  [1, n => n.engineStops()],
  [1, n => n.transfer()],
]

export class Nemesis {
  readonly stats: Record<string, number> = {}
  readonly #world: World
  #cuts = 0

  constructor(world: World) {
    this.#world = world
  }

  start(): void {
    const world = this.#world
    const again = (): void => {
      if (world.calm) return
      this.#strike()
      world.timeline.after(MEAN_MS * 2 * world.random.next(), again)
    }
    world.timeline.after(MEAN_MS, again)
  }

  /** Mends everything; what is off comes up. */
  heal(): void {
    const world = this.#world
    this.#cuts += 1
    world.network.heal()
    for (const host of world.hosts) {
      host.diskFactor = 1
      this.#up(host)
    }
  }

  crash(): void {
    this.#kill(this.#world.pick(this.#world.hosts), this.#downMs())
  }

  crashLeader(): void {
    const leader = this.#world.leader()
    if (leader) this.#kill(leader, this.#downMs())
  }

  /** The daemon and every container are gone at once; others hear nothing. */
  powerLoss(): void {
    const host = this.#world.pick(this.#world.hosts)
    if (!host.life) return
    this.#note('power loss', host.id)
    this.#world.network.hostDown(host.id)
    host.kill()
    host.engine.setUp(false)
    host.engine.powerLoss()
    this.#later(this.#downMs() + 500, () => this.#up(host))
  }

  /** As a package upgrade does it. */
  restart(): void {
    const host = this.#world.pick(this.#world.hosts)
    if (!host.daemon) return
    this.#note('restart', host.id)
    const { life } = host
    host.stop().then(
      () => this.#up(host),
      (error: unknown) => this.#world.fail(error as Error),
    )
    // As systemd: what does not end is killed.
    this.#later(15_000, () => {
      if (host.life !== life) return
      host.kill()
      this.#up(host)
    })
  }

  partition(): void {
    const world = this.#world
    const side = world.hosts.filter(() => world.chance(0.4))
    this.#note('partition', side.map(host => host.id).join(' '))
    for (const a of side)
      for (const b of world.hosts) {
        if (side.includes(b)) continue
        world.network.cut(a.id, b.id)
        world.network.cut(b.id, a.id)
      }
    this.#healLater()
  }

  oneWay(): void {
    const world = this.#world
    const cut: string[] = []
    for (const a of world.hosts)
      for (const b of world.hosts)
        if (a !== b && world.chance(0.2)) {
          world.network.cut(a.id, b.id)
          cut.push(`${a.id}>${b.id}`)
        }
    this.#note('one-way cuts', cut.join(' '))
    this.#healLater()
  }

  isolateLeader(): void {
    const world = this.#world
    const leader = world.leader()
    if (!leader) return
    this.#note('leader isolated', leader.id)
    for (const { id } of world.hosts) {
      world.network.cut(leader.id, id)
      world.network.cut(id, leader.id)
    }
    this.#healLater()
  }

  slowDisk(): void {
    const host = this.#world.pick(this.#world.hosts)
    this.#note('slow disk', host.id)
    host.diskFactor = 30
    this.#later(1_000 + this.#world.below(3_000), () => {
      host.diskFactor = 1
    })
  }

  /** The process is not scheduled for a while, as under SIGSTOP or a hypervisor's whim. */
  stall(): void {
    const world = this.#world
    const host = world.chance(0.5)
      ? (world.leader() ?? world.pick(world.hosts))
      : world.pick(world.hosts)
    const ms = 50 + world.below(world.pick([300, 2_500]))
    this.#note('stall', `${host.id} ${ms} ms`)
    host.life?.stall(ms)
  }

  containerExits(): void {
    const world = this.#world
    const [host, taskId] = this.#container()
    if (!host || taskId === undefined) return
    const code = world.pick([0, 1, 137])
    this.#note('container exits', `${taskId} on ${host.id} with ${code}`)
    host.engine.exit(taskId, code)
  }

  containerVanishes(): void {
    const [host, taskId] = this.#container()
    if (!host || taskId === undefined) return
    this.#note('container vanishes', `${taskId} on ${host.id}`)
    host.engine.vanish(taskId)
  }

  engineStops(): void {
    const host = this.#world.pick(this.#world.hosts)
    if (!host.life) return
    this.#note('engine stops', host.id)
    host.engine.setUp(false)
    this.#later(500 + this.#world.below(3_000), () => {
      if (host.life) host.engine.setUp(true)
    })
  }

  transfer(): void {
    const leader = this.#world.leader()
    if (!leader?.daemon?.manager) return
    this.#note('transfer', leader.id)
    leader.daemon.manager.member.transferLeadership().catch(() => undefined)
  }

  #strike(): void {
    const total = FAULTS.reduce((sum, [weight]) => sum + weight, 0)
    let drawn = this.#world.random.next() * total
    for (const [weight, fault] of FAULTS) {
      drawn -= weight
      if (drawn >= 0) continue
      fault(this)
      return
    }
  }

  #kill(host: Host, downMs: number): void {
    if (!host.life) return
    this.#note('crash', host.id)
    host.kill()
    this.#later(downMs, () => this.#up(host))
  }

  #up(host: Host): void {
    const { network } = this.#world
    network.hostUp(host.id)
    host.engine.setUp(true)
    if (!host.life) this.#world.begin(host)
  }

  #container(): readonly [Host, string | undefined] {
    const host = this.#world.pick(this.#world.hosts)
    const running = [...host.engine.containers.values()].filter(({ phase }) => phase === 'running')
    return [host, running.length > 0 ? this.#world.pick(running).taskId : undefined]
  }

  /** Cuts heal together; a later cut keeps an earlier one until its own end. */
  #healLater(): void {
    const cuts = ++this.#cuts
    this.#later(300 + this.#world.below(this.#world.pick([1_500, 7_000])), () => {
      if (this.#cuts === cuts) this.#world.network.heal()
    })
  }

  #downMs(): number {
    return this.#world.chance(0.5) ? this.#world.below(300) : this.#world.below(5_000)
  }

  #later(ms: number, fn: () => void): void {
    this.#world.timeline.after(ms, fn)
  }

  #note(fault: string, what: string): void {
    this.stats[fault] = (this.stats[fault] ?? 0) + 1
    this.#world.trace(`nemesis: ${fault} ${what}`)
  }
}
