// The lab: N hosts as network namespaces on one bridge, each with its own real Docker Engine, and an
// outside client. A host has its own network, host name, /run, /sys, /etc/hosts and /etc/docker; the rest
// of the disk is this machine's, so what a process keeps per host belongs into `host.dir`. Needs root.
// `npm run lab -- help` shows the command line.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { pickStorageDriver } from './engine.ts'
import { LabError, messageOf } from './errors.ts'
import { Host, type HostStatus } from './host.ts'
import { forgetHolder, powerOn } from './holder.ts'
import { buildImages, loadImages } from './images.ts'
import { LAB_PACKAGES, ensurePackages } from './install.ts'
import * as layout from './layout.ts'
import { withLock } from './lock.ts'
import * as network from './network.ts'
import { run } from './run.ts'

export type { Host, HostStatus } from './host.ts'

export interface UpOptions {
  /** How many hosts with an engine, h1 to hN. */
  readonly hosts: number
  /** Prefix of everything the lab makes. @default 'skein' */
  readonly name?: string
  /** First three bytes of the hosts' /24. @default '10.77.0' for 'skein', else by the name's hash */
  readonly subnet?: string
  /** Containers outlive their engine. Docker Swarm refuses to run with it. @default true */
  readonly liveRestore?: boolean
  /** Whether the hosts run an engine; without one they are up in a second. @default true */
  readonly engines?: boolean
  /** Load the test images into every host. @default true */
  readonly images?: boolean
  /** Hears of each step. */
  readonly log?: (line: string) => void
}

export interface LabStatus {
  readonly name: string
  readonly dir: string
  readonly liveRestore: boolean
  readonly storageDriver: string
  readonly hosts: readonly HostStatus[]
  readonly partitions: readonly network.Cut[]
}

export class Lab {
  readonly name: string
  readonly hosts: readonly Host[]
  readonly client: Host
  readonly #record: layout.LabRecord

  private constructor(record: layout.LabRecord) {
    this.name = record.name
    this.hosts = layout.hostLayouts(record).map(host => new Host(host, record))
    this.client = new Host(layout.clientLayout(record), record)
    this.#record = record
  }

  /**
   * Makes a lab and waits until every engine answers. What a failed start made is taken down again.
   *
   * @throws {LabError} when a lab of that name exists, or this machine lacks root or a program
   */
  static async up(options: UpOptions): Promise<Lab> {
    const name = options.name ?? layout.DEFAULT_LAB
    const log = options.log ?? (() => undefined)
    layout.checkRequest(name, options.hosts)
    await ensurePackages(LAB_PACKAGES, log)
    return withLock(lockFile(name), async () => {
      if (existsSync(layout.recordFile(name))) {
        throw new LabError(
          `lab ${name} is up already; use it, or end it: npm run lab -- down --name ${name}`,
        )
      }
      const lab = new Lab(await createRecord(name, options))
      try {
        await lab.#boot(options.images ?? options.engines ?? true, log)
        return lab
      } catch (error) {
        await lab.#erase().catch((after: unknown) => log(messageOf(after)))
        throw error
      }
    })
  }

  /** @throws {LabError} when there is no lab of that name */
  static async attach(name: string = layout.DEFAULT_LAB): Promise<Lab> {
    try {
      const record = JSON.parse(readFileSync(layout.recordFile(name), 'utf8')) as layout.LabRecord
      return new Lab(record)
    } catch (error) {
      const cause = { cause: error }
      throw new LabError(
        `there is no lab ${name}; make one: npm run lab -- up 3 --name ${name}`,
        cause,
      )
    }
  }

  /** @throws {LabError} when the lab has no such host */
  host(name: string): Host {
    const host = [...this.hosts, this.client].find(h => h.name === name)
    if (host === undefined) {
      const names = [...this.hosts, this.client].map(h => h.name).join(', ')
      throw new LabError(`lab ${this.name} has no host ${name}; it has ${names}`)
    }
    return host
  }

  /** Ends the lab and leaves nothing of it but the cache of built images. */
  down(): Promise<void> {
    return withLock(lockFile(this.name), () => this.#erase())
  }

  /** Drops all frames between two hosts, both ways, or between one host and all others. */
  async partition(a: string, b?: string): Promise<void> {
    return this.#cut(
      b === undefined ? { a: this.host(a).name } : { a: this.host(a).name, b: this.host(b).name },
    )
  }

  /** Drops what goes from one host to another, and nothing that comes back. */
  async cutOneWay(from: string, to: string): Promise<void> {
    return this.#cut({ a: this.host(from).name, b: this.host(to).name, oneWay: true })
  }

  #cut(cut: network.Cut): Promise<void> {
    return withLock(lockFile(this.name), () =>
      network.applyCuts(this.#record, [...network.currentCuts(this.#record), cut]),
    )
  }

  /** Ends all partitions. */
  heal(): Promise<void> {
    return withLock(lockFile(this.name), () => network.applyCuts(this.#record, []))
  }

  /** Loads the test images into every host that is on. */
  async loadImages(log: (line: string) => void = () => undefined): Promise<void> {
    const archive = await buildImages(log)
    for (const host of this.hosts) {
      if (await host.alive()) await loadImages(host, archive)
    }
  }

  async status(): Promise<LabStatus> {
    return {
      name: this.name,
      dir: layout.labDir(this.name),
      liveRestore: this.#record.liveRestore,
      storageDriver: this.#record.storageDriver,
      hosts: await Promise.all([...this.hosts, this.client].map(host => host.status())),
      partitions: network.currentCuts(this.#record),
    }
  }

  async #boot(images: boolean, log: (line: string) => void): Promise<void> {
    const sw = layout.switchLayout(this.#record)
    mkdirSync(sw.dir, { recursive: true })
    await powerOn(sw)
    await network.buildSwitch(sw)
    const archive = images ? buildImages(log) : undefined
    // All run to their end, so that nothing is still starting when a failure has the lab taken down.
    const ends = await Promise.allSettled([
      archive,
      this.client.start(),
      ...this.hosts.map(async host => {
        await host.start()
        log(`${host.name} ${host.address} ${this.#record.engines ? 'engine ' : ''}up`)
        if (archive === undefined) return
        await loadImages(host, await archive)
        log(`${host.name} images loaded`)
      }),
    ])
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }

  async #erase(): Promise<void> {
    const sw = layout.switchLayout(this.#record)
    const failures: unknown[] = []
    for (const host of [...this.hosts, this.client, new Host(sw, this.#record)]) {
      try {
        await host.kill()
        host.erase()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) {
      throw new LabError(
        `lab ${this.name} is not quite gone: ${failures.map(messageOf).join('; ')}`,
      )
    }
    forgetHolder(sw)
    rmSync(layout.labDir(this.name), { recursive: true, force: true })
  }
}

function lockFile(name: string): string {
  return `${layout.labDir(name)}.lock`
}

async function createRecord(name: string, options: UpOptions): Promise<layout.LabRecord> {
  const dir = layout.labDir(name)
  mkdirSync(dir, { recursive: true })
  // Built into some kernels, absent from others, loaded on demand in most: a refusal proves nothing.
  await run([
    'sh',
    '-c',
    'modprobe -a br_netfilter overlay vxlan nf_tables wireguard ip_vs 2>/dev/null',
  ])
  const record: layout.LabRecord = {
    name,
    subnet: options.subnet ?? layout.defaultSubnet(name),
    hosts: options.hosts,
    liveRestore: options.liveRestore ?? true,
    engines: options.engines ?? true,
    storageDriver: await pickStorageDriver(dir),
  }
  writeFileSync(layout.recordFile(name), JSON.stringify(record))
  return record
}
