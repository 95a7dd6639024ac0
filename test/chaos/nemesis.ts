// Does to the cluster what the list of faults says, and takes it back.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../lab/lab.ts'
import type { Fault, FaultKind } from './faults.ts'
import type { Managers } from './managers.ts'

/** What was done, for whoever reads a failure. */
export interface Event {
  readonly atMs: number
  readonly what: string
}

export class Nemesis {
  readonly timeline: Event[] = []
  readonly done = new Map<FaultKind, number>()
  readonly #managers: Managers
  readonly #nowMs: () => number
  /** Cuts are lifted all together: they are counted, so that one that ends does not end another. */
  readonly #cuts = new Map<Fault, () => Promise<void>>()

  constructor(managers: Managers, nowMs: () => number) {
    this.#managers = managers
    this.#nowMs = nowMs
  }

  /** Runs all faults, each at its time, and returns when the last one is taken back. */
  async run(faults: readonly Fault[]): Promise<void> {
    await Promise.all(
      faults.map(async fault => {
        await sleep(Math.max(0, fault.atMs - this.#nowMs()))
        await this.#suffer(fault)
      }),
    )
  }

  /** Nothing is broken any more; clocks are right again. */
  async healAll(): Promise<void> {
    const { hosts, cluster } = this.#managers
    this.#cuts.clear()
    await cluster.lab.heal()
    for (const host of hosts) {
      this.#managers.resume(host)
      this.#managers.release(host)
      this.#managers.setClock(host, 0)
      await this.#managers.freeDisk(host)
    }
    this.#note('healed')
  }

  async #suffer(fault: Fault): Promise<void> {
    const target = await this.#target(fault)
    const { kind, lastsMs, offsetSeconds } = fault
    const extra = kind === 'clock jump' ? `, ${offsetSeconds} s` : ''
    this.#note(`${kind} ${target.name}${extra}, for ${lastsMs} ms`)
    const takeBack = await this.#begin(fault, target)
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1)
    await sleep(lastsMs)
    await takeBack()
    this.#note(`${kind} ${target.name} is over`)
  }

  async #begin(fault: Fault, target: Host): Promise<() => Promise<void> | void> {
    const managers = this.#managers
    const { lab } = managers.cluster
    const other = this.#after(target, fault.other)
    switch (fault.kind) {
      case 'kill':
        managers.hold(target)
        managers.kill(target)
        return () => managers.release(target)
      case 'kill all':
        for (const host of managers.hosts) managers.kill(host)
        return () => undefined
      case 'pause':
        managers.pause(target)
        return () => managers.resume(target)
      case 'cut off':
        return this.#cut(fault, () => lab.partition(target.name))
      case 'cut one way':
        return this.#cut(fault, () => lab.cutOneWay(target.name, other.name))
      case 'cut between two':
        return this.#cut(fault, () => lab.partition(target.name, other.name))
      case 'full disk':
        await managers.fillDisk(target)
        return () => managers.freeDisk(target)
      case 'clock jump':
        managers.setClock(target, fault.offsetSeconds)
        return () => undefined
    }
  }

  async #cut(fault: Fault, apply: () => Promise<void>): Promise<() => Promise<void>> {
    this.#cuts.set(fault, apply)
    await apply()
    return async () => {
      this.#cuts.delete(fault)
      await this.#managers.cluster.lab.heal()
      for (const again of this.#cuts.values()) await again()
    }
  }

  async #target({ kind, target }: Fault): Promise<Host> {
    const { hosts } = this.#managers
    const [small, first] = [hosts.at(-1), hosts[0]]
    if (!small || !first) throw new Error('there are no hosts')
    if (kind === 'full disk') return small
    if (target !== 'leader') return hosts[target] ?? first
    return (await this.#managers.leader()) ?? first
  }

  #after(host: Host, by: number): Host {
    const { hosts } = this.#managers
    return hosts[(hosts.indexOf(host) + by) % hosts.length] ?? host
  }

  #note(what: string): void {
    this.timeline.push({ atMs: Math.round(this.#nowMs()), what })
  }
}
