import { ServerCredentials, type Server } from '@grpc/grpc-js'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Registry } from 'prom-client'
import type { Clock } from '../runtime/clock.ts'
import { StatusError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { DaemonConfig } from './config.ts'
import { healthHandlers } from './health.ts'
import { controlOf, localHandlers, logsOf } from './local.ts'
import type { SkeinNode } from './node.ts'
import { delegate } from './rpc/delegate.ts'
import { localIdentifier } from './rpc/peer.ts'
import { addService, createRpcServer } from './rpc/server.ts'

/** Where the daemon of a run directory listens for the command line. */
export const socketPath = (runDir: string): string => join(runDir, 'control.sock')

const OWNER_AND_GROUP = 0o660
/** Of sun_path without its final zero: a longer path would be cut short in silence (unix(7)). */
const MAX_PATH_BYTES = 107

/**
 * Serves the local socket for as long as the daemon runs, whatever the node is.
 *
 * @throws StatusError FailedPrecondition when another daemon answers on it, InvalidArgument when its path is too long
 */
export async function serveControlSocket(
  node: SkeinNode,
  deps: {
    readonly config: DaemonConfig
    readonly clock: Clock
    readonly log: Log
    readonly registry: Registry
  },
): Promise<Server> {
  const { config } = deps
  const path = socketPath(config.runDir)
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new StatusError(
      'InvalidArgument',
      `${path} is longer than a socket's path may be (${MAX_PATH_BYTES} bytes); choose a shorter --run-dir`,
    )
  }
  await mkdir(config.runDir, { recursive: true, mode: 0o755 })
  if (await answers(path)) {
    throw new StatusError(
      'FailedPrecondition',
      `another skein daemon runs with ${path}; stop it, or choose another --run-dir and --data-dir`,
    )
  }
  await rm(path, { force: true })

  const server = createRpcServer()
  const rpc = { ...deps, identify: localIdentifier(() => node.membership?.identity.nodeId ?? '') }
  addService(server, 'Local', localHandlers(node, deps), rpc)
  addService(
    server,
    'Control',
    delegate('Control', () => controlOf(node)),
    rpc,
  )
  addService(
    server,
    'Logs',
    delegate('Logs', () => logsOf(node)),
    rpc,
  )
  addService(
    server,
    'Health',
    healthHandlers(() => node.membership?.managing?.manager),
    rpc,
  )
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), error =>
      error ? reject(error) : resolve(),
    )
  })
  await chmod(path, OWNER_AND_GROUP)
  return server
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const end = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.on('connect', () => end(true))
    socket.on('error', () => end(false))
  })
}
