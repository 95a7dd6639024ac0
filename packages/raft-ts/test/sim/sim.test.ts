// Goal: no schedule of crashes, losses, partitions and membership changes breaks safety, and healing always helps.
// Method: hundreds of seeded clusters in virtual time; SIM_SEED=n replays one, SIM_SEEDS=n runs as many.
import t from 'tap'
import { runSeed } from './storm.ts'

const one = process.env['SIM_SEED']
const first = one === undefined ? Number(process.env['SIM_FIRST'] ?? 1) : Number(one)
const count = one === undefined ? Number(process.env['SIM_SEEDS'] ?? 320) : 1

t.test(`${count} seeds from ${first}`, { timeout: 600_000 }, async t => {
  const total = {
    crashes: 0,
    proposed: 0,
    reads: 0,
    changes: 0,
    transfers: 0,
    installs: 0,
    acknowledged: 0,
  }
  for (let seed = first; seed < first + count; seed++) {
    try {
      const world = await runSeed(seed)
      for (const [key, value] of Object.entries(world.stats))
        total[key as keyof typeof world.stats] += value
      total.acknowledged += world.acknowledged.size
    } catch (error) {
      t.fail(`seed ${seed}: ${String(error)}; replay with SIM_SEED=${seed}`, { error })
      return
    }
  }
  t.comment(JSON.stringify(total))
  if (one === undefined) {
    t.ok(total.acknowledged > count * 20, 'writes went through')
    t.ok(total.reads > count, 'reads went through')
    t.ok(total.installs > 0 && total.changes > 0 && total.crashes > count, 'the storm was one')
  }
})
