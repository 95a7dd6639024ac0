// Goal: a damaged log is cut before its damage and opens again; what is kept and lost is told first; the old files stay.
// Method: damage of every kind to a log of several segments; crashes between any two steps of the repair.
import t from 'tap'
import { MemoryFs, planRepair, repairLog } from '../../src/index.ts'
import { encodeChange } from '../../src/core/membership.ts'
import { readLog } from '../../src/wal/recovery.ts'
import { SnapshotStore } from '../../src/wal/snapshot-store.ts'
import { Wal } from '../../src/wal/wal.ts'
import { entry, write } from './builders.ts'

const members = [1, 7].map(id => ({ id, address: `m${id}`, learner: false }))

/** Twenty entries in several segments of member 7, one of a group of two, in `m/`. */
async function log(fs = new MemoryFs()): Promise<{ fs: MemoryFs; segments: string[] }> {
  await fs.mkdir('m/wal')
  await fs.mkdir('m/snap')
  const { wal } = await openLog(fs)
  const first = { ...entry(1, 1), kind: 'config' as const }
  await wal.append(write(1, 1, { ...first, data: encodeChange({ kind: 'bootstrap', members }) }))
  for (let i = 2; i <= 20; i++) await wal.append(write(1, i - 1, entry(i, 1)))
  await wal.close()
  return { fs, segments: fs.paths().filter(path => path.endsWith('.wal')) }
}

const openLog = (fs: MemoryFs) =>
  Wal.open({ fs: fs.mount(), dir: 'm/wal', id: 7, segmentBytes: 300, monotonicMs: () => 0 })

function flip(fs: MemoryFs, path: string, at: number): Uint8Array {
  const bytes = fs.peek(path) as Uint8Array
  bytes[at] = (bytes[at] as number) ^ 1
  fs.plant(path, bytes)
  return bytes
}

t.test('a whole log needs no repair and is left alone', async t => {
  const { fs } = await log()
  const before = fs.paths().map(path => fs.peek(path))
  const done = await repairLog({ fs, dir: 'm' })
  t.match(done, { damage: undefined, aside: undefined, lastIndex: 20, members })
  t.same(
    fs.paths().map(path => fs.peek(path)),
    before,
  )
})

t.test('damage in the middle: cut there, told before, kept aside', async t => {
  const { fs, segments } = await log()
  const [first = '', second = '', ...later] = segments
  const bad = flip(fs, second, 150)
  const plan = await planRepair({ fs, dir: 'm' })
  t.match(plan.damage, { file: second, detail: /invalid record/, lostFiles: later, lostIndex: 20 })
  const offset = plan.damage?.offset ?? 0
  t.ok(offset > 0 && offset <= 150)
  t.ok(plan.lastIndex > 1 && plan.lastIndex < 20)
  t.same(plan.members, members)
  t.same(fs.peek(second), bad, 'a plan changes nothing')

  const { aside } = await repairLog({ fs, dir: 'm' })
  t.equal(aside, 'm/wal.damaged-1')
  t.same(fs.peek(second.replace('m/wal', aside ?? '')), bad)
  t.ok(fs.peek(first.replace('m/wal', aside ?? '')))
  const { wal, found } = await openLog(fs)
  t.equal(found.entries.at(-1)?.index, plan.lastIndex)
  await wal.append(write(2, 1, entry(plan.lastIndex + 1, 2)))
  await wal.close()
  t.equal((await readLog(fs, 'm/wal')).entries.at(-1)?.term, 2)

  flip(fs, first, 60)
  t.equal((await repairLog({ fs, dir: 'm' })).aside, 'm/wal.damaged-2', 'aside again, elsewhere')
})

t.test('a missing segment, a header in ruins, and a record that cannot be opened', async t => {
  const gone = await log()
  await gone.fs.remove(gone.segments[1] as string)
  t.match((await planRepair({ fs: gone.fs, dir: 'm' })).damage, {
    detail: /is missing/,
    lostFiles: gone.segments.slice(2),
    lostIndex: 20,
  })
  const ruined = await log()
  flip(ruined.fs, ruined.segments[1] as string, 10)
  const plan = await repairLog({ fs: ruined.fs, dir: 'm' })
  t.match(plan.damage, { offset: 0, lostFiles: ruined.segments.slice(1) })
  t.equal((await openLog(ruined.fs)).found.entries.at(-1)?.index, plan.lastIndex)

  const { fs } = await log()
  let opened = 0
  const strict = {
    seal: (b: Uint8Array) => b,
    open(b: Uint8Array) {
      if (opened++ === 5) throw new Error('it was altered')
      return b
    },
  }
  const sealed = await planRepair({ fs, dir: 'm', encryption: strict })
  t.match(sealed, { lastIndex: 5, damage: { detail: /record 5 cannot be opened.*altered/ } })
  t.ok((sealed.damage?.offset ?? 0) > 0)
})

t.test('a snapshot counts as kept; a damaged one cannot be salvaged', async t => {
  const { fs, segments } = await log()
  const meta = { index: 12, term: 1, membership: { members, removed: [] } }
  await new SnapshotStore(fs, 'm/snap').save({ meta, data: new Uint8Array(10) })
  flip(fs, segments[0] as string, 60)
  t.match(await planRepair({ fs, dir: 'm' }), { lastIndex: 12, snapshotIndex: 12, members })
  flip(fs, fs.paths().find(path => path.endsWith('.snap')) as string, 30)
  await t.rejects(planRepair({ fs, dir: 'm' }), { code: 'Corrupt', file: /snap/ })
})

t.test('a repair that is interrupted anywhere can be begun again', async t => {
  let calls = 0
  let failAt = Number.POSITIVE_INFINITY
  const before = (): Promise<never> | undefined =>
    ++calls > failAt ? new Promise<never>(() => undefined) : undefined
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 200; i++) await Promise.resolve()
  }
  const whole = await log(new MemoryFs({ before }))
  flip(whole.fs, whole.segments[1] as string, 150)
  const { lastIndex } = await planRepair({ fs: whole.fs, dir: 'm' })
  calls = 0
  await repairLog({ fs: whole.fs, dir: 'm' })
  const steps = calls
  for (let step = 0; step < steps; step++) {
    failAt = Number.POSITIVE_INFINITY
    const { fs, segments } = await log(new MemoryFs({ before }))
    flip(fs, segments[1] as string, 150)
    calls = 0
    failAt = step
    void repairLog({ fs: fs.mount(), dir: 'm' })
    await settle()
    fs.crash(() => 0.5)
    failAt = Number.POSITIVE_INFINITY
    await repairLog({ fs, dir: 'm' })
    const { found } = await openLog(fs)
    if (found.entries.at(-1)?.index !== lastIndex) t.fail(`interrupted after ${step} steps`)
  }
  t.pass(`${steps} steps`)
})
