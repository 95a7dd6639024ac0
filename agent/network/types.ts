import type { NetworkTable, NodePeer, Task } from '../../proto/index.ts'

/** What the managers say of the networks this node takes part in. `revision` is that of the assignments. */
export interface NetworkState {
  readonly nodeId: string
  /** This node's data-path address. */
  readonly address: string
  readonly revision: number
  readonly networks: ReadonlyMap<string, NetworkTable>
  readonly peers: ReadonlyMap<string, NodePeer>
}

/** How a container joins one network: the engine's network and the endpoint the manager allocated. */
export interface EngineAttachment {
  readonly networkId: string
  /** Name of the engine's network. */
  readonly engineNetwork: string
  readonly address: string
  readonly mac: string
}

/** What the executor puts into a container so that it is on its networks. */
export interface TaskNetworking {
  readonly attachments: readonly EngineAttachment[]
  /** HostConfig.Dns. Empty when the task is on no overlay. */
  readonly dns: readonly string[]
  /** Content of /etc/resolv.conf to bind-mount; undefined leaves the engine's. */
  readonly resolvConf: string | undefined
}

/** The agent's network half, as the executor and the worker use it. */
export interface Networks {
  /** Takes a new state; programming the kernel follows. Never throws. */
  update(state: NetworkState): void
  /**
   * Makes sure the kernel and the engine have what the task's networks need, and waits (at most `timeoutMs`) until the
   * table has this node's gateways.
   * @throws StatusError naming the network and what is wrong (subnet overlaps a host route …)
   */
  prepare(task: Task, timeoutMs: number): Promise<TaskNetworking>
  /** The task's container started: its bridge ports get their flags. */
  started(task: Task): Promise<void>
  /** Revision the kernel has, and what could not be programmed. */
  applied(): { readonly revision: number; readonly problems: readonly string[] }
  stop(): Promise<void>
}
