// Goal: what was synced is found again; a torn end is cut; any other damage is refused.
// Method: cut and damage a log at every byte; crash at random between random writes and compare with an array.
import fc from 'fast-check'
import t from 'tap'
import { MemoryFs, WalCorruptError } from '../../src/index.ts'
import type { Entry } from '../../src/types.ts'
import { entriesAfter } from '../../src/wal/restore.ts'
import { readLog } from '../../src/wal/recovery.ts'
import { SnapshotStore } from '../../src/wal/snapshot-store.ts'
import { Wal } from '../../src/wal/wal.ts'

const entry = (index: number, term: number, text = `entry ${index}`): Entry => ({
  index,
  term,
  kind: 'normal',
  data: new TextEncoder().encode(text),
})
const write = (term: number, commit: number, ...entries: Entry[]) => ({
  hardState: { term, vote: 1, commit },
  restart: undefined,
  entries,
})
const xor = {
  seal: (b: Uint8Array): Uint8Array => b.map(x => x ^ 0x5a),
  open: (b: Uint8Array): Uint8Array => b.map(x => x ^ 0x5a),
}
async function open(
  fs: MemoryFs,
  options: { segmentBytes?: number; id?: number; encryption?: typeof xor } = {},
) {
  await fs.mkdir('wal')
  return Wal.open({
    fs: fs.mount(),
    dir: 'wal',
    id: 7,
    segmentBytes: 1e6,
    monotonicMs: () => 0,
    ...options,
  })
}
const shape = (list: readonly Entry[]): string => list.map(e => `${e.index}/${e.term}`).join(' ')

async function three(
  options: Parameters<typeof open>[1] = {},
): Promise<{ fs: MemoryFs; ends: number[]; path: string }> {
  const fs = new MemoryFs()
  const { wal } = await open(fs, options)
  const path = fs.paths()[0] as string
  const size = (): number => fs.peek(path)?.length ?? 0
  const ends = [size()]
  for (const i of [1, 2, 3]) {
    await wal.append(write(1, i - 1, entry(i, 1)))
    ends.push(size())
  }
  await wal.close()
  return { fs, ends, path }
}

t.test('what was written is read, the later hard state wins, later entries overwrite', async t => {
  const fs = new MemoryFs()
  const { wal } = await open(fs)
  await wal.append(write(1, 0, entry(1, 1), entry(2, 1), entry(3, 1)))
  await wal.append(write(2, 1, entry(2, 2)))
  await wal.close()
  const { found } = await open(fs)
  t.equal(shape(found.entries), '1/1 2/2')
  t.strictSame(found.hardState, { term: 2, vote: 1, commit: 1 })
})

t.test('a record torn at any byte is cut, and the log goes on', async t => {
  const { fs, ends, path } = await three()
  const whole = fs.peek(path) as Uint8Array
  const [, , second = 0, third = 0] = ends
  for (let size = second; size < third; size++) {
    const copy = new MemoryFs()
    copy.plant(path, whole.slice(0, size))
    const { wal, found } = await open(copy)
    if (shape(found.entries) !== '1/1 2/1') t.fail(`cut at ${size}: ${shape(found.entries)}`)
    await wal.append(write(3, 2, entry(3, 3)))
    await wal.close()
    const again = await open(copy)
    if (shape(again.found.entries) !== '1/1 2/1 3/3') t.fail(`after a cut at ${size}`)
  }
  t.pass(`${third - second} cuts`)
})

t.test('garbage behind the last record is cut', async t => {
  const { fs, path } = await three()
  const copy = new MemoryFs()
  copy.plant(path, Uint8Array.from([...(fs.peek(path) as Uint8Array), ...new Uint8Array(4096)]))
  t.equal(shape((await open(copy)).found.entries), '1/1 2/1 3/1')
})

t.test(
  'a flipped byte anywhere before the last record is refused, with file and offset',
  async t => {
    const { fs, ends, path } = await three()
    const whole = fs.peek(path) as Uint8Array
    const [first = 0, , second = 0] = ends
    for (let at = 0; at < second; at++) {
      const copy = new MemoryFs()
      const bad = whole.slice()
      bad[at] = (bad[at] as number) ^ 0x10
      copy.plant(path, bad)
      const error: unknown = await open(copy).then(
        () => undefined,
        (e: unknown) => e,
      )
      if (!(error instanceof WalCorruptError) || error.file !== path || error.code !== 'Corrupt')
        t.fail(`byte ${at}: ${String(error)}`)
      else if (at >= first && (error.offset > at || error.offset === 0))
        t.fail(`byte ${at}: reported at ${error.offset}`)
    }
    t.pass(`${second} flips`)
  },
)

t.test('a flipped byte in the last record cannot be told from a torn one', async t => {
  const { fs, path } = await three()
  const bad = fs.peek(path) as Uint8Array
  bad[bad.length - 1] = (bad.at(-1) as number) ^ 1
  fs.plant(path, bad)
  t.equal(shape((await open(fs)).found.entries), '1/1 2/1')
})

t.test('segments roll, chain, and are released; a missing one is refused', async t => {
  const fs = new MemoryFs()
  const { wal } = await open(fs, { segmentBytes: 150 })
  for (let i = 1; i <= 30; i++) await wal.append(write(1, i - 1, entry(i, 1)))
  t.ok(fs.paths().length > 5)
  const middle = fs.paths()[2] as string
  const bytes = fs.peek(middle) as Uint8Array
  await fs.remove(middle)
  await t.rejects(readLog(fs, 'wal'), { code: 'Corrupt', message: /missing/ })
  fs.plant(middle, bytes.slice(0, -1))
  await t.rejects(
    readLog(fs, 'wal'),
    { code: 'Corrupt', message: /finished segment/ },
    'only the last may be torn',
  )
  fs.plant(middle, bytes)
  await wal.release(20)
  await wal.close()
  const { found } = await open(fs)
  t.ok(found.base.index > 0 && found.base.index <= 20)
  t.equal(found.entries.at(-1)?.index, 30)
  const meta = { index: 20, term: 1, membership: { members: [], removed: [] } }
  t.equal(entriesAfter('wal', meta, found).entries[0]?.index, 21)
  t.throws(
    () => entriesAfter('wal', undefined, found),
    { code: 'Corrupt' },
    'entries 1 and up are gone',
  )
  t.strictSame(entriesAfter('wal', { ...meta, term: 9 }, found), { entries: [], contained: false })
})

t.test('a segment whose creation was interrupted is begun again', async t => {
  const { fs } = await three()
  fs.plant('wal/0000000002.wal', new TextEncoder().encode('raftw'))
  const { wal, found } = await open(fs, { segmentBytes: 10 })
  t.equal(found.entries.length, 3)
  await wal.append(write(1, 3, entry(4, 1)))
  t.equal(shape((await readLog(fs, 'wal')).entries), '1/1 2/1 3/1 4/1')
})

t.test('another member’s log is refused', async t => {
  const { fs } = await three()
  await t.rejects(open(fs, { id: 8 }), { code: 'Corrupt', message: /belongs to member 7/ })
})

t.test('sealed records and snapshots hide their contents and need their key', async t => {
  const { fs, path } = await three({ encryption: xor })
  t.notOk(Buffer.from(fs.peek(path) as Uint8Array).includes('entry 1'))
  t.equal((await open(fs, { encryption: xor })).found.entries.length, 3)
  await t.rejects(open(fs), { code: 'Corrupt' })
  await fs.mkdir('snap')
  const snapshot = {
    meta: { index: 3, term: 1, membership: { members: [], removed: [9] } },
    data: new TextEncoder().encode('plain text'),
  }
  await new SnapshotStore(fs, 'snap', xor).save(snapshot)
  t.notOk(
    Buffer.from(
      fs.peek(fs.paths().find(p => p.endsWith('.snap')) as string) as Uint8Array,
    ).includes('plain'),
  )
  t.match(await new SnapshotStore(fs, 'snap', xor).load(), snapshot)
  await t.rejects(new SnapshotStore(fs, 'snap').load(), { code: 'Corrupt' })
})

t.test('a snapshot replaces the older one in one step; a damaged one is refused', async t => {
  const membership = { members: [{ id: 1, address: 'a', learner: false }], removed: [] }
  const of = (index: number) => ({
    meta: { index, term: 1, membership },
    data: new Uint8Array(50).fill(index),
  })
  let calls = 0
  let failAt = Number.POSITIVE_INFINITY
  const fs = new MemoryFs({
    before: () => {
      return ++calls > failAt ? new Promise<never>(() => undefined) : undefined
    },
  })
  await fs.mkdir('snap')
  await new SnapshotStore(fs, 'snap').save(of(5))
  const steps = calls
  for (let step = 0; step <= steps; step++) {
    calls = 0
    failAt = step
    void new SnapshotStore(fs.mount(), 'snap').save(of(9 + step))
    for (let i = 0; i < 50; i++) await Promise.resolve()
    fs.crash()
    failAt = Number.POSITIVE_INFINITY
    const loaded = await new SnapshotStore(fs, 'snap').load()
    if (loaded === undefined || loaded.data[0] !== loaded.meta.index)
      t.fail(`crash after ${step} steps`)
  }
  t.equal((await new SnapshotStore(fs, 'snap').load())?.meta.index, 9 + steps)
  const path = fs.paths().at(-1) as string
  const bad = fs.peek(path) as Uint8Array
  bad[30] = (bad[30] as number) ^ 1
  fs.plant(path, bad)
  await t.rejects(new SnapshotStore(fs, 'snap').load(), { code: 'Corrupt', file: path })
})

t.test(
  'whatever is written and lost in crashes, all that was synced is found, in order',
  async t => {
    const step = fc.record({
      back: fc.nat(3),
      count: fc.integer({ min: 0, max: 4 }),
      crash: fc.option(fc.double({ min: 0, max: 0.999, noNaN: true }), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.integer({ min: 60, max: 2000 }),
        async (steps, segmentBytes) => {
          const fs = new MemoryFs()
          let model: Entry[] = []
          let term = 1
          let { wal } = await open(fs, { segmentBytes })
          for (const { back, count, crash } of steps) {
            const first = Math.max(1, model.length + 1 - back)
            if (back > 0) term++
            const entries = Array.from({ length: count }, (_, i) => entry(first + i, term))
            const after = count === 0 ? model : [...model.slice(0, first - 1), ...entries]
            const done = wal.append(write(term, 0, ...entries))
            if (crash === undefined) {
              await done
              model = after
              continue
            }
            // The power fails while the write is under way: all or nothing of it may be there.
            done.catch(() => undefined)
            for (let i = 0; i < crash * 20; i++) await Promise.resolve()
            fs.crash(() => crash)
            const opened = await open(fs, { segmentBytes })
            wal = opened.wal
            const found = shape(opened.found.entries)
            if (found !== shape(model) && found !== shape(after)) return false
            model = [...opened.found.entries]
          }
          return shape((await readLog(fs, 'wal', { id: 7 })).entries) === shape(model)
        },
      ),
      { numRuns: 300 },
    )
    t.pass()
  },
)
