// A daemon's node on real files: 127.0.0.1 with a free port, no engine behind its socket path, a host without network tools.
import type { Test } from 'tap'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { resolveConfig, type DaemonConfig } from '../../daemon/config.ts'
import { SkeinNode } from '../../daemon/node.ts'
import { make } from '../../proto/codec.ts'
import { v1 } from '../../proto/index.ts'
import { sleep, systemClock } from '../../runtime/clock.ts'
import { StatusError } from '../../runtime/errors.ts'
import { systemFs } from '../../runtime/fs.ts'
import { MemoryLog } from '../../runtime/log.ts'
import { systemRandom } from '../../runtime/random.ts'

export const clock = systemClock
export const init = (asked: object = {}) =>
  make(v1.InitRequest, { advertiseAddress: '127.0.0.1', ...asked })

/** Below the ports that connections take for themselves, so that what is free now is free when the daemon binds it. */
const PORTS = { first: 20_000, count: 10_000 }
/** Apart for processes whose ids are neighbours: they are of one test run. */
let nextPort = process.pid * 101

export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + (nextPort++ % PORTS.count)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.on('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

export async function aConfig(t: Test): Promise<DaemonConfig> {
  // Not t.testdir(): a test may have several nodes, and a socket's path has at most 107 bytes.
  const runDir = mkdtempSync(join(tmpdir(), 'skein-'))
  t.teardown(() => rmSync(runDir, { recursive: true }))
  const flags = {
    dataDir: join(runDir, 'state'),
    runDir,
    listen: `127.0.0.1:${await freePort()}`,
    metricsListen: '127.0.0.1:9477',
    engineSocket: join(runDir, 'no-engine.sock'),
    hostname: 'h1',
  }
  return resolveConfig(flags, {}, undefined)
}

export interface Daemon {
  readonly node: SkeinNode
  readonly log: MemoryLog
  readonly processRegistry: Registry
}

/** A daemon's node over what stands in the directory; stopped when the test ends. */
export function aDaemon(t: Test, config: DaemonConfig): Daemon {
  const log = new MemoryLog()
  const processRegistry = new Registry()
  const node = new SkeinNode({
    config,
    clock,
    log,
    processRegistry,
    random: systemRandom,
    fs: systemFs,
    commands: {
      run: async argv => {
        throw new StatusError('NotFound', `${argv[0]} is not installed on this host`)
      },
    },
    onFatal: error => t.fail(error.message),
  })
  t.teardown(() => node.stop())
  return { node, log, processRegistry }
}

export async function until(holds: () => boolean, what: string): Promise<void> {
  const untilMs = clock.monotonic() + 20_000
  while (!holds()) {
    if (clock.monotonic() > untilMs) throw new Error(`waited 20 s for ${what}`)
    await sleep(clock, 20)
  }
}

export const leads = (node: SkeinNode) => (): boolean =>
  node.membership?.managing?.manager.isLeader() === true

/** Files below a directory, without the directories. */
export function filesOf(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .toSorted()
}
