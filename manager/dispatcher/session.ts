import type { Duplex } from '../../runtime/duplex.ts'
import { StatusError } from '../../runtime/errors.ts'
import { make } from '../../proto/codec.ts'
import { type AgentMessage, type Assignments, type ManagerMessage, v1 } from '../../proto/index.ts'
import { completeMessage, diffMessage } from './diff.ts'
import type { NodeSet } from './assignments.ts'

/** The protocol this manager speaks with agents. */
export const PROTOCOL = 1
/** Messages an agent may leave unread; one that takes nothing any more loses its session. */
export const BACKLOG_MAX = 2_000

/** One agent's conversation, from its Hello on. */
export class Session {
  readonly id: string
  readonly nodeId: string
  readonly address: string
  readonly stream: Duplex<AgentMessage, ManagerMessage>
  /** Set once the node is registered and may be sent things. */
  open = false
  #sent: NodeSet | undefined
  #revision = 0

  constructor(
    id: string,
    peer: { readonly nodeId: string; readonly address: string },
    stream: Duplex<AgentMessage, ManagerMessage>,
  ) {
    this.id = id
    this.nodeId = peer.nodeId
    this.address = peer.address
    this.stream = stream
  }

  /** Whether the agent was last sent this network. */
  knowsNetwork(id: string): boolean {
    return this.#sent?.networks.has(id) ?? false
  }

  /** Sends what changed since the last time, everything at first; answers the message that went out. */
  assign(set: NodeSet): Assignments | undefined {
    const next = this.#revision + 1
    const message = this.#sent
      ? diffMessage(this.#sent, set, this.#revision, next)
      : completeMessage(set, next)
    // What was sent is remembered as it is now even if nothing went out: its statuses moved on.
    this.#sent = set
    if (!message) return undefined
    this.#revision = next
    this.send({ assignments: message })
    return message
  }

  send(init: Parameters<typeof make<typeof v1.ManagerMessage>>[1]): void {
    if (this.stream.backlog > BACKLOG_MAX) {
      this.end(
        new StatusError('ResourceExhausted', `the agent left ${BACKLOG_MAX} messages unread`),
      )
      return
    }
    this.stream.send(make(v1.ManagerMessage, init))
  }

  end(error: StatusError): void {
    this.open = false
    this.stream.end(error)
  }
}
