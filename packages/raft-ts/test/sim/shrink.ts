// From a failing seed to the few faults that its failure needs, after Zeller and Hildebrandt, "Simplifying and isolating
// failure-inducing input" (2002).
import { Broken } from './broken.ts'
import { CALMING } from './climate.ts'
import { runSeed } from './storm.ts'

const MAX_RUNS = 400

export interface Failure {
  /** The invariant, or what a member stopped with, without its numbers: the same fault has the same name. */
  readonly name: string
  readonly text: string
  /** Names of all that befell the cluster. */
  readonly strikes: readonly string[]
}

export interface Shrunk {
  readonly failure: Failure
  readonly without: readonly string[]
  readonly runs: number
}

/** @returns how the seed fails with these faults left out, undefined when it does not */
export async function failureOf(
  seed: number,
  without: Iterable<string> = [],
  trace?: (line: string) => void,
): Promise<Failure | undefined> {
  try {
    await runSeed(seed, { without: new Set(without), ...(trace && { trace }) })
    return undefined
  } catch (error) {
    return asFailure(error)
  }
}

export function asFailure(error: unknown): Failure {
  const text = error instanceof Error ? error.message : String(error)
  const name = error instanceof Broken ? error.invariant : text.replaceAll(/\d+/g, '#')
  const { strikes } = error as { strikes?: readonly string[] }
  return { name, text, strikes: strikes ?? [] }
}

/** Leaves out faults, in halves, then in ever smaller parts, as long as the same invariant breaks. */
export async function shrink(seed: number): Promise<Shrunk | undefined> {
  let failure = await failureOf(seed)
  if (failure === undefined) return undefined
  const { name } = failure
  const without = new Set<string>()
  let runs = 1
  let part = Number.POSITIVE_INFINITY
  for (;;) {
    // Leaving one out may bring others about: those of the last failing run are what is left.
    const kept = [...CALMING.keys(), ...new Set(failure.strikes)].filter(s => !without.has(s))
    part = Math.min(part, Math.ceil(kept.length / 2))
    let smaller = false
    for (let at = 0; at < kept.length && runs < MAX_RUNS; at += part) {
      const trial = new Set([...without, ...kept.slice(at, at + part)])
      runs++
      const outcome = await failureOf(seed, trial)
      if (outcome?.name !== name) continue
      for (const one of trial) without.add(one)
      failure = outcome
      smaller = true
    }
    if (runs >= MAX_RUNS || (part <= 1 && !smaller)) return { failure, without: [...without], runs }
    if (!smaller) part = Math.max(1, Math.floor(part / 2))
  }
}
