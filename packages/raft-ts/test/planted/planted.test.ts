// Goal: the simulator finds known mistakes, so that its silence about the library means something.
// Method: each mistake alone is planted into the library's text on its way into a program; the simulator must accuse it within
// its budget of seeds. An edit that does not match its text exactly once fails. The library without mistakes passes the same
// seeds in sim.test.ts.
import { join } from 'node:path'
import t from 'tap'
import { bundle, runBundle } from '../sim/bundle.ts'
import { MISTAKES } from './mistakes.ts'

const PROCESSES = 2

// A crowded machine is no failure.
t.setTimeout(3_600_000)
t.jobs = PROCESSES

t.test('there are enough mistakes, and an edit must match', async t => {
  t.ok(MISTAKES.length >= 20, `${MISTAKES.length} mistakes`)
  t.equal(new Set(MISTAKES.map(m => m.name)).size, MISTAKES.length)
  const lost = { file: 'core/log.ts', from: 'no such text', to: '' }
  await t.rejects(
    bundle(join(t.testdir(), 'share.mjs'), [lost]),
    /0 places that read: no such text/,
  )
})

for (const { name, budget, edits } of MISTAKES)
  t.test(name, { timeout: 3_600_000, buffered: true }, async t => {
    const program = join(t.testdir(), 'share.mjs')
    await bundle(program, edits)
    const { failure } = await runBundle(program, { first: 1, step: 1, end: 1 + budget })
    t.ok(failure !== undefined, `found within ${budget} seeds`)
    t.comment(`seed ${failure?.seed} of ${budget}: ${failure?.text.slice(0, 160)}`)
  })
