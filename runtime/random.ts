import { randomBytes } from 'node:crypto'

/** Chance as a component sees it. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** `length` bytes; from the operating system's generator in production. */
  bytes(length: number): Uint8Array
}

export const systemRandom: Random = {
  next: () => Math.random(),
  bytes: length => randomBytes(length),
}

/** A reproducible stream from a 32-bit seed (mulberry32). Not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    bytes: length => Uint8Array.from({ length }, () => Math.floor(next() * 256)),
  }
}

/** A new object id: 25 characters [0-9a-z] of 128 random bits (Swarm row SV-02). */
export function newId(random: Random): string {
  let value = 0n
  for (const byte of random.bytes(17)) value = (value << 8n) | BigInt(byte)
  return value.toString(36).padStart(27, '0').slice(-25)
}

/** A random whole number in [0, below). */
export function below(random: Random, limit: number): number {
  return Math.floor(random.next() * limit)
}

/** A Raft member id: random, in [1, 2^52). */
export function newMemberId(random: Random): number {
  let value = 0
  for (const byte of random.bytes(6)) value = value * 256 + byte
  return value + 1
}
