// A Skein cluster on the lab: the built daemon on every host, driven by the built command line as a person would.
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { type Host, Lab } from '../lab/lab.ts'
import type { RunResult } from '../lab/run.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const LAUNCHER = join(ROOT, 'deploy', 'skein')

export interface ClusterOptions {
  /** How many hosts are managers; the rest are workers. Default: all. */
  readonly managers?: number
  /** Arguments added to every daemon. */
  readonly daemonArgs?: readonly string[]
  /** Environment added to a host's daemon. */
  readonly daemonEnv?: (host: Host) => Readonly<Record<string, string>>
  readonly log?: (line: string) => void
}

export class Cluster {
  readonly lab: Lab
  readonly #daemons = new Map<string, number>()
  readonly #daemonArgs: readonly string[]
  readonly #daemonEnv: NonNullable<ClusterOptions['daemonEnv']>

  constructor(lab: Lab, options: ClusterOptions = {}) {
    this.lab = lab
    this.#daemonArgs = options.daemonArgs ?? []
    this.#daemonEnv = options.daemonEnv ?? (() => ({}))
    if (!existsSync(join(ROOT, 'dist', 'daemon', 'main.js'))) {
      throw new Error('dist/ is missing: run `npm run build` first')
    }
  }

  /** Starts daemons on all hosts of the lab, makes the first a cluster and joins the others. */
  static async up(lab: Lab, options: ClusterOptions = {}): Promise<Cluster> {
    const log = options.log ?? (() => undefined)
    const cluster = new Cluster(lab, options)
    const [first, ...others] = lab.hosts
    if (!first) throw new Error('the lab has no hosts')
    await Promise.all(lab.hosts.map(host => cluster.startDaemon(host)))
    log(await cluster.run(first, 'swarm', 'init', '--advertise-addr', first.address))
    for (const [index, host] of others.entries()) {
      const role = index + 1 < (options.managers ?? lab.hosts.length) ? 'manager' : 'worker'
      log(await cluster.join(host, role))
    }
    return cluster
  }

  /** Joins a host whose daemon runs. @param via the manager that is asked, by default the first host */
  async join(
    host: Host,
    role: 'manager' | 'worker',
    via: Host = this.firstHost(),
  ): Promise<string> {
    const token = await this.token(role, via)
    return this.run(
      host,
      'swarm',
      'join',
      '--token',
      token,
      '--advertise-addr',
      host.address,
      `${via.address}:2377`,
    )
  }

  async token(role: 'manager' | 'worker', via: Host = this.firstHost()): Promise<string> {
    return this.run(via, 'swarm', 'join-token', '-q', role)
  }

  firstHost(): Host {
    const [first] = this.lab.hosts
    if (!first) throw new Error('the lab has no hosts')
    return first
  }

  logFile(host: Host): string {
    return join(host.dir, 'skein.log')
  }

  /** Starts the host's daemon and waits until it answers on its socket. */
  async startDaemon(host: Host): Promise<number> {
    const pid = await this.spawnDaemon(host)
    await listens(pid, 20_000)
    await until(
      async () => (await this.skein(host, 'swarm', 'info')).code === 0,
      20_000,
      () => `the daemon on ${host.name} does not answer; see ${this.logFile(host)}`,
    )
    return pid
  }

  /** Starts the host's daemon and waits for nothing. @returns its pid */
  async spawnDaemon(host: Host): Promise<number> {
    const argv = [LAUNCHER, 'daemon', '--hostname', host.name]
    argv.push('--data-dir', join(host.dir, 'skein'), '--engine-socket', host.dockerSocket)
    const { pid } = await host.spawn([...argv, ...this.#daemonArgs], {
      logFile: this.logFile(host),
      env: this.#daemonEnv(host),
    })
    this.#daemons.set(host.name, pid)
    return pid
  }

  daemonPid(host: Host): number {
    const pid = this.#daemons.get(host.name)
    if (pid === undefined) throw new Error(`no daemon was started on ${host.name}`)
    return pid
  }

  /** Ends the host's daemon by a signal and waits until it is gone. */
  async stopDaemon(host: Host, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const pid = this.daemonPid(host)
    if (existsSync(`/proc/${pid}`)) process.kill(pid, signal)
    await until(
      async () => !existsSync(`/proc/${pid}`),
      20_000,
      () => `the daemon on ${host.name} did not end on ${signal}`,
    )
    this.#daemons.delete(host.name)
  }

  /** The words of a command line, to be run in a host. */
  command(...args: string[]): string[] {
    return [LAUNCHER, ...args]
  }

  /** Runs the command line on a host, whatever comes of it. */
  skein(host: Host, ...args: string[]): Promise<RunResult> {
    return host.exec(this.command(...args), {
      timeoutMs: 180_000,
      env: { NO_COLOR: '1', CI: '1' },
    })
  }

  /** Runs the command line on a host. @returns its output without the last newline @throws with what it said when it fails */
  async run(host: Host, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.skein(host, ...args)
    if (code === 0) return stdout.trimEnd()
    throw new Error(
      `skein ${args.join(' ')} on ${host.name} exited with ${code}:\n${stderr}${stdout}`,
    )
  }

  /** The rows of a list command as objects, e.g. `rows(host, 'service', 'ps', 'web')`. */
  async rows(host: Host, ...args: string[]): Promise<Record<string, string>[]> {
    const text = await this.run(host, ...args, '--format', 'json')
    return text
      .split('\n')
      .filter(line => line.trim() !== '')
      .map(line => JSON.parse(line) as Record<string, string>)
  }

  /** The host that leads, as `via` knows it; undefined while none does. */
  async leader(via: Host = this.firstHost()): Promise<Host | undefined> {
    const { code, stdout } = await this.skein(via, 'node', 'ls', '--format', 'json')
    if (code !== 0) return undefined
    for (const line of stdout.split('\n').filter(Boolean)) {
      const row = JSON.parse(line) as { Hostname: string; ManagerStatus: string }
      if (row.ManagerStatus === 'Leader') return this.lab.host(row.Hostname)
    }
    return undefined
  }

  /** Tasks of a service that are RUNNING, with the node each runs on. */
  async running(via: Host, service: string): Promise<{ name: string; node: string }[]> {
    const rows = await this.rows(via, 'service', 'ps', service, '--filter', 'desired-state=running')
    return rows
      .filter(row => row['CurrentState']?.startsWith('Running'))
      .map(row => ({ name: row['Name'] ?? '', node: row['Node'] ?? '' }))
  }
}

/**
 * Waits until a daemon takes connections, or its time is up: asking by the command line instead would cost the machine more
 * than the daemon's start does.
 */
async function listens(pid: number, timeoutMs: number): Promise<void> {
  const endMs = performance.now() + timeoutMs
  // The host's own /run, seen through its daemon. A killed daemon leaves its socket there.
  while (performance.now() < endMs && !(await accepts(`/proc/${pid}/root/run/skein/control.sock`)))
    await new Promise(resume => setTimeout(resume, 50))
}

function accepts(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const end = (answer: boolean) => (): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', end(true)).on('error', end(false))
  })
}

/** Asks every 400 ms until `ask` gives something true. @throws when `timeoutMs` passed, with what `why` says */
export async function until<T>(
  ask: () => Promise<T | undefined | false>,
  timeoutMs: number,
  why: () => string | Promise<string>,
): Promise<T> {
  const endMs = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > endMs) throw new Error(`${await why()} (waited ${timeoutMs} ms)`)
    await new Promise(resume => setTimeout(resume, 400))
  }
}
