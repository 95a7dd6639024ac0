import { isDeepStrictEqual } from 'node:util'
import type { NetworkTable, Task } from '../../proto/index.ts'
import type { Change, ReadTx } from '../state/store/types.ts'
import { isLive, networkTable } from './assignments.ts'

/**
 * The endpoint tables of all networks, rebuilt one by one when something in them changed. A table that comes out the same
 * stays the same object, and so do its entries.
 */
export class NetworkTables {
  readonly #tables = new Map<string, NetworkTable>()
  readonly #members = new Map<string, Set<string>>()
  readonly #stale = new Set<string>()

  reset(tx: ReadTx): void {
    this.#members.clear()
    for (const task of tx.list('task')) this.#join(task)
    for (const id of this.#tables.keys()) this.#stale.add(id)
  }

  /** Notes what a change touches; answers the networks that may look different now. */
  notice(change: Change): readonly string[] {
    const touched = this.#touched(change)
    for (const id of touched) this.#stale.add(id)
    return touched
  }

  /** Networks the node's tasks are on, by the tables as they stand. */
  networksOfNode(nodeId: string): readonly string[] {
    return [...this.#tables.values()]
      .filter(
        table =>
          table.endpoints.some(entry => entry.nodeId === nodeId) ||
          table.gateways.some(gateway => gateway.nodeId === nodeId),
      )
      .map(table => table.networkId)
  }

  get(tx: ReadTx, networkId: string): NetworkTable | undefined {
    const before = this.#tables.get(networkId)
    if (before && !this.#stale.has(networkId)) return before
    this.#stale.delete(networkId)
    const network = tx.get('network', networkId)
    if (!network) {
      this.#tables.delete(networkId)
      return undefined
    }
    const tasks = [...(this.#members.get(networkId) ?? [])].flatMap(id => tx.get('task', id) ?? [])
    const table = networkTable(tx, network, tasks, before)
    if (before && same(before, table)) return before
    this.#tables.set(networkId, table)
    return table
  }

  #touched(change: Change): readonly string[] {
    if (change.kind === 'network') return [(change.after ?? change.before)?.id ?? '']
    if (change.kind === 'service')
      return (change.after ?? change.before)?.spec?.task?.networks.map(n => n.target) ?? []
    if (change.kind === 'node') {
      const { before, after } = change
      const moved =
        before?.status?.state !== after?.status?.state ||
        before?.status?.address !== after?.status?.address ||
        before?.description?.dataPathAddress !== after?.description?.dataPathAddress ||
        before?.description?.wireguardPublicKey !== after?.description?.wireguardPublicKey
      return moved ? this.networksOfNode((after ?? before)?.id ?? '') : []
    }
    if (change.kind !== 'task') return []
    const { before, after } = change
    if (before) this.#leave(before)
    if (after) this.#join(after)
    const same =
      before !== undefined &&
      after !== undefined &&
      before.status?.state === after.status?.state &&
      before.desiredState === after.desiredState &&
      before.nodeId === after.nodeId
    return same ? [] : ((after ?? before)?.networks.map(n => n.networkId) ?? [])
  }

  #join(task: Task): void {
    if (task.nodeId === '' || !isLive(task)) return
    for (const { networkId } of task.networks) {
      const members = this.#members.get(networkId) ?? new Set<string>()
      this.#members.set(networkId, members.add(task.id))
    }
  }

  #leave(task: Task): void {
    for (const { networkId } of task.networks) this.#members.get(networkId)?.delete(task.id)
  }
}

function same(a: NetworkTable, b: NetworkTable): boolean {
  return (
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every((entry, at) => entry === b.endpoints[at]) &&
    isDeepStrictEqual({ ...a, endpoints: [] }, { ...b, endpoints: [] })
  )
}
