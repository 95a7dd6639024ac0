// The manager half of a node: what it decides (manager/) put on the wire, while the node's role says so.
import type * as grpc from '@grpc/grpc-js'
import { type Recovered, nodeFs } from 'raft-ts'
import type { Registry } from 'prom-client'
import type { Identity } from '../agent/identity/identity.ts'
import { ANSWERED_HERE } from '../manager/controlapi/control.ts'
import { Manager, type ManagerHandlers, type ManagerOptions } from '../manager/manager.ts'
import { raftDialer } from '../manager/state/raft/dial.ts'
import { RaftMember } from '../manager/state/raft/member.ts'
import type { StateMetrics } from '../manager/state/metrics.ts'
import { unary } from '../proto/call.ts'
import { clientFor } from '../proto/grpc.ts'
import { v1, type ManagerFacts } from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { StatusError, messageOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { splitAddress, type DaemonConfig } from './config.ts'
import { healthHandlers } from './health.ts'
import { managerDisk } from './manager-disk.ts'
import { raftDir, type MemberKeys } from './member-state.ts'
import { ReplaceableCredentials } from './rpc/credentials.ts'
import { LeaderProxy } from './rpc/leader-proxy.ts'
import { certificateIdentifier } from './rpc/peer.ts'
import { addService, createRpcServer, type RpcOptions } from './rpc/server.ts'

/** How long another manager may take to say how it is. */
const ASK_MS = 3_000

export interface ManagingOptions {
  readonly config: DaemonConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly registry: Registry
  /** Where calls are counted, whichever listener they came by. */
  readonly processRegistry: Registry
  readonly metrics: StateMetrics
  /** The node's identity as it is now. */
  readonly identity: () => Identity
  readonly clientCredentials: grpc.ChannelCredentials
  readonly raftId: number
  readonly keys: MemberKeys
  /** host:port at which other nodes reach this manager. */
  readonly address: string
  readonly bootstrap: boolean
  readonly onFatal: (error: Error) => void
}

export class Managing {
  readonly manager: Manager
  /** What the local socket serves too: passed on to the leader where only it may answer. */
  readonly handlers: Pick<ManagerHandlers, 'Control' | 'Logs'>
  readonly #options: ManagingOptions
  readonly #server: grpc.Server
  readonly #credentials: ReplaceableCredentials
  readonly #proxy: LeaderProxy

  private constructor(options: ManagingOptions, manager: Manager) {
    const { clock, log, clientCredentials } = options
    this.#options = options
    this.manager = manager
    this.#credentials = new ReplaceableCredentials(options.identity())
    this.#proxy = new LeaderProxy({
      leadership: manager,
      credentials: clientCredentials,
      clock,
      log,
    })
    const plain = manager.handlers()
    this.handlers = {
      Control: this.#proxy.wrap('Control', plain.Control, ANSWERED_HERE),
      Logs: this.#proxy.wrap('Logs', plain.Logs),
    }
    this.#server = this.#serve(plain)
  }

  /** Opens the manager's state and listens. @throws StatusError DataLoss, or Unavailable when the address is taken */
  static async start(options: ManagingOptions): Promise<Managing> {
    const { metrics } = options
    const manager = await Manager.open({ ...managerOptions(options), observer: metrics.observer })
    metrics.show(manager.member)
    await options.keys.forgetUnused(manager.member.keysInUse())
    const managing = new Managing(options, manager)
    try {
      await managing.#listen()
    } catch (error) {
      await managing.stop()
      throw error
    }
    return managing
  }

  /** Makes this manager, which does not run, the only one of its group. @throws StatusError as RaftMember.recover() */
  static recover(options: ManagingOptions): Promise<Recovered> {
    return RaftMember.recover(managerOptions(options))
  }

  /** From now on new connections see the node's present certificate. */
  certificateChanged(): void {
    this.#credentials.replace(this.#options.identity())
    this.#proxy.close()
  }

  async stop(): Promise<void> {
    // Streams of agents and of other managers end here, so that they look for another manager at once.
    await this.manager
      .stop({ transfer: true })
      .catch((error: unknown) =>
        this.#options.log.warn('the manager did not stop cleanly', { error: messageOf(error) }),
      )
    this.#options.metrics.show(undefined)
    this.#proxy.close()
    this.#server.forceShutdown()
  }

  #serve(plain: ManagerHandlers): grpc.Server {
    const { clock, log, processRegistry } = this.#options
    const server = createRpcServer()
    const rpc: RpcOptions = {
      clock,
      log,
      registry: processRegistry,
      identify: certificateIdentifier({
        roots: () => this.#options.identity().rootPems,
        clusterId: () => this.#options.identity().clusterId,
        isRevoked: nodeId =>
          this.manager.store.view(tx =>
            tx
              .list('cluster')
              .some(cluster => cluster.revoked.some(entry => entry.nodeId === nodeId)),
          ),
        nowMs: () => clock.now(),
      }),
      leaderAddress: () => this.manager.leaderAddress(),
    }
    addService(server, 'CA', this.#proxy.wrap('CA', plain.CA, ['getRootCertificate']), rpc)
    addService(server, 'Control', this.handlers.Control, rpc)
    addService(server, 'Dispatcher', plain.Dispatcher, rpc)
    addService(server, 'Logs', this.handlers.Logs, rpc)
    addService(server, 'Raft', this.#proxy.wrap('Raft', plain.Raft), rpc)
    addService(
      server,
      'Health',
      healthHandlers(() => this.manager),
      rpc,
    )
    return server
  }

  #listen(): Promise<void> {
    const { listen } = this.#options.config
    const { host, port } = splitAddress(listen)
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`${host}:${port}`, this.#credentials, cause => {
        if (!cause) resolve()
        else {
          reject(
            new StatusError(
              'Unavailable',
              `cannot listen on ${listen}: ${cause.message}; is another program there? choose another with --listen`,
              { cause },
            ),
          )
        }
      })
    })
  }
}

function managerOptions(options: ManagingOptions): Omit<ManagerOptions, 'observer'> {
  const { config, clock, random, log, registry, keys } = options
  const identity = options.identity()
  const dir = raftDir(config.dataDir)
  return {
    nodeId: identity.nodeId,
    clusterId: identity.clusterId,
    raftId: options.raftId,
    address: options.address,
    bootstrap: options.bootstrap,
    dir,
    disk: () => managerDisk(dir),
    ask: address => askForFacts(options.clientCredentials, address),
    fs: nodeFs,
    sealer: keys.sealer,
    dial: raftDialer(() => options.clientCredentials),
    heartbeatMs: config.raftHeartbeatMs,
    electionTimeoutMs: config.electionTimeoutMs,
    snapshotEntries: config.snapshotEntries,
    minFreeBytes: config.minFreeMib * 1024 * 1024,
    onFatal: options.onFatal,
    clock,
    random,
    log,
    registry,
  }
}

/** What another manager says of itself. A connection of its own: it is asked seldom, and mostly when something is wrong. */
async function askForFacts(
  credentials: grpc.ChannelCredentials,
  address: string,
): Promise<ManagerFacts> {
  const client = clientFor(v1.Control, v1, address, credentials, {
    'grpc.use_local_subchannel_pool': 1,
  })
  try {
    const call = { timeoutMs: ASK_MS }
    const { facts } = await unary(client, client.getManagerStatus, { all: false }, call)
    if (facts) return facts
    throw new StatusError('Unimplemented', 'it runs an earlier release that does not tell')
  } finally {
    client.close()
  }
}
