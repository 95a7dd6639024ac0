import type * as grpc from '@grpc/grpc-js'
import { clientDuplex } from '../proto/duplex.ts'
import { clientFor, type Client } from '../proto/grpc.ts'
import { v1, type AgentMessage, type ManagerMessage, type StreamFrame } from '../proto/index.ts'
import type { Duplex } from '../runtime/duplex.ts'

type V1 = typeof v1
export type RaftClient = Client<InstanceType<V1['Raft']>, V1>
export type ControlClient = Client<InstanceType<V1['Control']>, V1>

/** A dead host answers nothing and closes nothing: keepalive ends its connections within about four seconds. */
const OPTIONS: grpc.ClientOptions = {
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // Channels would share connections, and so the certificate of the first of them.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_send_message_length': 64 * 1024 * 1024,
}

/** Connections of this node to managers, one a service and address, kept until close(). */
export class Dialer {
  readonly #credentials: grpc.ChannelCredentials
  readonly #clients = new Map<string, grpc.Client>()

  constructor(credentials: grpc.ChannelCredentials) {
    this.#credentials = credentials
  }

  /** The agent's conversation with the manager at `address` (host:port). */
  session(address: string): Duplex<ManagerMessage, AgentMessage> {
    const client = this.#client('dispatcher', address, () => v1.Dispatcher)
    return clientDuplex(client.session() as never)
  }

  /** The bytes of one request the manager made of this node. */
  stream(address: string): Duplex<StreamFrame, StreamFrame> {
    const client = this.#client('dispatcher', address, () => v1.Dispatcher)
    return clientDuplex(client.stream() as never)
  }

  raft(address: string): RaftClient {
    return this.#client('raft', address, () => v1.Raft)
  }

  control(address: string): ControlClient {
    return this.#client('control', address, () => v1.Control)
  }

  /**
   * The next call makes a connection of its own, with the certificate that is valid then. Also the end of all: streams
   * that are open end by themselves.
   */
  close(): void {
    for (const client of this.#clients.values()) client.close()
    this.#clients.clear()
  }

  #client<S extends object>(
    service: string,
    address: string,
    type: () => { prototype: S },
  ): Client<S, V1> {
    const key = `${service} ${address}`
    const kept = this.#clients.get(key) as Client<S, V1> | undefined
    const client = kept ?? clientFor(type(), v1, address, this.#credentials, OPTIONS)
    this.#clients.set(key, client)
    return client
  }
}
