import { StatusError } from '../../runtime/errors.ts'

// IPv4 as unsigned 32-bit numbers, so that pools are arithmetic. Parsing is strict: four decimal parts without
// leading zeros (some readers take 010 for octal).

/** A subnet. `first` and `last` are the lowest and highest host address; `size` counts all addresses. */
export interface Cidr {
  /** Network address. */
  readonly base: number
  readonly prefix: number
  readonly first: number
  readonly last: number
  readonly size: number
}

const PART = /^(?:0|[1-9][0-9]{0,2})$/

/** The number of a dotted address, or undefined when it is not one. */
export function tryIpToNumber(text: string): number | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0
  for (const part of parts) {
    if (!PART.test(part) || Number(part) > 255) return undefined
    value = value * 256 + Number(part)
  }
  return value
}

/** `10.0.0.1` → 167772161. @throws StatusError InvalidArgument with the bad text */
export function ipToNumber(text: string): number {
  const value = tryIpToNumber(text)
  if (value === undefined)
    throw new StatusError('InvalidArgument', `invalid IPv4 address "${text}"`)
  return value
}

/** 167772161 → `10.0.0.1`. @throws StatusError InvalidArgument outside 0 … 2^32-1 */
export function numberToIp(value: number): string {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new StatusError('InvalidArgument', `${value} is not an IPv4 address`)
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

/** The subnet of `prefix` bits that holds `address`. */
export function cidrOf(address: number, prefix: number): Cidr {
  const size = 2 ** (32 - prefix)
  const base = Math.floor(address / size) * size
  const whole = size <= 2 // RFC 3021: /31 and /32 have no network and broadcast address
  return {
    base,
    prefix,
    size,
    first: whole ? base : base + 1,
    last: whole ? base + size - 1 : base + size - 2,
  }
}

/** `10.0.5.9/16` → base 10.0.0.0. Host bits are dropped. @throws StatusError InvalidArgument with the bad text */
export function parseCidr(text: string): Cidr {
  const [address = '', prefix = '', ...rest] = text.split('/')
  const base = tryIpToNumber(address)
  if (base === undefined || rest.length > 0 || !/^(?:0|[1-9][0-9]?)$/.test(prefix))
    throw new StatusError(
      'InvalidArgument',
      `invalid subnet "${text}": expected an IPv4 subnet such as 10.0.0.0/24`,
    )
  if (Number(prefix) > 32)
    throw new StatusError('InvalidArgument', `invalid subnet "${text}": the prefix is beyond 32`)
  return cidrOf(base, Number(prefix))
}

/** `10.0.0.0/16`. */
export function formatCidr(cidr: Cidr): string {
  return `${numberToIp(cidr.base)}/${cidr.prefix}`
}

/** Whether the address (number or dotted) lies in the subnet, network and broadcast address included. */
export function contains(cidr: Cidr, address: number | string): boolean {
  const value = typeof address === 'string' ? ipToNumber(address) : address
  return value >= cidr.base && value < cidr.base + cidr.size
}

/** Whether two subnets share an address. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.base < b.base + b.size && b.base < a.base + a.size
}

/** The MAC Docker derives from an address: `10.0.0.5` → `02:42:0a:00:00:05`. */
export function macOf(address: number | string): string {
  const value = typeof address === 'string' ? ipToNumber(address) : address
  const hex = value.toString(16).padStart(8, '0')
  return `02:42:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6)}`
}
