// One seed: a cluster comes up, lives through a storm, and has to come to rest.
import { calm } from './calm.ts'
import { World } from './cluster.ts'
import { Nemesis } from './nemesis.ts'
import { Workload } from './workload.ts'

/** Virtual milliseconds of faults and requests. */
export const STORM_MS = 20_000

export interface Report {
  readonly seed: number
  /** Equal for two runs of one seed. */
  readonly fingerprint: number
  readonly virtualMs: number
  readonly calmMs: number
  readonly counts: Readonly<Record<string, number>>
}

/** @throws Error saying what was broken or did not come right */
export async function runSeed(
  seed: number,
  options: { readonly trace?: (line: string) => void; readonly stormMs?: number } = {},
): Promise<Report> {
  const world = new World({ seed, ...(options.trace && { trace: options.trace }) })
  const stray = (error: unknown): void =>
    world.fail(error instanceof Error ? error : new Error(String(error)))
  process.on('unhandledRejection', stray)
  try {
    const startMs = world.timeline.monotonic()
    await world.boot()
    const workload = new Workload(world)
    const nemesis = new Nemesis(world)
    workload.start()
    nemesis.start()
    await world.run(options.stormMs ?? STORM_MS)
    const calmMs = await calm(world, nemesis, workload)
    return {
      seed,
      fingerprint: world.fingerprint(),
      virtualMs: world.timeline.monotonic() - startMs,
      calmMs,
      counts: {
        ...workload.stats,
        ...world.invariants.stats,
        ...nemesis.stats,
        terms: world.invariants.terms,
        versions: world.history.length,
        events: world.timeline.fired,
      },
    }
  } finally {
    process.removeListener('unhandledRejection', stray)
    for (const host of world.hosts) host.kill()
  }
}
