import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeCgroup } from './cgroups.ts'
import * as engine from './engine.ts'
import { LabError } from './errors.ts'
import * as holder from './holder.ts'
import { withLock } from './lock.ts'
import { type HostLayout, type LabRecord, switchLayout } from './layout.ts'
import { cutCable, hostsFile, plugIn, unplug } from './network.ts'
import { hostProcesses, killHostProcesses, residentBytes } from './processes.ts'
import { type RunOptions, type RunResult, run } from './run.ts'

export interface ExecOptions extends RunOptions {
  /** Working directory, in the host. @default this process's */
  readonly cwd?: string
}

export interface HostStatus {
  readonly name: string
  readonly address: string
  readonly power: 'on' | 'off'
  /** `none` on the client, which has no engine. */
  readonly engine: 'up' | 'down' | 'none'
  readonly processes: number
  /** Resident memory of all processes of the host; a page two of them share counts twice. */
  readonly residentBytes: number
}

/** One machine of the lab. It keeps no state: all is read from the kernel and the lab's directory. */
export class Host {
  readonly name: string
  readonly address: string
  readonly dir: string
  readonly dockerSocket: string
  readonly #layout: HostLayout
  readonly #record: LabRecord

  constructor(layout: HostLayout, record: LabRecord) {
    this.name = layout.name
    this.address = layout.address
    this.dir = layout.dir
    this.dockerSocket = engine.dockerSocket(layout)
    this.#layout = layout
    this.#record = record
  }

  /** Runs a command in the host to its end. @throws {LabError} when the host is off or time is up */
  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<RunResult> {
    return run(this.command(argv, options.cwd), {
      ...options,
      env: holder.hostEnv(options.env),
      title: `${argv.join(' ')} on ${this.name}`,
    })
  }

  /** Starts a long-running process that belongs to the host: `kill` and `down` end it. */
  async spawn(argv: readonly string[], options: holder.SpawnOptions): Promise<{ pid: number }> {
    const { pid } = await holder.spawnInHost(this.#layout, argv, options)
    return { pid }
  }

  /** The command line that runs `argv` in the host, for callers with their own way to start it. */
  command(argv: readonly string[], cwd?: string): string[] {
    return holder.enter(this.#layout, argv, cwd)
  }

  /** Runs the docker CLI against this host's engine. @returns its output without the last newline */
  async docker(...args: string[]): Promise<string> {
    this.#needEngine()
    return engine.docker(this.#layout, args)
  }

  /** A power cut: the cable goes dead first, then every process is killed, and /run is lost. */
  kill(): Promise<void> {
    return withLock(this.#powerLock(), () => this.#powerOff())
  }

  /** Power on: fresh /run and network, the same disk; returns once the engine answers. */
  start(): Promise<void> {
    return withLock(this.#powerLock(), () => this.#powerUp())
  }

  async stopEngine(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await engine.stopEngine(this.#layout, signal)
  }

  async startEngine(): Promise<void> {
    if (this.#layout.engine) await engine.startEngine(this.#layout, this.#record)
  }

  /** Whether the host is on; its engine may be down. */
  alive(): Promise<boolean> {
    return Promise.resolve(holder.holderOf(this.#layout) !== undefined)
  }

  /** The pid of the running engine, as the root namespace sees it; undefined when it is down. */
  enginePid(): number | undefined {
    return engine.engineProcess(this.#layout)?.pid
  }

  async status(): Promise<HostStatus> {
    const processes = hostProcesses(this.#layout.cgroup, holder.holderOf(this.#layout)?.netns)
    const engineState = (await engine.answers(this.#layout)) ? 'up' : 'down'
    return {
      name: this.name,
      address: this.address,
      power: (await this.alive()) ? 'on' : 'off',
      engine: this.#layout.engine ? engineState : 'none',
      processes: processes.length,
      residentBytes: residentBytes(processes),
    }
  }

  /** Removes what `kill` leaves: the disk. */
  erase(): void {
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }

  async #powerOff(): Promise<void> {
    const sw = switchLayout(this.#record)
    const isWired = sw.name !== this.name && holder.holderOf(sw) !== undefined
    if (isWired) await cutCable(sw, this.#layout)
    await killHostProcesses(this.#layout.cgroup, holder.lastHolder(this.#layout)?.netns)
    if (isWired) await unplug(sw, this.#layout)
    holder.forgetHolder(this.#layout)
    await removeCgroup(this.#layout.cgroup)
  }

  async #powerUp(): Promise<void> {
    if (await this.alive()) return this.startEngine()
    const etc = join(this.dir, 'etc')
    mkdirSync(etc, { recursive: true })
    writeFileSync(join(etc, 'hosts'), hostsFile(this.#record))
    writeFileSync(join(etc, 'hostname'), `${this.name}\n`)
    const { pid } = await holder.powerOn(this.#layout)
    await plugIn(switchLayout(this.#record), this.#layout, pid)
    await this.startEngine()
  }

  #powerLock(): string {
    return `${this.dir}.lock`
  }

  #needEngine(): void {
    holder.needPower(this.#layout)
    if (!this.#layout.engine) throw new LabError(`host ${this.name} is a client without an engine`)
  }
}
