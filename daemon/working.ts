// The agent half of a node: the rooms of agent/ put together over the real engine, kernel and wire. Every node has it.
import Dockerode from 'dockerode'
import { join } from 'node:path'
import type { Registry } from 'prom-client'
import { Agent } from '../agent/agent.ts'
import { DockerExecutor } from '../agent/executor/docker/executor.ts'
import type { Identity } from '../agent/identity/identity.ts'
import { AgentMetrics } from '../agent/metrics.ts'
import type { Commands } from '../agent/network/commands.ts'
import { Forwarder } from '../agent/network/dns/forward.ts'
import { DnsServer } from '../agent/network/dns/server.ts'
import { systemDnsSockets } from '../agent/network/dns/sockets.ts'
import { dockerNetworkEngine } from '../agent/network/engine-network.ts'
import { readHostFacts } from '../agent/network/facts.ts'
import { Firewall } from '../agent/network/firewall.ts'
import { OverlayNetworks } from '../agent/network/manager.ts'
import { NetworkMetrics } from '../agent/network/metrics.ts'
import type { Node } from '../proto/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { messageOf } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import type { Log } from '../runtime/log.ts'
import { systemPrivateFiles } from '../runtime/private-files.ts'
import type { Random } from '../runtime/random.ts'
import { splitAddress, type DaemonConfig } from './config.ts'
import type { Dialer } from './dialer.ts'
import { VERSION } from './version.ts'

export interface WorkingOptions {
  readonly config: DaemonConfig
  readonly clock: Clock
  readonly random: Random
  readonly fs: Fs
  readonly log: Log
  readonly commands: Commands
  readonly registry: Registry
  readonly identity: Identity
  readonly dialer: Dialer
  /** The host's address to other nodes. */
  readonly address: string
  /** host:port of managers to begin with. */
  readonly managers: readonly string[]
  /** Whether the node is a manager now. */
  readonly isManager: () => boolean
  readonly onNode: (node: Node) => void
  readonly onRoots: (pems: readonly string[]) => void
}

/** Directory of everything the agent keeps. */
export const agentDir = (dataDir: string): string => join(dataDir, 'agent')

export class Working {
  readonly agent: Agent
  readonly #options: WorkingOptions
  readonly #executor: DockerExecutor
  readonly #networks: OverlayNetworks
  readonly #docker: Dockerode

  constructor(options: WorkingOptions) {
    const { config, clock, random, fs, log, registry, identity, dialer } = options
    this.#options = options
    this.#docker = new Dockerode({ socketPath: config.engineSocket })
    const metrics = new AgentMetrics(registry)
    this.#networks = this.#buildNetworks()
    this.#executor = new DockerExecutor({
      docker: this.#docker,
      clock,
      random,
      log,
      metrics,
      networks: this.#networks,
      privateFiles: systemPrivateFiles,
      nodeId: identity.nodeId,
      clusterId: identity.clusterId,
      runDir: config.runDir,
    })
    this.agent = new Agent({
      clock,
      random,
      fs,
      log: log.child({ room: 'agent' }),
      registry,
      metrics,
      executor: this.#executor,
      networks: this.#networks,
      nodeId: identity.nodeId,
      stateDir: agentDir(config.dataDir),
      managers: options.managers,
      connect: address => dialer.session(address),
      openStream: address => dialer.stream(address),
      host: () => this.#hostFacts(),
      onNode: options.onNode,
      onRoots: options.onRoots,
    })
  }

  /** Ends the agent; containers and their networks go on. */
  async stop(): Promise<void> {
    await this.agent.stop()
    await this.#networks.stop()
  }

  /** Stops and removes every container of the cluster on this node: it leaves. */
  async removeContainers(): Promise<void> {
    const containers = await this.#executor.list()
    await Promise.all(containers.map(container => this.#executor.discard(container.containerId)))
  }

  #buildNetworks(): OverlayNetworks {
    const { config, clock, random, fs, log, commands, registry } = this.#options
    const sockets = systemDnsSockets(clock)
    const metrics = new NetworkMetrics(registry)
    const networkLog = log.child({ room: 'network' })
    const forwarder = new Forwarder({ clock, random, fs, sockets, own: () => dns.addresses() })
    const dns: DnsServer = new DnsServer({
      clock,
      random,
      log: networkLog,
      sockets,
      forwarder,
      metrics,
    })
    return new OverlayNetworks({
      clock,
      random,
      log: networkLog,
      commands,
      engine: dockerNetworkEngine(this.#docker, clock),
      firewall: new Firewall(commands),
      dns,
      metrics,
      nodeName: config.hostname,
    })
  }

  async #hostFacts(): ReturnType<ConstructorParameters<typeof Agent>[0]['host']> {
    const { config, address, isManager, log, commands } = this.#options
    const facts = await readHostFacts(commands, address).catch((error: unknown) => {
      log.warn('the host’s network cannot be read', { error: messageOf(error) })
      return { underlayMtu: 0, hostRoutes: [] }
    })
    return {
      ...facts,
      hostname: config.hostname,
      skeinVersion: VERSION,
      dataPathAddress: address,
      metricsAddress: `${address}:${splitAddress(config.metricsListen).port}`,
      apiAddress: isManager() ? `${address}:${splitAddress(config.listen).port}` : '',
    }
  }
}
