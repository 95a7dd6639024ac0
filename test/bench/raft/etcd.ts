// Debian's etcd: three members on loopback, as it comes, its data on the disk that ours is on.
import { type ChildProcess, spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { until } from '../../support/cluster.ts'

const NAMES = ['e1', 'e2', 'e3']

export class Etcd {
  readonly #processes: readonly ChildProcess[]
  readonly #clients: readonly string[]

  private constructor(processes: readonly ChildProcess[], clients: readonly string[]) {
    this.#processes = processes
    this.#clients = clients
  }

  static async up(dir: string): Promise<Etcd> {
    const ports = await freePorts(2 * NAMES.length)
    const peer = (i: number): string => `http://127.0.0.1:${ports[i]}`
    const client = (i: number): string => `127.0.0.1:${ports[NAMES.length + i]}`
    const initial = NAMES.map((name, i) => `${name}=${peer(i)}`).join(',')
    const processes = NAMES.map((name, i) => {
      const log = openSync(join(dir, `${name}.log`), 'a')
      const http = `http://${client(i)}`
      const options = {
        name,
        'data-dir': join(dir, name),
        'listen-peer-urls': peer(i),
        'initial-advertise-peer-urls': peer(i),
        'listen-client-urls': http,
        'advertise-client-urls': http,
        'initial-cluster': initial,
        'log-level': 'error',
      }
      const flags = Object.entries(options).map(([option, value]) => `--${option}=${value}`)
      return spawn('etcd', flags, { stdio: ['ignore', log, log] })
    })
    const etcd = new Etcd(
      processes,
      NAMES.map((_, i) => client(i)),
    )
    await until(
      () => etcd.leader().catch(() => undefined),
      30_000,
      () => `etcd elects no leader; its logs are in ${dir}`,
    )
    return etcd
  }

  /** host:port for clients of the leader. */
  async leader(): Promise<string | undefined> {
    for (const address of this.#clients) {
      const answer = await fetch(`http://${address}/v3/maintenance/status`, {
        method: 'POST',
        body: '{}',
      })
      const status = (await answer.json()) as { header?: { member_id?: string }; leader?: string }
      if (status.leader !== undefined && status.leader === status.header?.member_id) return address
    }
    return undefined
  }

  async down(): Promise<void> {
    await Promise.all(
      this.#processes.map(
        child =>
          new Promise<void>(resolve => {
            if (child.exitCode !== null) return resolve()
            child.once('exit', () => resolve())
            child.kill('SIGKILL')
          }),
      ),
    )
  }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>(resolve => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}
