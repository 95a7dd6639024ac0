// npm run chaos -- [--seconds N] [--seed S]: three real managers under kills, pauses, cuts, a full disk and jumping clocks.
import { parseArgs } from 'node:util'
import { describe, runChaos } from './run.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1_000_000)) },
  },
})
const [seconds, seed] = [Number(values.seconds), Number(values.seed)]
if (!(seconds >= 10) || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run chaos -- [--seconds N] [--seed S]\nN is 10 at least')
  process.exit(125)
}
console.error(`chaos for ${seconds} s, seed ${seed}`)
const report = await runChaos({ seconds, seed, lab: 'chaos', log: line => console.error(line) })
console.log(describe(report))
process.exit(report.failures.length > 0 ? 1 : 0)
