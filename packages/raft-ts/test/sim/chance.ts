/** A small, good enough generator (mulberry32): numbers in [0, 1) that follow from the seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A generator for one purpose: what is drawn for one changes nothing for the others, so a fault can be left out alone. */
export function stream(seed: number, purpose: string): () => number {
  let hash = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b)
  for (let i = 0; i < purpose.length; i++)
    hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193)
  return seeded(hash)
}

export function pick<T>(random: () => number, list: readonly T[]): T | undefined {
  return list[Math.floor(random() * list.length)]
}
