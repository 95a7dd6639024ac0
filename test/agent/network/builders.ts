import { make } from '../../../proto/codec.ts'
import { EndpointState, v1, type NetworkTable, type NodePeer } from '../../../proto/index.ts'
import type { NetworkState } from '../../../agent/network/types.ts'

/** A network `n<k>` with subnet 10.<k>.0.0/24 and gateways .254, .253 … for the given nodes. */
export function aTable(
  k: number,
  nodes: readonly string[],
  init: Parameters<typeof make<typeof v1.NetworkTable>>[1] = {},
): NetworkTable {
  return make(v1.NetworkTable, {
    networkId: `network-${k}`,
    name: `n${k}`,
    vni: 4096 + k,
    subnet: `10.${k}.0.0/24`,
    gateways: nodes.map((nodeId, i) => ({ nodeId, address: `10.${k}.0.${254 - i}` })),
    ...init,
  })
}

export function aTask(
  taskId: string,
  address: string,
  nodeId: string,
  init: Parameters<typeof make<typeof v1.EndpointEntry>>[1] = {},
) {
  return { taskId, address, nodeId, state: EndpointState.ENDPOINT_READY, ...init }
}

/** The state of node `h1` (192.0.2.1) among h1, h2, h3. */
export function aState(tables: readonly NetworkTable[], revision = 1): NetworkState {
  const peers = ['h1', 'h2', 'h3'].map((nodeId, i): [string, NodePeer] => [
    nodeId,
    make(v1.NodePeer, { nodeId, address: `192.0.2.${i + 1}` }),
  ])
  return {
    nodeId: 'h1',
    address: '192.0.2.1',
    revision,
    networks: new Map(tables.map(table => [table.networkId, table])),
    peers: new Map(peers),
  }
}
