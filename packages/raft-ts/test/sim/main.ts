// What `npm run sim -- --room raft` does: many seeds in two processes, or one seed shrunk to what its failure needs.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle, runBundle } from './bundle.ts'
import { type Failure, failureOf, shrink } from './shrink.ts'
import { runSeed } from './storm.ts'

const PROCESSES = 2
const TRACE_LINES = 150

export interface Arguments {
  readonly seeds: string
  readonly from: string
  /** This one only, with a trace. */
  readonly seed?: string | undefined
  /** With `seed`: leave these faults out instead of looking for those that matter. */
  readonly without?: string | undefined
}

/** @returns the exit code */
export async function main(values: Arguments): Promise<number> {
  if (values.seed === undefined) return many(Number(values.from), Number(values.seeds))
  const seed = Number(values.seed)
  return values.without === undefined ? one(seed) : replay(seed, values.without.split(','))
}

async function many(first: number, count: number): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'raft-sim-'))
  const startMs = performance.now()
  try {
    const program = join(dir, 'share.mjs')
    await bundle(program)
    const step = Math.min(PROCESSES, count)
    const shares = Array.from({ length: step }, (_, i) =>
      runBundle(program, { first: first + i, step, end: first + count }),
    )
    const totals: Record<string, number> = {}
    const failed: number[] = []
    for (const { totals: of, failure } of await Promise.all(shares)) {
      for (const [key, value] of Object.entries(of)) totals[key] = (totals[key] ?? 0) + value
      if (failure === undefined) continue
      failed.push(failure.seed)
      say(`seed ${failure.seed} FAILED: ${failure.text}`)
    }
    say(JSON.stringify(totals))
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
    say(`${totals['seeds'] ?? 0} seeds from ${first} in ${seconds} s without a fault`)
    const [worst] = failed.toSorted((a, b) => a - b)
    return worst === undefined ? 0 : one(worst)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function one(seed: number): Promise<number> {
  const shrunk = await shrink(seed)
  if (shrunk === undefined) {
    const totals = await runSeed(seed)
    say(`seed ${seed} finds no fault: ${JSON.stringify(totals)}`)
    if (totals['fingerprint'] === (await runSeed(seed))['fingerprint']) return 0
    say(`seed ${seed} is not deterministic`)
    return 1
  }
  const { failure, without, runs } = shrunk
  say(`seed ${seed} needs ${failure.strikes.length} faults to fail, found in ${runs} runs`)
  return replay(seed, without)
}

/** The last of what happened; messages that only keep peers quiet are left out. */
async function replay(seed: number, without: readonly string[]): Promise<number> {
  const lines: string[] = []
  const strikes: string[] = []
  const failure: Failure | undefined = await failureOf(seed, without, line => {
    if (line.includes('!')) strikes.push(line)
    if (line.includes('heartbeat')) return
    lines.push(line)
    if (lines.length > TRACE_LINES) lines.shift()
  })
  for (const line of lines) say(line)
  say(`what befell the cluster:\n${strikes.join('\n')}`)
  say(
    failure === undefined ? `seed ${seed} finds no fault` : `seed ${seed} FAILED: ${failure.text}`,
  )
  say(`again: npm run sim -- --room raft --seed ${seed} --without ${without.join() || 'nothing'}`)
  return failure === undefined ? 0 : 1
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
