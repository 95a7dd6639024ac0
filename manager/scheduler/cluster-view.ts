import type { Network, Node, Task, Volume } from '../../proto/index.ts'
import { isTerminal, observedState } from '../../services/model/task.ts'
import { holderOf } from '../allocator/addresses.ts'
import type { Change, ReadTx } from '../state/store/types.ts'
import { NodeInfo } from './node-info.ts'

/**
 * Everything placement looks at, kept in step with the store so that no pass reads all tasks. Decisions are put in as
 * soon as they are made, and taken out again when the store refuses them.
 */
export class ClusterView {
  readonly nodes = new Map<string, NodeInfo>()
  readonly networks = new Map<string, Network>()
  readonly #volumes = new Map<string, Volume>()
  readonly #volumesByName = new Map<string, Set<string>>()
  /** "network/address" → group of each task that has it. */
  readonly #addresses = new Map<string, Map<string, { group: string; name: string }>>()
  readonly #tasks = new Map<string, Task>()

  static of(tx: ReadTx): ClusterView {
    const view = new ClusterView()
    view.reset(tx)
    return view
  }

  reset(tx: ReadTx): void {
    this.nodes.clear()
    this.networks.clear()
    this.#volumes.clear()
    this.#volumesByName.clear()
    this.#addresses.clear()
    this.#tasks.clear()
    for (const node of tx.list('node')) this.nodes.set(node.id, new NodeInfo(node))
    for (const network of tx.list('network')) this.networks.set(network.id, network)
    for (const volume of tx.list('volume')) this.#putVolume(volume.id, volume)
    for (const task of tx.list('task')) this.putTask(task)
  }

  apply(change: Change): void {
    const id = (change.after ?? change.before)?.id ?? ''
    if (change.kind === 'task') {
      if (change.after) this.putTask(change.after)
      else this.removeTask(id)
    } else if (change.kind === 'node') {
      this.#putNode(id, change.after)
    } else if (change.kind === 'network') {
      if (change.after) this.networks.set(id, change.after)
      else this.networks.delete(id)
    } else if (change.kind === 'volume') {
      this.#putVolume(id, change.after)
    }
  }

  putTask(task: Task): void {
    this.removeTask(task.id)
    this.#tasks.set(task.id, task)
    if (task.nodeId !== '') this.nodes.get(task.nodeId)?.put(task)
    if (isTerminal(observedState(task))) return
    const { group, name } = holderOf(task)
    for (const { networkId, address } of task.networks) {
      const key = `${networkId}/${address}`
      const holders = this.#addresses.get(key) ?? new Map<string, { group: string; name: string }>()
      this.#addresses.set(key, holders.set(task.id, { group, name }))
    }
  }

  removeTask(taskId: string): void {
    const task = this.#tasks.get(taskId)
    if (!task) return
    this.#tasks.delete(taskId)
    if (task.nodeId !== '') this.nodes.get(task.nodeId)?.remove(taskId)
    for (const { networkId, address } of task.networks) {
      const key = `${networkId}/${address}`
      const holders = this.#addresses.get(key)
      holders?.delete(taskId)
      if (holders?.size === 0) this.#addresses.delete(key)
    }
  }

  task(id: string): Task | undefined {
    return this.#tasks.get(id)
  }

  tasks(): Iterable<Task> {
    return this.#tasks.values()
  }

  /** A live task outside the group that has the address, by name. */
  addressHolder(networkId: string, address: string, group: string): string | undefined {
    for (const holder of this.#addresses.get(`${networkId}/${address}`)?.values() ?? [])
      if (holder.group !== group) return holder.name
    return undefined
  }

  /** The node that has the copy of the named volume that belongs to `owner`. */
  volumeNode(name: string, owner: string): string | undefined {
    for (const id of this.#volumesByName.get(name) ?? []) {
      const copy = this.#volumes.get(id)?.copies.find(other => other.owner === owner)
      if (copy) return copy.nodeId
    }
    return undefined
  }

  #putVolume(id: string, volume: Volume | undefined): void {
    const before = this.#volumes.get(id)?.spec?.annotations?.name
    if (before !== undefined) this.#volumesByName.get(before)?.delete(id)
    if (!volume) {
      this.#volumes.delete(id)
      return
    }
    this.#volumes.set(id, volume)
    const name = volume.spec?.annotations?.name ?? ''
    const ids = this.#volumesByName.get(name) ?? new Set<string>()
    this.#volumesByName.set(name, ids.add(id))
  }

  #putNode(id: string, node: Node | undefined): void {
    const info = this.nodes.get(id)
    if (!node) this.nodes.delete(id)
    else if (info) info.setNode(node)
    else {
      const made = new NodeInfo(node)
      this.nodes.set(id, made)
      for (const task of this.#tasks.values()) if (task.nodeId === id) made.put(task)
    }
  }
}
