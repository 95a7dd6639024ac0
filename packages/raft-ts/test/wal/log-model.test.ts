// Goal: whatever is appended, overwritten, released, and lost in crashes, the log is what was acknowledged, or that and
// the write under way; no cut of its end and no damage in its middle gives anything else.
// Method: fast-check's model commands against an array; every length of a 4 KiB tail; every byte of a middle record.
import fc from 'fast-check'
import t from 'tap'
import { MemoryFs, WalCorruptError } from '../../src/index.ts'
import { readLog } from '../../src/wal/recovery.ts'
import type { Wal } from '../../src/wal/wal.ts'
import type { Entry } from '../../src/types.ts'
import { entry, open, shape, write } from './builders.ts'

interface Model {
  /** What the log must hold; entries up to `released` may be gone. */
  entries: Entry[]
  released: number
  term: number
}

interface Real {
  readonly fs: MemoryFs
  readonly segmentBytes: number
  wal: Wal
}

type Step = fc.AsyncCommand<Model, Real>

const big = (index: number, term: number, bytes: number): Entry =>
  entry(index, term, `${index}/${term} `.padEnd(bytes, 'x'))

/** The next write: after the last `back` entries are overwritten, which takes a new term. */
function next(model: Model, back: number, count: number, bytes: number): Entry[] {
  const last = model.entries.at(-1)?.index ?? 0
  const first = Math.max(model.released + 1, last + 1 - back)
  if (first <= last) model.term++
  return Array.from({ length: count }, (_, i) => big(first + i, model.term, bytes))
}

function after(entries: readonly Entry[], added: readonly Entry[]): Entry[] {
  const first = added[0]?.index ?? Number.POSITIVE_INFINITY
  return [...entries.filter(e => e.index < first), ...added]
}

async function check(model: Model, real: Real): Promise<void> {
  const found = await readLog(real.fs, 'wal', { id: 7 })
  const expected = model.entries.filter(e => e.index > found.base.index)
  if (found.base.index > model.released) throw new Error(`${found.base.index} was not released`)
  if (texts(found.entries) !== texts(expected))
    throw new Error(`found ${shape(found.entries)}, expected ${shape(expected)}`)
}

const texts = (list: readonly Entry[]): string =>
  list.map(e => `${e.index}/${e.term}:${Buffer.from(e.data).toString()}`).join('\n')

const reopened = async (real: Real): Promise<readonly Entry[]> => {
  const { wal, found } = await open(real.fs, { segmentBytes: real.segmentBytes })
  real.wal = wal
  return found.entries
}

const step = (text: string, run: (model: Model, real: Real) => Promise<void>): Step => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real)
    await check(model, real)
  },
  toString: () => text,
})

const shapes = {
  back: fc.nat(3),
  count: fc.integer({ min: 0, max: 4 }),
  bytes: fc.constantFrom(8, 60, 700, 3000),
}

const steps: fc.Arbitrary<Step>[] = [
  fc.record(shapes).map(({ back, count, bytes }) =>
    step(`append(${back}, ${count} of ${bytes})`, async (model, real) => {
      const entries = next(model, back, count, bytes)
      await real.wal.append(write(model.term, 0, ...entries))
      model.entries = after(model.entries, entries)
    }),
  ),
  fc.nat(6).map(keep =>
    step(`release(${keep})`, async (model, real) => {
      const last = model.entries.at(-1)?.index ?? 0
      model.released = Math.max(model.released, last - keep)
      await real.wal.release(model.released)
    }),
  ),
  fc.constant(
    step('reopen', async (_model, real) => {
      await real.wal.close()
      await reopened(real)
    }),
  ),
  fc
    .record({
      ...shapes,
      turns: fc.nat(25),
      seed: fc.array(fc.double({ min: 0, max: 0.9999, noNaN: true }), {
        minLength: 1,
        maxLength: 6,
      }),
    })
    .map(({ back, count, bytes, turns, seed }) =>
      step(
        `crash(${back}, ${count} of ${bytes} after ${turns}; ${seed.join(' ')})`,
        async (model, real) => {
          const entries = next(model, back, count, bytes)
          void real.wal.append(write(model.term, 0, ...entries))
          for (let i = 0; i < turns; i++) await Promise.resolve()
          let draws = 0
          real.fs.crash(() => seed[draws++ % seed.length] as number)
          const found = await reopened(real)
          const whole = after(model.entries, entries)
          const base = found[0]?.index ?? 0
          const isNew = texts(found) === texts(whole.filter(e => e.index >= base))
          if (isNew) model.entries = whole
        },
      ),
    ),
]

t.test('commands against an array', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands(steps, { maxCommands: 30 }),
      fc.constantFrom(64, 300, 2000, 9000),
      async (commands, segmentBytes) => {
        const fs = new MemoryFs()
        const { wal } = await open(fs, { segmentBytes })
        const model: Model = { entries: [], released: 0, term: 1 }
        await fc.asyncModelRun(() => ({ model, real: { fs, segmentBytes, wal } }), commands)
      },
    ),
    { numRuns: 400 },
  )
  t.pass('400 runs')
})

/** A log of many small records, and how many of its entries end at or before each byte of its only segment. */
async function small(): Promise<{ whole: Uint8Array; ends: number[]; path: string }> {
  const fs = new MemoryFs()
  let written = 0
  const { wal } = await open(fs, { segmentBytes: 16_384, onWritten: bytes => (written += bytes) })
  const ends: number[] = []
  while (written < 5000) {
    await wal.append(write(1, 0, entry(ends.length + 1, 1)))
    ends.push(written)
  }
  const path = 'wal/0000000001.wal'
  return { whole: fs.peek(path) as Uint8Array, ends, path }
}

t.test('every cut of a 4 KiB tail leaves the records before it', async t => {
  const { whole, ends, path } = await small()
  const end = ends.at(-1) as number
  for (let size = end - 4096; size <= end; size++) {
    const fs = new MemoryFs()
    const torn = size % 2 === 0 ? whole.slice(0, size) : whole.map((b, at) => (at < size ? b : 0))
    fs.plant(path, torn)
    const { entries } = await readLog(fs, 'wal', { id: 7 })
    const expected = ends.filter(e => e <= size).length
    if (entries.length !== expected) t.fail(`cut at ${size}: ${entries.length}, not ${expected}`)
  }
  t.pass('4,097 cuts')
})

t.test('every flipped bit of a middle record is refused, with its offset', async t => {
  const { whole, ends, path } = await small()
  const middle = Math.floor(ends.length / 2)
  const [from = 0, to = 0] = ends.slice(middle - 1)
  for (let at = from; at < to; at++)
    for (let bit = 0; bit < 8; bit++) {
      const fs = new MemoryFs()
      const bad = whole.slice()
      bad[at] = (bad[at] as number) ^ (1 << bit)
      fs.plant(path, bad)
      const error = await readLog(fs, 'wal', { id: 7 }).catch((e: unknown) => e)
      if (!(error instanceof WalCorruptError) || error.offset !== from || error.file !== path)
        t.fail(`byte ${at}, bit ${bit}: ${String(error)}`)
    }
  t.pass(`${8 * (to - from)} flips`)
})

t.test('a lost sector in the middle is refused, one at the end is cut', async t => {
  const { whole, ends, path } = await small()
  const end = ends.at(-1) as number
  const lastStart = ends.at(-2) as number
  for (let at = 0; at < end; at += 512) {
    const fs = new MemoryFs()
    const bad = whole.slice()
    bad.fill(0, at, at + 512)
    fs.plant(path, bad)
    const found = await readLog(fs, 'wal', { id: 7 }).catch((e: unknown) => e)
    const isEnd = at + 512 >= lastStart
    if (isEnd === found instanceof WalCorruptError) t.fail(`sector at ${at}: ${String(found)}`)
  }
  t.pass()
})
