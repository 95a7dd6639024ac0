import type { Network, Service, Task } from '../../proto/index.ts'
import { wantedReplicas } from '../../services/model/service.ts'
import { isTerminal, observedState, taskName } from '../../services/model/task.ts'
import { addressFor } from '../../services/template/expand.ts'
import type { LeaderLoop } from '../loop.ts'
import type { Change, ReadTx, Store } from '../state/store/types.ts'
import { AddressPool, type Holder } from './ipam.ts'

/**
 * The pools of all networks, kept in step with the store. Allocator and scheduler both take from them, and the store
 * checks only objects that are written against each other, so they take turns (`exclusive`): what one has committed is
 * in the pools before the other looks.
 */
export class Addresses implements LeaderLoop {
  readonly name = 'addresses'
  readonly #store: Store
  readonly #pools = new Map<string, AddressPool>()
  #unwatch: (() => void) | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(store: Store) {
    this.#store = store
  }

  start(): void {
    this.#rebuild()
    this.#unwatch = this.#store.watch(batch => {
      if (batch.reset) this.#rebuild()
      else for (const change of batch.changes) this.#notice(change)
    })
  }

  async stop(): Promise<void> {
    this.#unwatch?.()
    await this.#turn
    this.#pools.clear()
  }

  /** The pool of a network that has its subnet. */
  pool(networkId: string): AddressPool | undefined {
    return this.#pools.get(networkId)
  }

  /** Runs `work` when nobody else takes addresses. What it took and did not commit is given back at its end. */
  async exclusive<T>(work: (taking: Taking) => Promise<T>): Promise<T> {
    const before = this.#turn
    const taking = new Taking(this.#pools)
    const mine = (async () => {
      await before
      try {
        return await work(taking)
      } finally {
        taking.begin()
      }
    })()
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  #rebuild(): void {
    this.#pools.clear()
    this.#store.view(tx => {
      for (const network of tx.list('network')) this.#network(undefined, network, tx)
    })
  }

  #notice(change: Change): void {
    if (change.kind === 'task') {
      this.#task(change.before, change.after)
    } else if (change.kind === 'network') {
      this.#store.view(tx => this.#network(change.before, change.after, tx))
    } else if (change.kind === 'service') {
      const ids = new Set([...networksOf(change.before), ...networksOf(change.after)])
      this.#store.view(tx => {
        for (const id of ids) this.#declare(id, tx)
      })
    }
  }

  #task(before: Task | undefined, after: Task | undefined): void {
    if (before && holdsAddresses(before) && !(after && holdsAddresses(after)))
      for (const { networkId, address } of before.networks)
        if (address !== '') this.#pools.get(networkId)?.release(address, before.id)
    if (after && holdsAddresses(after))
      for (const { networkId, address } of after.networks)
        if (address !== '') this.#pools.get(networkId)?.hold(address, holderOf(after))
  }

  #network(before: Network | undefined, after: Network | undefined, tx: ReadTx): void {
    if (!after || after.subnet === '') {
      this.#pools.delete((after ?? before)?.id ?? '')
      return
    }
    let pool = this.#pools.get(after.id)
    if (!pool || !before || before.subnet !== after.subnet) {
      pool = new AddressPool(after)
      this.#pools.set(after.id, pool)
      for (const task of tx.list('task')) {
        if (!task.networks.some(attachment => attachment.networkId === after.id)) continue
        for (const { networkId, address } of task.networks) {
          if (networkId !== after.id || address === '') continue
          pool.hold(address, holderOf(task))
          if (!holdsAddresses(task)) pool.release(address, task.id)
        }
      }
      this.#declare(after.id, tx)
    }
    for (const gateway of before?.gateways ?? [])
      if (!after.gateways.some(g => g.nodeId === gateway.nodeId && g.address === gateway.address))
        pool.release(gateway.address, gatewayHolder(gateway.nodeId).id)
    for (const gateway of after.gateways) pool.hold(gateway.address, gatewayHolder(gateway.nodeId))
  }

  #declare(networkId: string, tx: ReadTx): void {
    const pool = this.#pools.get(networkId)
    if (!pool) return
    pool.clearDeclared()
    for (const service of tx.list('service'))
      for (const address of declaredAddresses(service, networkId)) pool.declare(address)
  }
}

/** What one holder of the turn has taken so far; undone unless committed. */
export class Taking {
  readonly #pools: ReadonlyMap<string, AddressPool>
  #taken: { pool: AddressPool; address: string; id: string }[] = []

  constructor(pools: ReadonlyMap<string, AddressPool>) {
    this.#pools = pools
  }

  /** Forgets what was taken: call at the start of a transaction's callback, which may run several times. */
  begin(): void {
    for (const { pool, address, id } of this.#taken) pool.undo(address, id)
    this.#taken = []
  }

  /** @throws StatusError when the pool is exhausted */
  dynamic(networkId: string, task: Task): string | undefined {
    return this.#take(networkId, tentative(holderOf(task)), (pool, h) => pool.takeDynamic(h))
  }

  /** @throws StatusError when the address is not to be had */
  fixed(networkId: string, task: Task, address: string): string | undefined {
    return this.#take(networkId, tentative(holderOf(task)), (pool, h) => pool.takeFixed(address, h))
  }

  /** @throws StatusError when the pool is exhausted */
  gateway(networkId: string, nodeId: string): string | undefined {
    return this.#take(networkId, tentative(gatewayHolder(nodeId)), (p, h) => p.takeGateway(h))
  }

  #take(
    networkId: string,
    holder: Holder,
    take: (pool: AddressPool, holder: Holder) => string,
  ): string | undefined {
    const pool = this.#pools.get(networkId)
    if (!pool) return undefined
    const address = take(pool, holder)
    this.#taken.push({ pool, address, id: holder.id })
    return address
  }
}

/** Tasks of one slot share its fixed addresses; every other task stands for itself. */
export function holderOf(task: Task): Holder {
  const group = task.slot > 0 ? slotGroup(task.serviceId, task.slot) : task.id
  return { id: task.id, group, name: `task ${taskName(task)}` }
}

/** Committed and tentative holders of one address must not take each other's place. */
function tentative(holder: Holder): Holder {
  return { ...holder, id: `tentative:${holder.id}` }
}

function gatewayHolder(nodeId: string): Holder {
  const id = `gateway:${nodeId}`
  return { id, group: id, name: `the gateway of node ${nodeId}`, isGateway: true }
}

function slotGroup(serviceId: string, slot: number): string {
  return `${serviceId}/${slot}`
}

/** A task has its addresses until it is seen stopped: until then its container may answer on them. */
export function holdsAddresses(task: Task): boolean {
  return !isTerminal(observedState(task))
}

function networksOf(service: Service | undefined): readonly string[] {
  const attachments = service?.spec?.task?.networks ?? []
  return attachments.filter(a => a.addresses.length > 0).map(a => a.target)
}

/** The fixed addresses a service names on a network. What cannot be expanded names none. */
function declaredAddresses(service: Service, networkId: string): readonly string[] {
  const found: string[] = []
  for (const attachment of service.spec?.task?.networks ?? []) {
    if (attachment.target !== networkId || attachment.addresses.length === 0) continue
    const slots = service.spec ? (wantedReplicas(service.spec) ?? 0) : 0
    for (let slot = 1; slot <= Math.max(slots, attachment.addresses.length); slot++) {
      try {
        found.push(addressFor(attachment, slot) ?? '')
      } catch {
        // The slot's own task reports what is wrong with the template.
        break
      }
    }
  }
  return found
}
