// Goal: the checker of histories accuses exactly those that no register can explain.
// Method: small histories by hand, each planted fault beside its legal twin; then random runs of a real register, whole
// and with one answer falsified; then all small histories against a search that tries every order.
import fc from 'fast-check'
import t from 'tap'
import { type Operation, type Value, checkRegister, checkRegisters } from './linearizability.ts'

const write = (value: Value, invokedMs: number, returnedMs?: number): Operation => ({
  client: `w${value}`,
  kind: 'write',
  value,
  invokedMs,
  returnedMs,
})
const read = (value: Value, invokedMs: number, returnedMs?: number): Operation => ({
  ...write(value, invokedMs, returnedMs),
  client: `r${invokedMs}`,
  kind: 'read',
})
const isLegal = (history: readonly Operation[]): boolean | undefined => {
  const verdict = checkRegister(history)
  return 'ok' in verdict ? verdict.ok : undefined
}

const CASES: readonly (readonly [string, boolean, readonly Operation[]])[] = [
  ['nothing happened', true, []],
  ['a register never written is read as such', true, [read(undefined, 0, 1)]],
  ['one after the other', true, [write('a', 0, 1), read('a', 2, 3), write('b', 4, 5)]],
  ['a stale read', false, [write('a', 0, 1), write('b', 2, 3), read('a', 4, 5)]],
  [
    'the same while the second write is under way',
    true,
    [write('a', 0, 1), write('b', 2, 6), read('a', 4, 5)],
  ],
  ['an acknowledged write lost', false, [write('a', 0, 1), read(undefined, 2, 3)]],
  ['a value from nowhere', false, [write('a', 0, 1), read('z', 2, 3)]],
  ['a read of the future', false, [read('a', 0, 1), write('a', 2, 3)]],
  ['a read of a write under way', true, [write('a', 0, 9), read('a', 2, 3)]],
  ['seen, then unseen', false, [write('a', 0, 9), read('a', 1, 2), read(undefined, 3, 4)]],
  ['unseen, then seen', true, [write('a', 0, 9), read(undefined, 1, 2), read('a', 3, 4)]],
  [
    'two readers disagree about the order of two writes',
    false,
    [write('a', 0, 20), write('b', 0, 20), read('a', 1, 3), read('b', 4, 6), read('a', 7, 9)],
  ],
  ['a write of unknown fate that nobody saw', true, [write('a', 0), read(undefined, 50, 51)]],
  [
    'a write of unknown fate seen late',
    true,
    [write('a', 0), read(undefined, 50, 51), read('a', 60, 61)],
  ],
  [
    'a write of unknown fate seen, then gone',
    false,
    [write('a', 0), read('a', 50, 51), read(undefined, 60, 61)],
  ],
  [
    'a write of unknown fate overwrites a later one',
    true,
    [write('a', 0), write('b', 10, 20), read('b', 30, 31), read('a', 40, 41)],
  ],
  ['a write of unknown fate cannot come before its call', false, [read('a', 0, 1), write('a', 2)]],
  ['a read without an answer says nothing', true, [write('a', 0, 1), read(undefined, 2)]],
  [
    'an end and a beginning at the same moment are concurrent',
    true,
    [write('a', 0, 5), read(undefined, 5, 6)],
  ],
]

for (const [name, legal, history] of CASES)
  t.test(name, async t => {
    t.equal(isLegal(history), legal)
    t.equal(isLegal(history.toReversed()), legal, 'the order of the records does not matter')
  })

t.test('an accusation names the operation', async t => {
  const verdict = checkRegisters([
    { key: 'x', ...write('a', 0, 1) },
    { key: 'x', ...write('b', 2, 3) },
    { key: 'x', ...read('a', 4, 5) },
    { key: 'y', ...read(undefined, 4, 5) },
  ])
  t.match(verdict, { ok: false, reason: /key x: .*client r4 read "a"/ })
})

t.test('keys are judged apart', async t => {
  t.same(
    checkRegisters([
      { key: 1, ...write('a', 0, 1) },
      { key: 2, ...read(undefined, 2, 3) },
    ]),
    { ok: true },
  )
})

t.test('a search that takes too long says so', async t => {
  const crowd = Array.from({ length: 16 }, (_, i) => write(`v${i}`, 0, 100))
  const history = [...crowd, read('v0', 200, 201), read('v1', 202, 203)]
  t.same(checkRegister(history, { maxSteps: 1000 }), { undecided: true })
})

/** What clients see of a true register: each operation takes effect at some moment between its call and its answer. */
function record(random: () => number, count: number, clients: number): Operation[] {
  const free = Array.from({ length: clients }, () => random() * 10)
  const plans = Array.from({ length: count }, (_, i) => {
    const client = Math.floor(random() * clients)
    const invokedMs = (free[client] ?? 0) + random() * 5
    const [effect, returnedMs] = [invokedMs + random() * 10, invokedMs + 10 + random() * 10]
    const unknown = random() < 0.1
    free[client] = returnedMs
    return {
      i,
      client,
      invokedMs,
      effect: unknown && random() < 0.5 ? Infinity : effect,
      returnedMs,
      unknown,
    }
  })
  let value: Value
  return plans
    .toSorted((a, b) => a.effect - b.effect)
    .map(({ i, client, invokedMs, effect, returnedMs, unknown }): Operation => {
      const isWrite = unknown || i % 3 === 0
      if (isWrite && effect < Infinity) value = `v${i}`
      const kind = isWrite ? 'write' : 'read'
      return {
        client,
        kind,
        value: isWrite ? `v${i}` : value,
        invokedMs,
        returnedMs: unknown ? undefined : returnedMs,
      }
    })
}

const chance = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))
const drawFrom = (stream: Iterator<number>) => (): number => stream.next().value as number

t.test('whatever a true register does passes', async t => {
  fc.assert(
    fc.property(
      chance,
      fc.integer({ min: 1, max: 120 }),
      fc.integer({ min: 1, max: 8 }),
      (stream, count, clients) => isLegal(record(drawFrom(stream), count, clients)) === true,
    ),
    { numRuns: 200 },
  )
  t.pass()
})

/** Every order of every choice of the unanswered, tried one by one. */
function explain(history: readonly Operation[], value?: Value): boolean {
  if (history.every(o => o.returnedMs === undefined)) return true
  const firstEnd = Math.min(...history.map(o => o.returnedMs ?? Infinity))
  return history.some((o, i) => {
    if (o.invokedMs > firstEnd || (o.kind === 'read' && o.value !== value)) return false
    return explain(history.toSpliced(i, 1), o.kind === 'write' ? o.value : value)
  })
}

t.test('small histories are judged as by trying every order', async t => {
  const operation = fc.record({
    kind: fc.constantFrom('read' as const, 'write' as const),
    value: fc.constantFrom('a', 'b', 'c', undefined),
    invokedMs: fc.integer({ min: 0, max: 12 }),
    tookMs: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined, freq: 8 }),
  })
  const verdicts = new Map<boolean, number>()
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), drawn => {
      const history = drawn
        .map(({ kind, value, invokedMs, tookMs }, client) => ({
          client,
          kind,
          value,
          invokedMs,
          returnedMs: tookMs === undefined ? undefined : invokedMs + tookMs,
        }))
        .filter(o => o.kind === 'write' || o.returnedMs !== undefined)
      const expected = explain(history)
      verdicts.set(expected, (verdicts.get(expected) ?? 0) + 1)
      return isLegal(history) === expected
    }),
    { numRuns: 3000 },
  )
  for (const verdict of [true, false])
    t.ok((verdicts.get(verdict) ?? 0) > 100, `${verdict}: ${verdicts.get(verdict)}`)
})

t.test('thousands of operations of a few clients are judged in a moment', async t => {
  let state = 1
  const random = (): number => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  const history = record(random, 5000, 6)
  t.same(checkRegister(history), { ok: true })
  // The end of a long history falsified: a value long overwritten comes back.
  const lastMs = Math.max(...history.map(o => o.returnedMs ?? 0))
  const old = history.find(o => o.kind === 'write' && o.returnedMs !== undefined) as Operation
  t.match(
    checkRegister([
      ...history,
      write('end', lastMs + 1, lastMs + 2),
      read(old.value, lastMs + 3, lastMs + 4),
    ]),
    {
      ok: false,
    },
  )
})
