// Goal: no schedule of crashes, losses, partitions and membership changes breaks safety, and healing always helps.
// Method: hundreds of seeded clusters in virtual time; SIM_SEED=n replays one, SIM_SEEDS=n runs as many.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import type { Outcome } from './share.ts'

const PROCESSES = 2
const program = fileURLToPath(new URL('./share.ts', import.meta.url))
const one = process.env['SIM_SEED']
const first = Number(one ?? process.env['SIM_FIRST'] ?? 1)
const count = one === undefined ? Number(process.env['SIM_SEEDS'] ?? 300) : 1

async function run(from: number, step: number, end: number): Promise<Outcome> {
  const args = ['--import=tsx', '--conditions=development', program, from, step, end].map(String)
  // Without tap's own loader, which comes with NODE_OPTIONS.
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  return JSON.parse(stdout) as Outcome
}

// A crowded machine, or a long SIM_SEEDS, is no failure.
t.setTimeout(3_600_000)

t.test(`${count} seeds from ${first}`, { timeout: 3_600_000 }, async t => {
  const processes = Math.min(PROCESSES, count)
  const shares = Array.from({ length: processes }, (_, i) =>
    run(first + i, processes, first + count),
  )
  const totals: Record<string, number> = {}
  for (const outcome of await Promise.all(shares)) {
    if (outcome.failure !== undefined) {
      const { seed, text } = outcome.failure
      t.fail(`seed ${seed}; replay it with SIM_SEED=${seed}\n${text}`)
    }
    for (const [key, value] of Object.entries(outcome.totals))
      totals[key] = (totals[key] ?? 0) + value
  }
  t.comment(JSON.stringify(totals))
  t.equal(totals['seeds'], count)
  if (count < 20) return
  for (const key of ['crashes', 'reads', 'acknowledged'])
    t.ok((totals[key] ?? 0) > count, `${key}: ${totals[key]}`)
  for (const key of ['installs', 'changes', 'transfers'])
    t.ok((totals[key] ?? 0) > count / 10, `${key}: ${totals[key]}`)
})
