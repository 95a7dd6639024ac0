// Three managers on a lab: processes that are restarted when they die, as systemd would, and spoken to over their sockets.
import * as grpc from '@grpc/grpc-js'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { unary } from '../../proto/call.ts'
import { type Client, clientFor } from '../../proto/grpc.ts'
import { v1 } from '../../proto/index.ts'
import type { Host, Lab } from '../lab/lab.ts'
import { Cluster } from '../support/cluster.ts'

export type Control = Client<InstanceType<typeof v1.Control>, typeof v1>

const RESTART_MS = 300
/** The disk that gets full is a small one. It holds segments, snapshots and room for ten minutes of writes. */
const SMALL_DISK = '256m'

export interface ManagersOptions {
  /** The last host's state is on a small disk of its own. @default true */
  readonly smallDisk?: boolean
  /** Wall clocks can be moved; costs each look at the clock a little. @default true */
  readonly fakeClocks?: boolean
}

export class Managers {
  readonly cluster: Cluster
  readonly hosts: readonly Host[]
  /** How often a daemon had to be started again. */
  restarts = 0
  readonly #clients = new Map<string, { pid: number; control: Control }>()
  readonly #held = new Set<Host>()
  #supervising: Promise<void> | undefined
  #over = false

  private constructor(cluster: Cluster) {
    this.cluster = cluster
    this.hosts = cluster.lab.hosts
  }

  /** Makes a cluster of all hosts. */
  static async up(
    lab: Lab,
    log: (line: string) => void,
    options: ManagersOptions = {},
  ): Promise<Managers> {
    for (const host of lab.hosts) {
      mkdirSync(join(host.dir, 'skein'), { recursive: true })
      writeFileSync(clockFile(host), '+0')
    }
    const small = lab.hosts.at(-1)
    if (small && options.smallDisk !== false) await mountSmallDisk(small)
    const fake = options.fakeClocks !== false
    return new Managers(await Cluster.up(lab, { log, ...(fake && { daemonEnv: fakeClock }) }))
  }

  supervise(): void {
    this.#supervising = this.#keepUp()
  }

  /** Starts nothing any more. */
  async leaveAlone(): Promise<void> {
    this.#over = true
    await this.#supervising
  }

  control(host: Host): Control {
    const pid = this.cluster.daemonPid(host)
    const known = this.#clients.get(host.name)
    if (known?.pid === pid) return known.control
    known?.control.close()
    // The host's own /run, seen through its daemon.
    const socket = `unix:/proc/${pid}/root/run/skein/control.sock`
    const control = clientFor(v1.Control, v1, socket, grpc.credentials.createInsecure(), {
      'grpc.max_reconnect_backoff_ms': 500,
      'grpc.initial_reconnect_backoff_ms': 50,
    })
    this.#clients.set(host.name, { pid, control })
    return control
  }

  /** The host that leads, by the word of whoever answers. */
  async leader(): Promise<Host | undefined> {
    const views = await Promise.all(this.hosts.map(host => this.#status(host)))
    const leading = views.filter(view => view?.role === 'leader')
    const newest = leading.toSorted((a, b) => (b?.term ?? 0) - (a?.term ?? 0))[0]
    return newest?.host
  }

  /** Whether all answer, follow one leader in one term, and have applied what it had committed when asked. */
  async settled(): Promise<boolean> {
    const before = await Promise.all(this.hosts.map(host => this.#status(host)))
    const leader = before.find(view => view?.role === 'leader')
    if (!leader) return false
    const after = await Promise.all(this.hosts.map(host => this.#status(host)))
    return after.every(
      view =>
        view !== undefined &&
        view.term === leader.term &&
        view.leader === leader.leader &&
        view.appliedIndex >= leader.commitIndex,
    )
  }

  /** The newest term that any of them knows. */
  async term(): Promise<number> {
    const views = await Promise.all(this.hosts.map(host => this.#status(host)))
    return Math.max(...views.map(view => view?.term ?? 0))
  }

  kill(host: Host): void {
    this.#signal(host, 'SIGKILL')
  }

  pause(host: Host): void {
    this.#signal(host, 'SIGSTOP')
  }

  resume(host: Host): void {
    this.#signal(host, 'SIGCONT')
  }

  /** Keeps a daemon that died down until `release`. */
  hold(host: Host): void {
    this.#held.add(host)
  }

  release(host: Host): void {
    this.#held.delete(host)
  }

  /** The wall clock of the host's daemon is off by this much from now on. */
  setClock(host: Host, offsetSeconds: number): void {
    writeFileSync(clockFile(host), `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}`)
  }

  /** Writes until there is no room; only on the host whose disk is small. */
  async fillDisk(host: Host): Promise<void> {
    const filler = join(host.dir, 'skein', 'filler')
    await host.exec(['sh', '-c', `cat /dev/zero > ${filler} 2>/dev/null || true`])
  }

  async freeDisk(host: Host): Promise<void> {
    await host.exec(['rm', '-f', join(host.dir, 'skein', 'filler')])
  }

  close(): void {
    for (const { control } of this.#clients.values()) control.close()
  }

  async #keepUp(): Promise<void> {
    while (!this.#over) {
      for (const host of this.hosts) {
        if (this.#over || this.#held.has(host) || this.#runs(host)) continue
        this.restarts++
        // A daemon may end at once, on a full disk for one: then it is started again, and again.
        await this.cluster.spawnDaemon(host).catch(() => undefined)
      }
      await sleep(RESTART_MS)
    }
  }

  async #status(host: Host): Promise<
    | {
        host: Host
        role: string
        term: number
        leader: number
        commitIndex: number
        appliedIndex: number
      }
    | undefined
  > {
    try {
      const control = this.control(host)
      const status = await unary(control, control.getManagerStatus, {}, { timeoutMs: 500 })
      return { host, ...status }
    } catch {
      return undefined
    }
  }

  #runs(host: Host): boolean {
    return existsSync(`/proc/${this.cluster.daemonPid(host)}`)
  }

  #signal(host: Host, signal: NodeJS.Signals): void {
    if (this.#runs(host)) process.kill(this.cluster.daemonPid(host), signal)
  }
}

async function mountSmallDisk(host: Host): Promise<void> {
  const path = join(host.dir, 'skein')
  const { code, stderr } = await host.exec([
    'mount',
    '-t',
    'tmpfs',
    '-o',
    `size=${SMALL_DISK},mode=700`,
    'tmpfs',
    path,
  ])
  if (code !== 0) throw new Error(`no small disk for ${host.name}: ${stderr}`)
}

function clockFile(host: Host): string {
  return join(host.dir, 'clock')
}

/**
 * Wall time as libfaketime says it; the monotonic clock is the machine's own. A real clock that jumps does the same: the
 * kernel steps CLOCK_REALTIME alone.
 */
function fakeClock(host: Host): Record<string, string> {
  return {
    LD_PRELOAD: '/usr/$LIB/faketime/libfaketimeMT.so.1',
    FAKETIME_TIMESTAMP_FILE: clockFile(host),
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  }
}
