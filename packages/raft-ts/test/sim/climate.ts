import type { RaftNodeOptions } from '../../src/index.ts'

/** How likely the nemesis strikes at each occasion. */
export interface Temper {
  /** Two candidates in one term, their voter crashing as soon as it has spoken. */
  readonly votes: number
  /** A fresh leader cut off, alone or with one other. */
  readonly leaders: number
  /** A crash around the moment a snapshot gets its name. */
  readonly snapshots: number
}

/** What one seed's world is like. */
export interface Climate {
  readonly members: number
  /** Learners that are never promoted. */
  readonly learners: number
  readonly stormMs: number
  /**
   * `storm`: everything. `serene`: one member is cut off for a while, and nobody must notice when it comes back.
   * `duel`: leaders are cut off and replaced before they know, and nothing else happens.
   */
  readonly mood: 'storm' | 'serene' | 'duel'
  readonly loss: number
  readonly duplicates: number
  /** Messages that come seconds late, when nobody expects them any more. */
  readonly late: number
  readonly maxDelayMs: number
  readonly maxDiskMs: number
  /** Mean time between planned faults. */
  readonly faultMs: number
  readonly temper: Temper
  readonly options: Partial<RaftNodeOptions>
}

export function drawClimate(random: () => number): Climate {
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const dice = random()
  const mood = dice < 0.06 ? 'serene' : dice < 0.14 ? 'duel' : 'storm'
  const serene = mood !== 'storm'
  return {
    members: serene ? one([3, 5]) : one([1, 2, 3, 3, 3, 3, 4, 5, 5]),
    learners: serene ? 0 : one([0, 0, 0, 1, 2]),
    stormMs: serene ? 2500 : one([1500, 1500, 2500, 2500, 4000, 6000]),
    mood,
    loss: serene ? 0 : one([0, 0.02, 0.1, 0.2]),
    duplicates: one([0, 0.05]),
    late: serene ? 0 : one([0, 0, 0.01]),
    maxDelayMs: serene ? 10 : one([3, 20, 60]),
    maxDiskMs: serene ? 5 : one([0.5, 5, 25]),
    faultMs: mood === 'duel' ? 600 : one([200, 350, 500]),
    temper: {
      votes: serene ? 0 : one([0, 0, 0.3, 0.7]),
      leaders: serene ? 0 : one([0, 0.3, 1]),
      snapshots: serene ? 0 : one([0, 0.1, 0.5]),
    },
    options: {
      preVote: serene || one([true, true, true, false]),
      snapshotEntries: one([8, 30, 1000]),
      snapshotTailEntries: one([0, 4, 20]),
      snapshotChunkBytes: one([64, 1024, 100_000]),
      leaseReads: one([false, true]),
      maxInflight: one([1, 8, 256]),
      maxBatchBytes: one([1, 200, 1 << 20]),
      segmentBytes: one([300, 4000, 1 << 14]),
    },
  }
}

/** Parts of a climate that a failure may not need. Shrinking leaves them out by name. */
export const CALMING: ReadonlyMap<string, (climate: Climate) => Climate> = new Map([
  ['loss', (c: Climate) => ({ ...c, loss: 0 })],
  ['duplicates', (c: Climate) => ({ ...c, duplicates: 0 })],
  ['late', (c: Climate) => ({ ...c, late: 0 })],
  ['delays', (c: Climate) => ({ ...c, maxDelayMs: 3 })],
  ['disk', (c: Climate) => ({ ...c, maxDiskMs: 0.5 })],
  ['learners', (c: Climate) => ({ ...c, learners: 0 })],
])
