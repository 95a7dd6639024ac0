// What is done to the cluster and when, drawn from a seed. Nothing here touches anything.
import { type Random, below } from '../../runtime/random.ts'

export const FAULT_KINDS = [
  'kill',
  'kill all',
  'pause',
  'cut off',
  'cut one way',
  'cut between two',
  'full disk',
  'clock jump',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** One thing done to the cluster. `target` is 'leader', whoever that is then, or the number of a host from 0. */
export interface Fault {
  readonly kind: FaultKind
  readonly target: 'leader' | number
  /** Another host than the target, by how many after it: 1 or 2. */
  readonly other: 1 | 2
  /** When it begins and how long it stays, ms from the start of the run. */
  readonly atMs: number
  readonly lastsMs: number
  /** Of a clock jump: how far the wall clock is off afterwards. */
  readonly offsetSeconds: number
}

const FIRST_AT_MS = 2_000
const CALM_MS = 1_500
const SHORTEST_MS = 1_000
const LONGEST_MS = 4_500
/** Certificates are valid from an hour before they are made; a clock that is off by more is another story. */
const MAX_OFFSET_SECONDS = 40 * 60

/**
 * Faults for a run of `seconds`, one after another with calm between; one in three has a second one laid over it. Every kind
 * comes once before any comes again, so that a run of a minute has seen them all.
 */
export function drawFaults(random: Random, seconds: number, hosts: number): readonly Fault[] {
  const faults: Fault[] = []
  let bag: FaultKind[] = []
  const kind = (): FaultKind => {
    if (bag.length === 0) bag = [...FAULT_KINDS]
    return bag.splice(below(random, bag.length), 1)[0] ?? 'kill'
  }
  const fault = (atMs: number): Fault => ({
    kind: kind(),
    target: random.next() < 0.5 ? 'leader' : below(random, hosts),
    other: random.next() < 0.5 ? 1 : 2,
    atMs: Math.round(atMs),
    lastsMs: SHORTEST_MS + below(random, LONGEST_MS - SHORTEST_MS),
    offsetSeconds: below(random, 2 * MAX_OFFSET_SECONDS) - MAX_OFFSET_SECONDS,
  })
  for (let atMs = FIRST_AT_MS; ; ) {
    const next = fault(atMs)
    const over = random.next() < 1 / 3 ? fault(atMs + random.next() * next.lastsMs) : undefined
    const endMs = Math.max(...[next, over ?? next].map(f => f.atMs + f.lastsMs))
    if (endMs > seconds * 1000) return faults
    faults.push(next, ...(over ? [over] : []))
    atMs = endMs + CALM_MS + below(random, CALM_MS)
  }
}
