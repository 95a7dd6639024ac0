// Runs seeds in a process of its own: tap's hooks on every promise would double the time.
import { runSeed } from './storm.ts'

interface Share {
  readonly first: number
  readonly step: number
  readonly end: number
}

export interface Outcome {
  readonly totals: Record<string, number>
  readonly failure?: { readonly seed: number; readonly text: string }
}

async function runShare({ first, step, end }: Share): Promise<Outcome> {
  const totals: Record<string, number> = {}
  const add = (key: string, value: number): void => {
    totals[key] = (totals[key] ?? 0) + value
  }
  for (let seed = first; seed < end; seed += step) {
    try {
      const world = await runSeed(seed)
      for (const [key, value] of Object.entries(world.stats)) add(key, value)
      add('acknowledged', world.acknowledged.size)
      add('seeds', 1)
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      return { totals, failure: { seed, text } }
    }
  }
  return { totals }
}

const [first, step, end] = process.argv.slice(2).map(Number)
const outcome = await runShare({ first: first ?? 1, step: step ?? 1, end: end ?? 2 })
process.stdout.write(JSON.stringify(outcome))
