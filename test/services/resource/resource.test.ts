// Goal: amounts read as Docker reads them, and reservations add up.
// Method: tables of Docker's own cases; algebraic properties over random resources.
import fc from 'fast-check'
import t from 'tap'
import { claimGeneric } from '../../../services/resource/generic.ts'
import {
  formatDuration,
  parseBytes,
  parseDurationMs,
  parseNanoCpus,
} from '../../../services/resource/parse.ts'
import {
  addResources,
  fits,
  lacking,
  subtractResources,
} from '../../../services/resource/resource.ts'

t.test('CPUs are exact to the billionth', async t => {
  const table: Record<string, number> = {
    '0.5': 5e8,
    '2': 2e9,
    '.25': 25e7,
    '1.': 1e9,
    '0.000000001': 1,
    '0.1': 1e8,
    '1.50': 15e8,
    '0': 0,
  }
  for (const [text, nanos] of Object.entries(table)) t.equal(parseNanoCpus(text), nanos, text)
  for (const text of ['', '.', '-1', '1e3', '0.0000000001', 'two'])
    t.throws(() => parseNanoCpus(text), { code: 'InvalidArgument' }, text)
})

t.test('sizes are binary whatever the unit is called', async t => {
  const table: Record<string, number> = {
    '0': 0,
    '1024': 1024,
    '32b': 32,
    '512m': 536870912,
    '1g': 1073741824,
    '64MiB': 67108864,
    '1.5 GB': 1610612736,
    '10kB': 10240,
    '1T': 2 ** 40,
    '1.5k': 1536,
  }
  for (const [text, bytes] of Object.entries(table)) t.equal(parseBytes(text), bytes, text)
  for (const text of ['', 'm', '-1m', '1 x', '1mm', '9999p', '1.m'])
    t.throws(() => parseBytes(text), { code: 'InvalidArgument' }, text)
})

t.test('durations are Go durations', async t => {
  const table: Record<string, number> = {
    '0': 0,
    '0s': 0,
    '10s': 10_000,
    '1m30s': 90_000,
    '1.5h': 5_400_000,
    '500ms': 500,
    '1500us': 2,
    '-5s': -5000,
    '.5s': 500,
    '1h2m3s4ms': 3_723_004,
  }
  for (const [text, ms] of Object.entries(table)) t.equal(parseDurationMs(text), ms, text)
  for (const text of ['', '10', 's', '1d', '1 s', '10ns', '1m30'])
    t.throws(() => parseDurationMs(text), { code: 'InvalidArgument' }, text)
  fc.assert(
    fc.property(
      fc.integer({ min: -1e12, max: 1e12 }),
      ms => parseDurationMs(formatDuration(ms)) === ms,
    ),
  )
})

const resources = fc.record({
  nanoCpus: fc.nat(1e9),
  memoryBytes: fc.nat(1e9),
  generic: fc.uniqueArray(
    fc.record({ kind: fc.constantFrom('gpu', 'ssd'), count: fc.nat(8), names: fc.constant([]) }),
    { selector: g => g.kind },
  ),
})

t.test('what is added can be taken away, and then fits no more than before', async t => {
  fc.assert(
    fc.property(resources, resources, (a, b) => {
      const sum = addResources(a, b)
      const left = subtractResources(sum, b)
      return (
        fits(b, sum) &&
        fits(a, sum) &&
        left.nanoCpus === a.nanoCpus &&
        left.memoryBytes === a.memoryBytes &&
        fits(a, left)
      )
    }),
  )
  t.pass()
})

t.test('asking for nothing fits even on an overcommitted node', async t => {
  const over = { nanoCpus: -5, memoryBytes: -5, generic: [] }
  t.ok(fits(null, over))
  t.same(lacking({ nanoCpus: 1, memoryBytes: 1, generic: [] }, over), ['cpu', 'memory'])
})

t.test('named resources are claimed one by one and exclusively', async t => {
  const node = {
    nanoCpus: 0,
    memoryBytes: 0,
    generic: [{ kind: 'gpu', count: 0, names: ['a', 'b', 'c'] }],
  }
  const two = [{ kind: 'gpu', count: 2, names: [] }]
  const claimed = claimGeneric(two, node.generic)
  t.same(claimed, [{ kind: 'gpu', count: 0, names: ['a', 'b'] }])
  const left = subtractResources(node, { nanoCpus: 0, memoryBytes: 0, generic: claimed ?? [] })
  t.same(left.generic, [{ kind: 'gpu', count: 0, names: ['c'] }])
  t.equal(claimGeneric(two, left.generic), undefined)
  t.same(lacking({ nanoCpus: 0, memoryBytes: 0, generic: two }, left), ['gpu'])
})
