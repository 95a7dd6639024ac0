// Goal: on a terminal progress is redrawn in place; without one a line is printed when something changed, and only then.
// Method: a sink that keeps what is written, and the same progress shown twice.
import t from 'tap'
import { paint } from '../../cli/output/color.ts'
import { canRedraw, displayFor } from '../../cli/output/progress.ts'
import type { Context, ProgressMode } from '../../cli/context.ts'
import type { Progress } from '../../cli/wait/converge.ts'
import type { Line } from '../../cli/wait/lines.ts'
import { SimClock } from '../../runtime/clock.ts'

function shown(progress: ProgressMode, columns = 60): { written: string; context: Context } {
  const out = {
    written: '',
    context: {
      stderr: {
        write: (text: string) => {
          out.written += text.replaceAll(String.fromCodePoint(27), 'ESC')
        },
        isTty: true,
        columns,
      },
      env: {},
      clock: new SimClock(Date.UTC(2026, 0, 1, 0, 0, 0)),
      progress,
      paint: paint(false),
    } as unknown as Context,
  }
  return out
}

function progressOf(lines: readonly Line[], running = 0): Progress {
  return {
    name: 'web',
    running,
    wanted: lines.length,
    note: '',
    lines,
    stuck: undefined,
    outcome: { kind: 'waiting' },
  }
}

const LINE: Line = { name: 'web.1', text: 'preparing on w1', mark: 'busy' }

t.test('plain: one line a change', async t => {
  const out = shown('plain')
  const display = displayFor(out.context, false)
  display.show('s', progressOf([LINE]))
  display.show('s', progressOf([LINE]))
  display.show('s', progressOf([{ ...LINE, text: 'running on w1', mark: 'good' }]))
  t.match(
    out.written,
    /^\d\d:\d\d:\d\d web\.1 preparing on w1\n\d\d:\d\d:\d\d web\.1 running on w1\n$/,
  )
})

t.test('tty: the block is drawn over, and only when it differs', async t => {
  const out = shown('tty')
  const display = displayFor(out.context, false)
  display.show('s', progressOf([LINE]))
  const first = out.written
  t.equal(first.split('\n').length - 1, 2, 'a head and a line')
  t.match(first, / {2}● web\.1 {2}preparing on w1\n$/)
  display.show('s', progressOf([LINE]))
  t.equal(out.written, first)
  display.show('s', progressOf([{ ...LINE, text: 'running on w1', mark: 'good' }], 1))
  t.match(out.written.slice(first.length), /^ESC\[2AESC\[Jweb .* 1 of 1\n {2}✓ web\.1/)
  display.say('remark')
  t.match(out.written, /ESC\[2AESC\[Jremark\nweb/, 'a remark stays above the block')
})

t.test('tty: no line is wider than the terminal, and many tasks are counted', async t => {
  const narrow = shown('tty', 30)
  displayFor(narrow.context, false).show('s', progressOf([{ ...LINE, text: 'x'.repeat(90) }]))
  for (const line of narrow.written.split('\n')) t.ok(line.length < 30, line)
  const many = shown('tty')
  const lines = Array.from({ length: 40 }, (_, i) => ({ ...LINE, name: `web.${i}` }))
  displayFor(many.context, false).show('s', progressOf(lines))
  t.match(many.written, /\n {2}40 × preparing\n$/)
})

t.test('quiet says nothing; CI and dumb terminals are not redrawn', async t => {
  const out = shown('plain')
  displayFor(out.context, true).show('s', progressOf([LINE]))
  t.equal(out.written, '')
  const stderr = { write: () => undefined, isTty: true, columns: 80 }
  t.equal(canRedraw({ stderr, env: {} }), true)
  t.equal(canRedraw({ stderr, env: { CI: '1' } }), false)
  t.equal(canRedraw({ stderr, env: { TERM: 'dumb' } }), false)
})
