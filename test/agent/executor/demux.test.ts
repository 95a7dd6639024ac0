// Goal: log lines come out whole, with their times and streams, however the engine's stream is cut.
// Method: frames as the engine writes them, cut into random chunks; raw terminal streams likewise.
import * as fc from 'fast-check'
import t from 'tap'
import { readLines, splitFrames } from '../../../agent/executor/docker/demux.ts'

const TIME = '2026-01-02T03:04:05.123456789Z'
const TIME_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 123)

const frame = (stream: 1 | 2, text: string): Buffer => {
  const data = Buffer.from(text)
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(data.length, 4)
  return Buffer.concat([header, data])
}

async function* chunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const size = sizes.length > 0 ? (sizes[turn % sizes.length] ?? 1) : bytes.length
    yield bytes.subarray(at, at + size)
    at += size
  }
}

async function read(bytes: Buffer, sizes: readonly number[], tty: boolean) {
  const lines: { text: string; stderr: boolean; timeMs: number; timeSubNs: number }[] = []
  for await (const { data, ...line } of readLines(splitFrames(chunks(bytes, sizes), tty), tty)) {
    lines.push({ ...line, text: Buffer.from(data).toString() })
  }
  return lines
}

const SIZES = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 20 })

t.test('frames give lines with time and stream', async t => {
  const bytes = Buffer.concat([
    frame(1, `${TIME} out\n`),
    frame(2, `${TIME} err\n`),
    frame(1, `${TIME} \n`),
  ])
  t.strictSame(await read(bytes, [], false), [
    { text: 'out', stderr: false, timeMs: TIME_MS, timeSubNs: 456_789 },
    { text: 'err', stderr: true, timeMs: TIME_MS, timeSubNs: 456_789 },
    { text: '', stderr: false, timeMs: TIME_MS, timeSubNs: 456_789 },
  ])
})

t.test('a long line in several frames is one line with the first time', async t => {
  const bytes = Buffer.concat([
    frame(1, `${TIME} abc`),
    frame(2, `${TIME} e\n`),
    frame(1, '2026-01-02T03:04:06Z def\n'),
  ])
  t.strictSame(
    (await read(bytes, [], false)).map(({ text }) => text),
    ['e', 'abcdef'],
  )
})

t.test('however the stream is cut, the lines are the same', async () => {
  const line = fc.record({
    stderr: fc.boolean(),
    text: fc.string({ maxLength: 60 }).filter(text => !/[\r\n]/.test(text)),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 20 }),
      SIZES,
      fc.boolean(),
      async (lines, sizes, tty) => {
        const bytes = tty
          ? Buffer.from(lines.map(({ text }) => `${TIME} ${text}\r\n`).join(''))
          : Buffer.concat(
              lines.map(({ stderr, text }) => frame(stderr ? 2 : 1, `${TIME} ${text}\n`)),
            )
        const got = await read(bytes, sizes, tty)
        t.strictSame(
          got.map(({ text, stderr }) => ({ stderr, text })),
          lines.map(({ text, stderr }) => ({ stderr: !tty && stderr, text })),
        )
        return got.every(({ timeMs }) => timeMs === TIME_MS)
      },
    ),
    { numRuns: 60 },
  )
})

t.test('a frame that cannot be is refused', async t => {
  const bytes = Buffer.from([1, 0, 0, 0, 255, 255, 255, 255, 0])
  await t.rejects(read(bytes, [], false), /log frame of 4294967295 bytes/)
})
