// npm run bench -- NAME [--check] [--json] [--rounds N] [--seconds N]: measures Skein beside its peer in one run and prints both columns.
import { parseArgs } from 'node:util'
import { report, missedTargets, type Benchmark } from './report.ts'

const BENCHMARKS: Readonly<Record<string, () => Promise<Benchmark>>> = {
  failover: async () => (await import('./failover.ts')).failoverBenchmark,
  raft: async () => (await import('./raft.ts')).raftBenchmark,
  store: async () => (await import('./store.ts')).storeBenchmark,
  swarm: async () => (await import('./swarm.ts')).swarmBenchmark,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    check: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string', default: '60' },
  },
})
const name = positionals[0] ?? ''
const load = BENCHMARKS[name]
// Failovers vary: a median of three says nothing.
const rounds = Number(values.rounds ?? (name === 'failover' ? 10 : 3))
const seconds = Number(values.seconds)
if (!load || !Number.isInteger(rounds) || rounds < 1 || !(seconds > 0)) {
  console.error(`usage: npm run bench -- NAME [--check] [--json] [--rounds N] [--seconds N]
NAME is one of ${Object.keys(BENCHMARKS).join(', ')}`)
  process.exit(125)
}

const benchmark = await load()
const rows = await benchmark({ rounds, seconds, log: line => console.error(line) })
console.log(values.json ? JSON.stringify(rows, undefined, 2) : report(rows))
const missed = missedTargets(rows)
for (const row of missed) console.error(`target missed: ${row.what}: ${row.target?.text}`)
process.exitCode = values.check && missed.length > 0 ? 1 : 0
