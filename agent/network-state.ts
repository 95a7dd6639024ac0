// The network half of the assignments: tables and peers as they stand, and which revision of them the kernel has.
import type { Assignments, EndpointEntry, NetworkTable, NodePeer } from '../proto/index.ts'
import type { StoredNetworks } from './storage.ts'

export interface Tables {
  readonly networks: ReadonlyMap<string, NetworkTable>
  readonly peers: ReadonlyMap<string, NodePeer>
}

export const NO_TABLES: Tables = { networks: new Map(), peers: new Map() }

/** The tables after `assignments`; the same object when nothing in them concerns networks. */
export function applyNetworks(before: Tables, assignments: Assignments): Tables {
  if (assignments.complete) {
    return tablesOf({ networks: assignments.networks, peers: assignments.peers })
  }
  if (!concernsNetworks(assignments)) return before
  const networks = new Map(before.networks)
  const peers = new Map(before.peers)
  for (const table of assignments.networks) networks.set(table.networkId, table)
  for (const id of assignments.removedNetworks) networks.delete(id)
  for (const peer of assignments.peers) peers.set(peer.nodeId, peer)
  for (const id of assignments.removedPeers) peers.delete(id)
  for (const [id, changes] of changesByNetwork(assignments)) {
    const table = networks.get(id)
    // A change to a table that this message removes says nothing.
    if (!table) continue
    const endpoints = new Map(table.endpoints.map(entry => [entry.taskId, entry]))
    for (const { removed, entry } of changes) {
      if (removed) endpoints.delete(entry.taskId)
      else endpoints.set(entry.taskId, entry)
    }
    networks.set(id, { ...table, endpoints: [...endpoints.values()] })
  }
  return { networks, peers }
}

export function tablesOf(stored: StoredNetworks): Tables {
  return {
    networks: new Map(stored.networks.map(table => [table.networkId, table])),
    peers: new Map(stored.peers.map(peer => [peer.nodeId, peer])),
  }
}

export function storedOf(tables: Tables): StoredNetworks {
  return { networks: [...tables.networks.values()], peers: [...tables.peers.values()] }
}

function concernsNetworks(assignments: Assignments): boolean {
  const { networks, removedNetworks, endpoints, peers, removedPeers } = assignments
  return [networks, removedNetworks, endpoints, peers, removedPeers].some(list => list.length > 0)
}

interface Change {
  readonly removed: boolean
  readonly entry: EndpointEntry
}

function changesByNetwork(assignments: Assignments): Map<string, Change[]> {
  const byNetwork = new Map<string, Change[]>()
  for (const { networkId, removed, entry } of assignments.endpoints) {
    if (!entry) continue
    const changes = byNetwork.get(networkId) ?? []
    byNetwork.set(networkId, changes)
    changes.push({ removed, entry })
  }
  return byNetwork
}

/**
 * Revisions of assignments count within a session, those handed to the kernel's programmer for as long as the process
 * lives. This remembers which is which, so that what an earlier session applied is never acknowledged in a later one.
 */
export class RevisionMarks {
  #local = 0
  #marks: { readonly local: number; readonly revision: number }[] = []

  /** The number of the next state for the kernel's programmer. */
  advance(): number {
    this.#local += 1
    return this.#local
  }

  /** The assignments at `revision` need nothing of the kernel beyond the last state handed out. */
  mark(revision: number): void {
    const last = this.#marks.at(-1)
    if (last?.local === this.#local) this.#marks.pop()
    this.#marks.push({ local: this.#local, revision })
  }

  /** A new session: what was marked means nothing to it. */
  reset(): void {
    this.#marks = []
  }

  /** The newest revision of this session that the kernel has when it has state `local`; undefined when it has none. */
  reached(local: number): number | undefined {
    const passed = this.#marks.findLast(mark => mark.local <= local)
    if (passed) this.#marks = this.#marks.filter(mark => mark.local >= passed.local)
    return passed?.revision
  }

  /** Whether the kernel is behind when it has state `local`. */
  behind(local: number): boolean {
    return local < this.#local
  }
}
