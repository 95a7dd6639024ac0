// Goal: what was synced is found again; a torn end is cut; any other damage is refused; one write and one sync an append.
// Method: cut and damage a log at every byte; count what reaches the disk; plant files of other formats.
import t from 'tap'
import { MemoryFs, WalCorruptError, WalVersionError } from '../../src/index.ts'
import { crc32 } from '../../src/codec/crc32.ts'
import { entriesAfter } from '../../src/wal/restore.ts'
import { readLog } from '../../src/wal/recovery.ts'
import { SnapshotStore } from '../../src/wal/snapshot-store.ts'
import type { WalOptions } from '../../src/wal/wal.ts'
import { entry, FORMAT_1, open, shape, write } from './builders.ts'

const xor = {
  seal: (b: Uint8Array): Uint8Array => b.map(x => x ^ 0x5a),
  open: (b: Uint8Array): Uint8Array => b.map(x => x ^ 0x5a),
}
const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

/** Three records, and where the header and each of them ends. */
async function three(
  options: Partial<WalOptions> = {},
): Promise<{ fs: MemoryFs; ends: number[]; path: string }> {
  const fs = new MemoryFs()
  let written = 0
  const { wal } = await open(fs, { ...options, onWritten: bytes => (written += bytes) })
  const ends: number[] = []
  for (const i of [1, 2, 3]) {
    await wal.append(write(1, i - 1, entry(i, 1)))
    ends.push(written)
  }
  await wal.close()
  const [first = 0, second = 0] = ends
  return { fs, ends: [first - (second - first), ...ends], path: fs.paths()[0] as string }
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
    for (const torn of [whole.slice(0, size), whole.map((byte, at) => (at < size ? byte : 0))]) {
      const copy = new MemoryFs()
      copy.plant(path, torn)
      const { wal, found } = await open(copy)
      if (shape(found.entries) !== '1/1 2/1') t.fail(`cut at ${size}: ${shape(found.entries)}`)
      await wal.append(write(3, 2, entry(3, 3)))
      await wal.close()
      const again = await open(copy)
      if (shape(again.found.entries) !== '1/1 2/1 3/3') t.fail(`after a cut at ${size}`)
    }
  }
  t.pass(`${third - second} cuts`)
})

t.test('garbage behind the last record is cut', async t => {
  const { fs, ends, path } = await three()
  const bytes = fs.peek(path) as Uint8Array
  bytes.fill(0x52, ends.at(-1))
  fs.plant(path, bytes)
  t.equal(shape((await open(fs)).found.entries), '1/1 2/1 3/1')
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
      const error = await errorOf(open(copy))
      if (!(error instanceof WalCorruptError) || error.file !== path || error.code !== 'Corrupt')
        t.fail(`byte ${at}: ${String(error)}`)
      else if (at >= first && (error.offset > at || error.offset === 0))
        t.fail(`byte ${at}: reported at ${error.offset}`)
      if (Buffer.compare(copy.peek(path) as Uint8Array, bad) !== 0) t.fail('the file was changed')
    }
    t.pass(`${second} flips`)
  },
)

t.test('a flipped byte in the last record cannot be told from a torn one', async t => {
  const { fs, ends, path } = await three()
  const bad = fs.peek(path) as Uint8Array
  const last = (ends.at(-1) as number) - 1
  bad[last] = (bad[last] as number) ^ 1
  fs.plant(path, bad)
  t.equal(shape((await open(fs)).found.entries), '1/1 2/1')
})

t.test('segments roll, chain, and are released; a missing or damaged one is refused', async t => {
  const fs = new MemoryFs()
  const { wal } = await open(fs, { segmentBytes: 150 })
  for (let i = 1; i <= 30; i++) await wal.append(write(1, i - 1, entry(i, 1)))
  t.ok(fs.paths().length > 5)
  const middle = fs.paths()[2] as string
  const bytes = fs.peek(middle) as Uint8Array
  await fs.remove(middle)
  await t.rejects(readLog(fs, 'wal'), { code: 'Corrupt', message: /missing/ })
  fs.plant(middle, bytes.slice(0, 100))
  await t.rejects(
    readLog(fs, 'wal'),
    { code: 'Corrupt', file: middle, message: /finished segment/ },
    'only the last may be torn',
  )
  fs.plant(middle, new Uint8Array(150))
  await t.rejects(readLog(fs, 'wal'), { code: 'Corrupt', file: middle, offset: 0 })
  fs.plant(middle, fs.peek(fs.paths()[1] as string) as Uint8Array)
  await t.rejects(readLog(fs, 'wal'), { message: /calls itself 2/ })
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

t.test('one write and one sync an append, also where a segment begins', async t => {
  const calls: string[] = []
  const fs = new MemoryFs({
    before: (operation, path) => {
      if (path.endsWith('.wal')) calls.push(operation)
    },
  })
  const syncs: number[] = []
  const { wal } = await open(fs, { segmentBytes: 400, onSync: seconds => syncs.push(seconds) })
  for (let i = 1; i <= 100; i++) {
    await wal.append(write(1, i - 1, entry(i, 1)))
    // The next segment is made meanwhile, under another name.
    for (let j = 0; j < 20; j++) await Promise.resolve()
  }
  const count = (operation: string): number => calls.filter(call => call === operation).length
  t.equal(count('write'), 100)
  t.equal(count('sync'), 100)
  t.equal(syncs.length, 100)
  t.ok(count('open') > 5, 'several segments were begun')
})

t.test('a segment has all its bytes before it is begun', async t => {
  const fs = new MemoryFs()
  const { wal } = await open(fs)
  await wal.append(write(1, 0, entry(1, 1)))
  fs.crash()
  t.equal(fs.peek('wal/0000000001.wal')?.length, 4096, 'zeros and name survive a crash')
  const again = await open(fs)
  for (let i = 2; i <= 70; i++) await again.wal.append(write(1, 0, entry(i, 1)))
  for (let i = 0; i < 50; i++) await Promise.resolve()
  t.ok(fs.paths().includes('wal/0000000002.wal'), 'the next is made when one is half full')
  t.equal(shape((await readLog(fs, 'wal')).entries).split(' ').length, 70)
})

t.test('a released segment is used again, and what it held is not found', async t => {
  const zeroed: string[] = []
  const fs = new MemoryFs({
    before: (operation, path) => {
      if (operation === 'zero') zeroed.push(path)
    },
  })
  let { wal } = await open(fs, { segmentBytes: 400 })
  for (let i = 1; i <= 400; i++) {
    await wal.append(write(1, i - 1, entry(i, 1)))
    if (i % 20 === 0) await wal.release(i - 5)
    if (i % 7 !== 0) continue
    // Killed: nothing of the former contents comes back, whatever of them lies behind the end.
    fs.crash()
    const opened = await open(fs, { segmentBytes: 400 })
    wal = opened.wal
    if (opened.found.entries.at(-1)?.index !== i) t.fail(`after ${i}`)
  }
  t.ok(fs.paths().length <= 6, `${fs.paths().length} files`)
  const segments = Number(/\d+/.exec(fs.paths().at(-1) as string)?.[0])
  t.ok(zeroed.length < segments / 4, `${zeroed.length} of ${segments} were made anew`)
})

t.test('a torn record in a recycled segment is cut, although old records follow it', async t => {
  const fs = new MemoryFs()
  const { wal } = await open(fs, { segmentBytes: 400 })
  let size = 0
  let index = 0
  for (let name = ''; !name.endsWith('9.wal'); name = fs.paths().at(-1) as string) {
    await wal.append(write(1, index, entry(++index, 1)))
    await wal.release(index - 1)
  }
  await wal.close()
  const { found } = await open(fs, { segmentBytes: 400 })
  const path = `wal/${String(found.tail?.sequence).padStart(10, '0')}.wal`
  size = found.tail?.size ?? 0
  const bytes = fs.peek(path) as Uint8Array
  t.ok(
    Buffer.from(bytes.subarray(size)).includes('RAFT'),
    'records of the former segment lie behind',
  )
  bytes[size - 1] = (bytes[size - 1] as number) ^ 1
  fs.plant(path, bytes)
  t.equal((await open(fs, { segmentBytes: 400 })).found.entries.at(-1)?.index, index - 1)
})

t.test('without room for the next segment the log goes on in one that grows', async t => {
  let full = false
  const fs = new MemoryFs({
    before: operation => {
      if (full && operation === 'zero') throw Object.assign(new Error('full'), { code: 'ENOSPC' })
    },
  })
  const { wal } = await open(fs, { segmentBytes: 400 })
  await wal.append(write(1, 0, entry(1, 1)))
  full = true
  for (let i = 2; i <= 30; i++) await wal.append(write(1, 0, entry(i, 1)))
  t.equal((await readLog(fs, 'wal')).entries.length, 30)
  t.same(
    fs.paths().filter(path => path.endsWith('.tmp')),
    [],
  )
})

t.test('another failure while the next segment is made ends the log', async t => {
  const fs = new MemoryFs({
    before: (operation, path) => {
      if (operation === 'sync' && path.includes('0000000002'))
        throw Object.assign(new Error('EIO: the disk is dying'), { code: 'EIO' })
    },
  })
  const { wal } = await open(fs, { segmentBytes: 400 })
  const appends = async (): Promise<void> => {
    for (let i = 1; i <= 20; i++) await wal.append(write(1, 0, entry(i, 1)))
  }
  await t.rejects(appends(), /dying/)
})

t.test('a segment whose creation was interrupted is begun again', async t => {
  for (const rest of ['', 'raftw', 'raftwal2\x10half a header']) {
    const { fs } = await three({ segmentBytes: 200 })
    const bytes = new Uint8Array(200)
    bytes.set(new TextEncoder().encode(rest))
    fs.plant('wal/0000000002.wal', bytes)
    fs.plant('wal/0000000003.wal.tmp', new Uint8Array(10))
    const { wal, found } = await open(fs, { segmentBytes: 200 })
    t.equal(found.entries.length, 3)
    for (const i of [4, 5, 6, 7]) await wal.append(write(1, 3, entry(i, 1)))
    t.equal(shape((await readLog(fs, 'wal')).entries), '1/1 2/1 3/1 4/1 5/1 6/1 7/1')
    t.notOk(fs.paths().some(path => path.endsWith('.tmp')))
  }
})

t.test('a log of format 1 opens, goes on in format 2, and is damaged where it was', async t => {
  const plant = (fs: MemoryFs, change: (bytes: Buffer, path: string) => Buffer = b => b): void => {
    for (const [path, text] of Object.entries(FORMAT_1))
      fs.plant(path, change(Buffer.from(text, 'base64'), path))
  }
  const old = '1/1 2/1 3/1 4/1 5/1 6/1 7/1 8/1'
  const fs = new MemoryFs()
  plant(fs)
  const { wal, found } = await open(fs)
  t.equal(shape(found.entries), `${old} 9/2 10/2`)
  t.strictSame(found.hardState, { term: 2, vote: 3, commit: 8 })
  await wal.append(write(3, 9, entry(11, 3)))
  await wal.release(7)
  fs.crash()
  const again = await open(fs)
  t.equal(shape(again.found.entries), '8/1 9/2 10/2 11/3')
  t.notOk(
    fs.paths().some(p => p.endsWith('.spare')),
    'their size is not that of the new ones',
  )

  const torn = new MemoryFs()
  plant(torn, (b, path) => (path.includes('2.wal') ? b.subarray(0, -3) : b))
  const opened = await open(torn)
  t.equal(shape(opened.found.entries), `${old} 9/1`)
  await opened.wal.append(write(3, 8, entry(10, 3)))
  t.equal(shape((await readLog(torn, 'wal')).entries), `${old} 9/1 10/3`)

  for (const at of [3, 30, 100]) {
    const bad = new MemoryFs()
    plant(bad, b => {
      b[at] = (b[at] as number) ^ 1
      return b
    })
    await t.rejects(open(bad), { code: 'Corrupt', file: 'wal/0000000001.wal' }, `byte ${at}`)
  }
})

t.test('a log of a newer format is refused by name, and left alone', async t => {
  const { fs, ends, path } = await three()
  const bytes = fs.peek(path) as Uint8Array
  bytes[7] = '3'.charCodeAt(0)
  const crcAt = (ends[0] as number) - 4
  new DataView(bytes.buffer).setUint32(crcAt, crc32(bytes.subarray(0, crcAt)), true)
  fs.plant(path, bytes)
  const error = await errorOf(open(fs))
  t.ok(error instanceof WalVersionError)
  t.match(error, { code: 'Refused', file: path, version: 3, message: /format 3.*up to 2/ })
  t.same(fs.peek(path), bytes)
  t.same(fs.paths(), [path])
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
