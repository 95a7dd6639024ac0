import type { Network } from '../../proto/index.ts'
import { isTerminal, observedState } from '../../services/model/task.ts'
import type { ReadTx, Tx } from '../state/store/types.ts'
import type { Taking } from './addresses.ts'

/** How long a node keeps its gateway on a network after its last task there. */
export const GATEWAY_IDLE_MS = 60_000

/**
 * Gives the node its address on the network, in the transaction that brings the network's first task there (row AL-07).
 * Silent when it has one.
 *
 * @throws StatusError ResourceExhausted naming the subnet
 */
export function ensureGateway(tx: Tx, taking: Taking, networkId: string, nodeId: string): void {
  const network = tx.get('network', networkId)
  if (!network || network.gateways.some(gateway => gateway.nodeId === nodeId)) return
  const address = taking.gateway(networkId, nodeId)
  if (address === undefined) return
  tx.update('network', { ...network, gateways: [...network.gateways, { nodeId, address }] })
}

/** Nodes of the network that hold a gateway nobody needs: without a task on it, or removed from the cluster. */
export function idleGateways(tx: ReadTx, network: Network): readonly string[] {
  return network.gateways
    .map(gateway => gateway.nodeId)
    .filter(
      nodeId =>
        !tx.get('node', nodeId) ||
        !tx
          .tasksOnNode(nodeId)
          .some(
            task =>
              !isTerminal(observedState(task)) &&
              task.networks.some(attachment => attachment.networkId === network.id),
          ),
    )
}

/** Takes the gateways of `nodeIds` away, those still idle. */
export function returnGateways(tx: Tx, networkId: string, nodeIds: readonly string[]): void {
  const network = tx.get('network', networkId)
  if (!network) return
  const idle = new Set(idleGateways(tx, network).filter(nodeId => nodeIds.includes(nodeId)))
  if (idle.size === 0) return
  const gateways = network.gateways.filter(gateway => !idle.has(gateway.nodeId))
  tx.update('network', { ...network, gateways })
}
