// Runs seeds in a process of its own and says in JSON what came of it: FIRST STEP END [shrink].
import { asFailure, type Failure, shrink } from './shrink.ts'
import { runSeed } from './storm.ts'

export interface Outcome {
  readonly totals: Readonly<Record<string, number>>
  readonly failure?: Failure & {
    readonly seed: number
    /** Faults that the failure does not need. */
    readonly without?: readonly string[]
  }
}

const PROGRESS_SEEDS = 500

async function runShare(
  first: number,
  step: number,
  end: number,
  toShrink: boolean,
): Promise<Outcome> {
  const totals: Record<string, number> = {}
  for (let seed = first; seed < end; seed += step) {
    try {
      for (const [key, value] of Object.entries(await runSeed(seed)))
        totals[key] = (totals[key] ?? 0) + value
    } catch (error) {
      const shrunk = toShrink ? await shrink(seed) : undefined
      const { failure = asFailure(error), without } = shrunk ?? {}
      return { totals, failure: { ...failure, seed, ...(without && { without }) } }
    }
    if ((totals['seeds'] ?? 0) % PROGRESS_SEEDS === 0)
      process.stderr.write(`seed ${seed}: ${totals['seeds']} without a fault\n`)
  }
  return { totals }
}

const [first = 1, step = 1, end = 2] = process.argv.slice(2, 5).map(Number)
const outcome = await runShare(first, step, end, process.argv[5] === 'shrink')
process.stdout.write(JSON.stringify(outcome))
