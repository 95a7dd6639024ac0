// Goal: no schedule of crashes, cuts, stalls and requests makes the cluster lie, lose or double anything, and calm heals it.
// Method: hundreds of seeded clusters of five hosts in virtual time; SIM_SEED=n replays one, SIM_SEEDS=n runs as many.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import type { Outcome } from './share.ts'

const PROCESSES = 2
/** Short storms and many seeds find more in a minute than few long ones; `npm run sim` takes longer ones. */
const STORM_MS = Number(process.env['SIM_STORM_MS'] ?? 8_000)
const program = fileURLToPath(new URL('./share.ts', import.meta.url))
const one = process.env['SIM_SEED']
const first = Number(one ?? process.env['SIM_FIRST'] ?? 1)
const count = one === undefined ? Number(process.env['SIM_SEEDS'] ?? 200) : 1
/** A crowded machine, or a long SIM_SEEDS, is no failure. */
const LIMIT_MS = 3_600_000

async function run(from: number, step: number, end: number): Promise<Outcome> {
  const numbers = [from, step, end, STORM_MS].map(String)
  const args = ['--import=tsx', '--conditions=development', program, ...numbers]
  // Without tap's own loader, which comes with NODE_OPTIONS.
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  return JSON.parse(stdout) as Outcome
}

t.setTimeout(LIMIT_MS)

t.test(`${count} seeds from ${first}`, { timeout: LIMIT_MS }, async t => {
  const processes = Math.min(PROCESSES, count)
  const shares = Array.from({ length: processes }, (_, i) =>
    run(first + i, processes, first + count),
  )
  const totals: Record<string, number> = {}
  for (const outcome of await Promise.all(shares)) {
    for (const { seed, text } of outcome.failures) {
      const replay = `npm run sim -- --storm ${STORM_MS} --seed ${seed}`
      t.fail(
        `seed ${seed}; replay it with SIM_SEED=${seed}, or see it happen with ${replay}\n${text}`,
      )
    }
    for (const [key, value] of Object.entries(outcome.totals))
      totals[key] = (totals[key] ?? 0) + value
  }
  t.comment(JSON.stringify(totals))
  t.equal(totals['seeds'], count)
  if (count < 50) return
  // A storm in which nothing happens proves nothing.
  for (const key of ['crash', 'terms', 'done', 'running', 'ended'])
    t.ok((totals[key] ?? 0) > count, `${key}: ${totals[key]}`)
  for (const key of ['power loss', 'partition', 'one-way cuts', 'stall', 'restart', 'unknown'])
    t.ok((totals[key] ?? 0) > count / 10, `${key}: ${totals[key]}`)
})
