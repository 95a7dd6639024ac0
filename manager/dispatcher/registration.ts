// What happens between an agent's hello and the first assignments: who speaks the protocol, what is stored of the node,
// and what the agent is told of the cluster.
import { StatusError } from '../../runtime/errors.ts'
import {
  type AgentMessage,
  type Cluster,
  type Node,
  type NodeDescription,
  NodeState,
} from '../../proto/index.ts'
import type { LeaderDeps } from '../loop.ts'
import { PROTOCOL, type Session } from './session.ts'

export type Hello = NonNullable<Extract<AgentMessage, { readonly message?: 'hello' }>['hello']>

/**
 * What the agent says of its node.
 * @throws StatusError FailedPrecondition for another protocol, InvalidArgument without a description
 */
export function descriptionOf(hello: Hello): NodeDescription {
  if (hello.protocol !== PROTOCOL)
    throw new StatusError(
      'FailedPrecondition',
      `the agent speaks protocol ${hello.protocol}, this manager ${PROTOCOL}: install the same version of Skein on both`,
    )
  if (!hello.description)
    throw new StatusError('InvalidArgument', 'the hello has no description of the node')
  return hello.description
}

/** READY, with what the agent says of itself (row DP-02). @throws StatusError NotFound for a removed node */
export function register(
  { store, clock }: Pick<LeaderDeps, 'store' | 'clock'>,
  session: Session,
  description: NodeDescription,
): Promise<Node> {
  return store.update(
    tx => {
      const node = tx.get('node', session.nodeId)
      if (!node)
        throw new StatusError(
          'NotFound',
          `node ${session.nodeId} is not in the cluster; it may have been removed: join again`,
        )
      const wasReady = node.status?.state === NodeState.NODE_READY
      const registered: Node = {
        ...node,
        description,
        status: {
          state: NodeState.NODE_READY,
          message: '',
          address: session.address,
          sinceMs: wasReady ? (node.status?.sinceMs ?? clock.now()) : clock.now(),
          observedAtMs: clock.now(),
        },
      }
      tx.update('node', registered)
      return registered
    },
    { author: session.nodeId },
  )
}

/** The first messages of a session: the welcome, where the managers are, which roots to trust. */
export function introduce(
  session: Session,
  about: {
    readonly cluster: Cluster | undefined
    readonly node: Node
    readonly heartbeatMs: number
    readonly managers: readonly string[]
  },
): void {
  const { cluster, node, heartbeatMs, managers } = about
  session.send({
    welcome: { sessionId: session.id, heartbeatMs, clusterId: cluster?.id ?? '', node },
  })
  session.send({ managers: { addresses: managers } })
  const pem = [cluster?.rootCa?.certificatePem, cluster?.rootCa?.nextCertificatePem]
  session.send({ roots: { pem: pem.filter(text => text) as string[] } })
}
