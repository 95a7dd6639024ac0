import { StatusError } from '../../runtime/errors.ts'
import type { Network } from '../../proto/index.ts'
import {
  type Cidr,
  contains,
  ipToNumber,
  numberToIp,
  parseCidr,
  tryIpToNumber,
} from '../../services/net/ip.ts'

/** Who holds an address. Tasks of one slot share a group, and may hold the slot's fixed address together. */
export interface Holder {
  /** Task id, or `gateway:<node id>`. */
  readonly id: string
  /** `<service id>/<slot>` for fixed addresses, otherwise the id. */
  readonly group: string
  /** For messages: `web.1`. */
  readonly name: string
  readonly isGateway?: boolean
}

/**
 * The addresses of one network: fixed ones where the user wants them, dynamic ones rising from the low end, node
 * gateways falling from the top. One that was given back comes last in line for reuse, so that nobody meets the
 * neighbour entries or name answers of its last holder (row AL-02).
 */
export class AddressPool {
  readonly networkName: string
  readonly #subnet: Cidr
  readonly #range: Cidr
  readonly #reserved = new Set<number>()
  readonly #declared = new Set<number>()
  readonly #held = new Map<number, Map<string, Holder>>()
  /** Addresses given back, longest ago first. */
  readonly #freed = new Set<number>()
  readonly #gateways = new Set<string>()
  /** No address below is worth a look: all are held, reserved or freed. */
  #low: number

  /** @throws StatusError InvalidArgument when the network's subnet cannot be read */
  constructor(network: Network) {
    this.networkName = network.spec?.annotations?.name ?? network.id
    this.#subnet = parseCidr(network.subnet)
    const ipam = network.spec?.ipam[0]
    this.#range = ipam?.range ? parseCidr(ipam.range) : this.#subnet
    this.#low = Math.max(this.#subnet.first, this.#range.base)
    if (network.gateway !== '') this.#reserved.add(ipToNumber(network.gateway))
    for (const config of network.spec?.ipam ?? [])
      for (const address of Object.values(config.reserved)) this.#reserved.add(ipToNumber(address))
  }

  /** Usable addresses: all but network, broadcast, the user's gateway and what the user reserved. */
  get capacity(): number {
    const inside = [...this.#reserved].filter(
      address => address >= this.#subnet.first && address <= this.#subnet.last,
    )
    return this.#subnet.last - this.#subnet.first + 1 - inside.length
  }

  get used(): number {
    return this.#held.size
  }

  /** Whether any address is left for a node's gateway. */
  get hasFree(): boolean {
    return this.used + this.#keptFree() < this.capacity
  }

  /** Notes that somebody has the address, for what is read from the store. */
  hold(address: string, holder: Holder): void {
    const number = ipToNumber(address)
    const holders = this.#held.get(number) ?? new Map<string, Holder>()
    holders.set(holder.id, holder)
    this.#held.set(number, holders)
    this.#freed.delete(number)
    if (holder.isGateway) this.#gateways.add(holder.id)
  }

  release(address: string, holderId: string): void {
    const number = ipToNumber(address)
    const holders = this.#held.get(number)
    this.#gateways.delete(holderId)
    if (!holders?.delete(holderId) || holders.size > 0) return
    this.#held.delete(number)
    this.#freed.add(number)
  }

  /** Undoes a hold that never took effect: the address is as free as before. */
  undo(address: string, holderId: string): void {
    const number = ipToNumber(address)
    const holders = this.#held.get(number)
    this.#gateways.delete(holderId)
    if (!holders?.delete(holderId) || holders.size > 0) return
    this.#held.delete(number)
    this.#low = Math.min(this.#low, Math.max(number, this.#range.base))
  }

  /** Keeps an address that a spec names out of dynamic allocation; what is no address is ignored. */
  declare(address: string): void {
    const number = tryIpToNumber(address)
    if (number !== undefined) this.#declared.add(number)
  }

  clearDeclared(): void {
    this.#declared.clear()
    this.#low = Math.max(this.#subnet.first, this.#range.base)
  }

  /**
   * Takes a fixed address.
   * @throws StatusError InvalidArgument outside the subnet or reserved, ResourceExhausted when others hold it
   */
  takeFixed(address: string, holder: Holder): string {
    const number = tryIpToNumber(address) ?? -1
    const place = `network ${this.networkName}: address ${address}`
    if (
      !contains(this.#subnet, number) ||
      number < this.#subnet.first ||
      number > this.#subnet.last
    )
      throw new StatusError('InvalidArgument', `${place} is not a host address of its subnet`)
    if (this.#reserved.has(number)) throw new StatusError('InvalidArgument', `${place} is reserved`)
    const other = this.heldByOthers(address, holder.group)
    if (other) throw new StatusError('ResourceExhausted', `${place} is held by ${other.name}`)
    this.hold(address, holder)
    return address
  }

  /** Somebody outside the group who holds the address. */
  heldByOthers(address: string, group: string): Holder | undefined {
    const holders = this.#held.get(ipToNumber(address))
    for (const holder of holders?.values() ?? []) if (holder.group !== group) return holder
    return undefined
  }

  /**
   * Takes the next dynamic address. The last one of a network without any gateway is kept for that: tasks could not run
   * without it.
   *
   * @throws StatusError ResourceExhausted naming the subnet
   */
  takeDynamic(holder: Holder): string {
    const left = this.capacity - this.used - this.#keptFree()
    const number = this.#gateways.size === 0 && left <= 1 ? undefined : this.#lowest()
    if (number === undefined) throw this.#exhausted()
    const address = numberToIp(number)
    this.hold(address, holder)
    return address
  }

  /** Takes the highest free address, for a node. @throws StatusError ResourceExhausted naming the subnet */
  takeGateway(holder: Holder): string {
    for (const avoidFreed of [true, false]) {
      for (let number = this.#subnet.last; number >= this.#subnet.first; number--) {
        if (!this.#isFree(number) || (avoidFreed && this.#freed.has(number))) continue
        const address = numberToIp(number)
        this.hold(address, holder)
        return address
      }
    }
    throw this.#exhausted()
  }

  #isFree(number: number): boolean {
    return !this.#held.has(number) && !this.#reserved.has(number) && !this.#declared.has(number)
  }

  #lowest(): number | undefined {
    const last = Math.min(this.#subnet.last, this.#range.base + this.#range.size - 1)
    while (this.#low <= last && (!this.#isFree(this.#low) || this.#freed.has(this.#low)))
      this.#low += 1
    if (this.#low <= last) return this.#low
    for (const number of this.#freed)
      if (this.#isFree(number) && number <= last && number >= this.#range.base) return number
    return undefined
  }

  /** Addresses that specs name and nobody has now. */
  #keptFree(): number {
    let count = 0
    for (const number of this.#declared) if (!this.#held.has(number)) count += 1
    return count
  }

  #exhausted(): StatusError {
    const { base, prefix } = this.#subnet
    return new StatusError(
      'ResourceExhausted',
      `network ${this.networkName}: no free address in ${numberToIp(base)}/${prefix} (${this.used + this.#keptFree()} of ${this.capacity} in use${this.#gateways.size === 0 ? ', one is kept for the nodes' : ''})`,
    )
  }
}
