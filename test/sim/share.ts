// Runs seeds in a process of its own: tap's hooks on every promise would double the time.
import { runSeed } from './run.ts'

export interface Outcome {
  readonly totals: Readonly<Record<string, number>>
  readonly failures: readonly { readonly seed: number; readonly text: string }[]
}

/** Faults that are looked for on, after the first ones: a broken build breaks every seed. */
const FAILURES_MAX = 3

async function runShare(
  first: number,
  step: number,
  end: number,
  stormMs: number,
): Promise<Outcome> {
  const totals: Record<string, number> = { seeds: 0 }
  const add = (key: string, value: number): void => {
    totals[key] = (totals[key] ?? 0) + value
  }
  const failures: { seed: number; text: string }[] = []
  for (let seed = first; seed < end && failures.length < FAILURES_MAX; seed += step) {
    try {
      const { counts, virtualMs, fingerprint } = await runSeed(seed, { stormMs })
      for (const [key, value] of Object.entries(counts)) add(key, value)
      add('virtual seconds', Math.round(virtualMs / 1000))
      add('seeds', 1)
      if (seed !== first) continue
      const again = await runSeed(seed, { stormMs })
      if (again.fingerprint !== fingerprint)
        failures.push({ seed, text: `not the same twice: ${fingerprint}, ${again.fingerprint}` })
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      failures.push({ seed, text })
    }
  }
  return { totals, failures }
}

const [first, step, end, stormMs] = process.argv.slice(2).map(Number)
const outcome = await runShare(first ?? 1, step ?? 1, end ?? 2, stormMs ?? 8_000)
process.stdout.write(JSON.stringify(outcome), () => process.exit())
