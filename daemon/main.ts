// `skein daemon`: the one process on a host. Puts the effects in, starts the node, and dies loudly when it must.
import { CommanderError } from 'commander'
import { Registry } from 'prom-client'
import { hostCommands } from '../agent/network/commands.ts'
import { systemClock } from '../runtime/clock.ts'
import { StatusError, messageOf } from '../runtime/errors.ts'
import { systemFs } from '../runtime/fs.ts'
import { jsonLog } from '../runtime/log.ts'
import { systemRandom } from '../runtime/random.ts'

import { configFile, daemonCommand, resolveConfig, splitAddress } from './config.ts'
import { serveControlSocket, socketPath } from './control-socket.ts'
import { lockDataDir } from './data-lock.ts'
import { clusterMetrics } from './http/cluster-metrics.ts'
import { discoverTargets } from './http/discovery.ts'
import { httpServer, listen } from './http/server.ts'
import { SkeinNode } from './node.ts'
import { processMetrics } from './process-metrics.ts'
import { VERSION } from './version.ts'

const STOP_LIMIT_MS = 25_000
/** As docker run: the program was called wrongly, or could not begin. */
const BAD_USAGE = 125

async function main(): Promise<void> {
  const command = daemonCommand().exitOverride().version(VERSION).parse()
  const flags = command.opts<Record<string, unknown>>()
  const config = resolveConfig(
    flags,
    process.env,
    await configFile(systemFs, String(flags['config'])),
  )
  await lockDataDir(config.dataDir, 'skein daemon')
  const log = jsonLog(config.logLevel)
  const registry = new Registry()
  processMetrics(registry)
  const die = (reason: string, error: unknown): void => {
    log.error(reason, {
      error: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    })
    process.exit(1)
  }
  process.on('uncaughtException', error => die('uncaught exception', error))
  process.on('unhandledRejection', error => die('unhandled rejection', error))

  const node = new SkeinNode({
    config,
    log,
    clock: systemClock,
    random: systemRandom,
    fs: systemFs,
    commands: hostCommands,
    processRegistry: registry,
    onFatal: error => die('the manager cannot go on', error),
  })
  const socket = await serveControlSocket(node, { config, log, clock: systemClock, registry })
  const http = httpServer({
    registry: () => node.registry,
    clusterRegistry: clusterMetrics(() => node.membership?.managing?.manager.store),
    targets: () => {
      const store = node.membership?.managing?.manager.store
      if (!store) throw new StatusError('Unavailable', 'this node is not a manager; ask a manager')
      return store.view(tx => {
        const [cluster] = tx.list('cluster')
        return discoverTargets(tx.list('node'), cluster?.spec?.annotations?.name ?? '')
      })
    },
    notReady: () => notReady(node),
  })
  await listen(http, splitAddress(config.metricsListen))
  await node.start()
  log.info('skein is up', {
    version: VERSION,
    socket: socketPath(config.runDir),
    hostname: config.hostname,
  })

  const stop = (signal: string): void => {
    log.info('stopping', { signal })
    systemClock.after(STOP_LIMIT_MS, () => die('stopping took too long', new Error(signal)))
    http.close()
    http.closeAllConnections()
    node
      .stop()
      .then(() => {
        socket.forceShutdown()
        process.exit(0)
      })
      .catch((error: unknown) => die('stopping failed', error))
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

function notReady(node: SkeinNode): string | undefined {
  const { membership, error } = node
  if (!membership) return error ?? 'the node is of no cluster'
  const status = membership.working?.agent.status()
  return status?.connected ? undefined : 'no session with a manager'
}

main().catch((error: unknown) => {
  // Commander has told what is wrong, or what was asked for.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : BAD_USAGE)
  process.stderr.write(`Error: ${messageOf(error)}\n`)
  process.exit(error instanceof StatusError ? 1 : BAD_USAGE)
})
