// npm run bench -- NAME [--check] [--json] [--rounds N]: measures Skein beside its peer in one run and prints both columns.
import { parseArgs } from 'node:util'
import { report, missedTargets, type Benchmark } from './report.ts'

const BENCHMARKS: Readonly<Record<string, () => Promise<Benchmark>>> = {
  raft: async () => (await import('./raft.ts')).raftBenchmark,
  store: async () => (await import('./store.ts')).storeBenchmark,
  swarm: async () => (await import('./swarm.ts')).swarmBenchmark,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    check: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
  },
})
const name = positionals[0] ?? ''
const load = BENCHMARKS[name]
const rounds = Number(values.rounds)
if (!load || !Number.isInteger(rounds) || rounds < 1) {
  console.error(`usage: npm run bench -- NAME [--check] [--json] [--rounds N]
NAME is one of ${Object.keys(BENCHMARKS).join(', ')}`)
  process.exit(125)
}

const benchmark = await load()
const rows = await benchmark({ rounds, log: line => console.error(line) })
console.log(values.json ? JSON.stringify(rows, undefined, 2) : report(rows))
const missed = missedTargets(rows)
for (const row of missed) console.error(`target missed: ${row.what}: ${row.target?.text}`)
process.exitCode = values.check && missed.length > 0 ? 1 : 0
