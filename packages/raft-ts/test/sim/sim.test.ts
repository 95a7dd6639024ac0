// Goal: no schedule of crashes, losses, partitions and membership changes breaks safety, and healing always helps.
// Method: thousands of seeded clusters in virtual time; SIM_SEED=n runs one, SIM_SEEDS=n as many, SIM_FIRST=n from there.
import { join } from 'node:path'
import t from 'tap'
import { bundle, runBundle } from './bundle.ts'
import { runSeed } from './storm.ts'

const PROCESSES = 2
const one = process.env['SIM_SEED']
const first = Number(one ?? process.env['SIM_FIRST'] ?? 1)
const count = one === undefined ? Number(process.env['SIM_SEEDS'] ?? 2000) : 1

/** What so many seeds must have met at least, each a seed: a storm without them would prove nothing. */
const COVERAGE: Readonly<Record<string, number>> = {
  terms: 2,
  writes: 10,
  reads: 8,
  audits: 4,
  deaths: 3,
  fsDeaths: 0.5,
  snapshots: 1,
  installs: 0.5,
  changes: 0.3,
  joints: 0.03,
  transfers: 0.2,
  diskFaults: 0.1,
  truncations: 0.1,
  rivalReads: 0.02,
}

// A crowded machine, or a long SIM_SEEDS, is no failure.
t.setTimeout(3_600_000)

t.test(`${count} seeds from ${first}`, { timeout: 3_600_000 }, async t => {
  const program = join(t.testdir(), 'share.mjs')
  await bundle(program)
  const step = Math.min(PROCESSES, count)
  const shares = Array.from({ length: step }, (_, i) =>
    runBundle(program, { first: first + i, step, end: first + count }, true),
  )
  const totals: Record<string, number> = {}
  for (const outcome of await Promise.all(shares)) {
    if (outcome.failure !== undefined) {
      const { seed, text, without = [] } = outcome.failure
      const replay = `npm run sim -- --room raft --seed ${seed} --without ${without.join() || 'nothing'}`
      t.fail(`seed ${seed}: ${text}\nsee how: ${replay}`)
    }
    for (const [key, value] of Object.entries(outcome.totals))
      totals[key] = (totals[key] ?? 0) + value
  }
  t.comment(JSON.stringify(totals))
  t.equal(totals['seeds'], count)
  t.equal(totals['undecided'], 0, 'every history was judged')
  if (count < 200) return
  for (const [key, least] of Object.entries(COVERAGE))
    t.ok((totals[key] ?? 0) > least * count, `${key}: ${totals[key]}`)
})

t.test('nothing but the seed decides', async t => {
  for (const seed of [1, 2, 3]) t.same(await runSeed(seed), await runSeed(seed))
})
