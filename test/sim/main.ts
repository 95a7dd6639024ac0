// npm run sim -- [--seeds N] [--from S] [--seed S] [--storm MS] [--room cluster|raft [--without FAULT,...]]
import { parseArgs } from 'node:util'
import { main as raft } from '../../packages/raft-ts/test/sim/main.ts'
import { type Report, STORM_MS, runSeed } from './run.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    storm: { type: 'string', default: String(STORM_MS) },
    room: { type: 'string', default: 'cluster' },
    without: { type: 'string' },
  },
})

process.exitCode = values.room === 'raft' ? await raft(values) : await cluster()
process.exit()

async function cluster(): Promise<number> {
  const stormMs = Number(values.storm)
  if (values.seed !== undefined) return replay(Number(values.seed), stormMs)
  const [from, count] = [Number(values.from), Number(values.seeds)]
  const startMs = performance.now()
  let virtualMs = 0
  for (let seed = from; seed < from + count; seed++) {
    try {
      virtualMs += (await runSeed(seed, { stormMs })).virtualMs
    } catch (error) {
      say(`seed ${seed} FAILED: ${(error as Error).stack ?? String(error)}`)
      say(`replay it with a trace: npm run sim -- --seed ${seed}`)
      return 1
    }
  }
  const seconds = (performance.now() - startMs) / 1000
  const minutes = (virtualMs / 60_000).toFixed(1)
  say(
    `${count} seeds from ${from}: ${minutes} virtual minutes in ${seconds.toFixed(1)} s, no fault found`,
  )
  return 0
}

/** Twice: with a trace, and once more to see that nothing but the seed decides. */
async function replay(seed: number, stormMs: number): Promise<number> {
  try {
    const report: Report = await runSeed(seed, { stormMs, trace: say })
    const again = await runSeed(seed, { stormMs })
    say(JSON.stringify(report))
    if (again.fingerprint === report.fingerprint) return 0
    say(`seed ${seed} is not deterministic: ${report.fingerprint} and ${again.fingerprint}`)
  } catch (error) {
    say(`seed ${seed} FAILED: ${(error as Error).stack ?? String(error)}`)
  }
  return 1
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
