// Goal: what people and scripts read has docker's layout, and errors say what, why and what next.
// Method: exact texts, most of them copied from docker's own output.
import t from 'tap'
import { Exit, Failure, failureText, toFailure, usage } from '../../cli/failure.ts'
import { ago, humanDuration, tookText } from '../../cli/output/ago.ts'
import { paint, wantsColor } from '../../cli/output/color.ts'
import { type Field, renderList } from '../../cli/output/list.ts'
import { renderObjects } from '../../cli/output/object.ts'
import { ellipsis, table, width } from '../../cli/output/table.ts'
import { StatusError } from '../../runtime/errors.ts'

t.test('a table has three blanks between columns, each ten wide at least', async t => {
  t.equal(
    table([
      ['ID', 'NAME', 'PORTS'],
      ['x0e8lwjyy4uw', 'web', '*:80->80/tcp'],
    ]),
    'ID             NAME      PORTS\nx0e8lwjyy4uw   web       *:80->80/tcp\n',
  )
  t.equal(table([]), '')
  t.equal(table([['名前', 'X']]), '名前      X\n', 'wide characters take two columns')
})

t.test('width and ellipsis count columns, not characters', async t => {
  t.equal(width('日本'), 4)
  t.equal(width(paint(true).good('ok')), 2)
  t.equal(width('e\u0301'), 1)
  t.equal(ellipsis('abcdef', 4), 'abc…')
  t.equal(ellipsis('abcd', 4), 'abcd')
})

interface Row {
  readonly id: string
  readonly name: string
  readonly self: boolean
}
const FIELDS: readonly Field<Row>[] = [
  {
    name: 'ID',
    header: 'ID',
    value: row => row.id,
    inTable: row => `${row.id}${row.self ? ' *' : ''}`,
  },
  { name: 'Self', header: '', value: row => row.self, hidden: true },
  { name: 'Name', header: 'NAME', value: row => row.name },
]
const ROWS: readonly Row[] = [
  { id: 'a1', name: 'web', self: true },
  { id: 'b2', name: 'api', self: false },
]

t.test('listings come as table, template, table template, json and ids', async t => {
  t.equal(renderList(ROWS, FIELDS), 'ID        NAME\na1 *      web\nb2        api\n')
  t.equal(renderList(ROWS, FIELDS, { format: '{{.Name}}/{{.ID}}' }), 'web/a1\napi/b2\n')
  t.equal(
    renderList(ROWS, FIELDS, { format: 'table {{.Name}}\\t{{.ID}}' }),
    'NAME      ID\nweb       a1\napi       b2\n',
  )
  t.equal(
    renderList(ROWS, FIELDS, { format: 'json' }),
    '{"ID":"a1","Self":true,"Name":"web"}\n{"ID":"b2","Self":false,"Name":"api"}\n',
  )
  t.equal(renderList(ROWS, FIELDS, { quiet: true }), 'a1\nb2\n')
  t.equal(renderList([], FIELDS), 'ID        NAME\n')
  t.equal(renderList([], FIELDS, { format: 'json' }), '')
})

t.test('a bad template and an unknown field are refused in Go’s words', async t => {
  t.throws(() => renderList(ROWS, FIELDS, { format: '{{.Name' }), { code: 'InvalidArgument' })
  t.throws(() => renderList(ROWS, FIELDS, { format: '{{.Nope}}' }), { code: 'InvalidArgument' })
})

t.test('inspect prints an indented array, or each object through a template', async t => {
  t.equal(renderObjects([{ A: 1 }], undefined), '[\n    {\n        "A": 1\n    }\n]\n')
  t.equal(renderObjects([{ A: { B: 'x' } }], '{{.A.B}}'), 'x\n')
  t.equal(renderObjects([{ A: [1] }], '{{json .A}}'), '[1]\n')
})

t.test('times are told in docker’s words', async t => {
  const cases: [number, string][] = [
    [400, 'Less than a second'],
    [1_000, '1 second'],
    [59_000, '59 seconds'],
    [60_000, 'About a minute'],
    [119_000, 'About a minute'],
    [120_000, '2 minutes'],
    [59 * 60_000, '59 minutes'],
    [3_600_000, 'About an hour'],
    [47 * 3_600_000, '47 hours'],
    [48 * 3_600_000, '2 days'],
    [14 * 86_400_000, '2 weeks'],
    [60 * 86_400_000, '2 months'],
    [730 * 86_400_000, '2 years'],
  ]
  for (const [ms, text] of cases) t.equal(humanDuration(ms), text)
  t.equal(ago(0, 5_000), '')
  t.equal(ago(3_000, 5_000), '2 seconds ago')
  t.equal(tookText(300), '0.3 s')
  t.equal(tookText(41_000), '41 s')
  t.equal(tookText(82_000), '1 min 22 s')
})

t.test('an error says what, why and what next, aligned', async t => {
  const failure = new Failure('m1 refused the token', {
    why: ['it was rotated', 'three days ago'],
    next: ['skein swarm join-token worker'],
  })
  t.equal(
    failureText(failure),
    [
      'Error: m1 refused the token',
      '  why    it was rotated',
      '         three days ago',
      '  next   skein swarm join-token worker',
      '',
    ].join('\n'),
  )
  t.equal(failureText(new Failure('no')), 'Error: no\n')
})

t.test('whatever is thrown ends with the right code', async t => {
  t.equal(usage('x').exit, Exit.USAGE)
  t.equal(toFailure(new StatusError('Cancelled', 'x')).exit, Exit.INTERRUPTED)
  const unavailable = toFailure(new StatusError('Unavailable', 'no leader'))
  t.match(unavailable, { message: 'no leader', exit: Exit.REFUSED })
  t.equal(unavailable.next.length, 1)
  t.equal(toFailure(new TypeError('oops')).message, 'oops')
})

t.test('colour follows the flag, then NO_COLOR, CI and the terminal', async t => {
  t.equal(wantsColor('auto', {}, true), true)
  t.equal(wantsColor('auto', {}, false), false)
  t.equal(wantsColor('auto', { NO_COLOR: '1' }, true), false)
  t.equal(wantsColor('auto', { CI: 'true' }, true), false)
  t.equal(wantsColor('auto', { TERM: 'dumb' }, true), false)
  t.equal(wantsColor('auto', { FORCE_COLOR: '1' }, false), true)
  t.equal(wantsColor('always', { NO_COLOR: '1' }, false), true)
  t.equal(wantsColor('never', { FORCE_COLOR: '1' }, true), false)
})
