// Goal: templates do what Go's text/template does, output and errors alike.
// Method: tables of template, data and what Go (and Docker's --format) prints.
import fc from 'fast-check'
import t from 'tap'
import { type ExecuteOptions, execute } from '../../../services/template/evaluate.ts'
import { parseTemplate } from '../../../services/template/parser.ts'

const data = {
  Name: 'web',
  N: 3,
  F: 1.5,
  Yes: true,
  No: false,
  Nil: null,
  List: ['a', 'b', 'c'],
  Empty: [],
  Labels: { b: '2', a: '1', 'com.x/y': 'z' },
  Ports: [
    { Target: 80, Published: 8080 },
    { Target: 443, Published: 8443 },
  ],
  State: { Status: 'running', Health: { Log: [1, 2] } },
  Label: (key: unknown) => `label ${String(key)}`,
}
const render = (text: string, options?: ExecuteOptions): string =>
  execute(parseTemplate(text), data, options)

const GOOD: readonly (readonly [string, string])[] = [
  ['plain', 'plain'],
  ['{{.Name}}', 'web'],
  ['{{ .State.Status }}!', 'running!'],
  ['{{$.Name}}{{with .State}}{{.Status}}{{$.Name}}{{end}}', 'webrunningweb'],
  ['a {{- .Name -}} b', 'awebb'],
  ['a\n{{- /* note */ -}}\n b', 'ab'],
  ['{{/* note */}}x', 'x'],
  ['{{-3}}', '-3'],
  ['{{"quoted \\"x\\" \\u00e9\\n"}}', 'quoted "x" é\n'],
  ['{{`raw \\n`}}', 'raw \\n'],
  ["{{'a'}}", '97'],
  ['{{0x1F}} {{1_000}} {{1e3}} {{-0x10}} {{1.50}}', '31 1000 1000 -16 1.5'],
  ['{{.List}} {{.Labels}} {{.Yes}} {{.F}}', '[a b c] map[a:1 b:2 com.x/y:z] true 1.5'],
  ['{{.Missing}} {{.Missing.More}}', '<no value> <no value>'],
  ['{{.Nil}}', '<nil>'],
  ['{{if .Yes}}y{{else}}n{{end}}{{if .No}}y{{else}}n{{end}}', 'yn'],
  ['{{if .No}}1{{else if .Empty}}2{{else if .Yes}}3{{else}}4{{end}}', '3'],
  ['{{if and .Yes .Name}}y{{end}}{{or .No "d"}}{{not .No}}', 'ydtrue'],
  ['{{and .No (index .Empty 5)}}', 'false'],
  ['{{or .Yes (index .Empty 5)}}', 'true'],
  ['{{range .List}}<{{.}}>{{end}}', '<a><b><c>'],
  ['{{range $i, $x := .List}}{{if $i}}, {{end}}{{$i}}={{$x}}{{end}}', '0=a, 1=b, 2=c'],
  ['{{range $x := .List}}{{$x}}{{end}}', 'abc'],
  ['{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}', 'a=1;b=2;com.x/y=z;'],
  ['{{range .Empty}}x{{else}}none{{end}}{{range .Nil}}x{{else}}nil{{end}}', 'nonenil'],
  ['{{range 3}}{{.}}{{end}}', '012'],
  ['{{range .List}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}', 'ac'],
  ['{{range .List}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', 'a'],
  ['{{range .Ports}}{{.Published}}->{{.Target}} {{end}}', '8080->80 8443->443 '],
  ['{{with .Missing}}x{{else}}y{{end}}{{with $n := .Name}}{{$n}}{{.}}{{end}}', 'ywebweb'],
  ['{{with .No}}a{{else with .Name}}{{.}}{{end}}', 'web'],
  ['{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{end}}{{$x}}', '2'],
  ['{{$x := 1}}{{range .List}}{{$x := .}}{{end}}{{$x}}', '1'],
  ['{{define "T"}}[{{.}}]{{end}}{{template "T" .Name}}{{template "T"}}', '[web][<nil>]'],
  ['{{block "B" .State}}{{.Status}}{{end}}', 'running'],
  ['{{len .List}} {{len .Name}} {{len .Labels}} {{len "é"}}', '3 3 3 2'],
  ['{{index .List 1}} {{index .Labels "com.x/y"}}|{{index .Labels "no"}}|', 'b z||'],
  ['{{(index .Ports 1).Target}} {{index .State "Health" "Log" 1}}', '443 2'],
  ['{{slice .Name 1}} {{slice .List 0 2}}', 'eb [a b]'],
  [
    '{{eq .N 3}} {{eq .N 1 2 3}} {{ne .Name "x"}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1 2}}',
    'true true true true true true false',
  ],
  ['{{print 1 2 "x" 3}} {{println "a" 1}}', '1 2x3 a 1\n'],
  [
    '{{printf "%s-%03d|%5s|%-5s|%q|%x|%.2f|%t|%v|%%" "a" 7 "r" "l" "q" 255 1.255 true .List}}',
    'a-007|    r|l    |"q"|ff|1.25|true|[a b c]|%',
  ],
  [
    '{{printf "%d" "x"}} {{printf "%s"}} {{printf "%d" 1 2}} {{printf "%s" 5}}',
    '%!d(string=x) %!s(MISSING) 1%!(EXTRA int=2) %!s(int=5)',
  ],
  ['{{.Name | printf "%s-%s" "x" | upper}}', 'X-WEB'],
  [
    '{{"a<b>\'\\"&" | html}} {{"it\'s <" | js}} {{"a b&c/é" | urlquery}}',
    "a&lt;b&gt;&#39;&#34;&amp; it\\'s \\u003C a+b%26c%2F%C3%A9",
  ],
  [
    '{{json .Labels}} {{json .Missing}} {{json .Ports}}',
    '{"b":"2","a":"1","com.x/y":"z"} null [{"Target":80,"Published":8080},{"Target":443,"Published":8443}]',
  ],
  ['{{join .List ","}} {{join "-" "x" "y"}} {{split "a:b" ":"}}', 'a,b,c x-y [a b]'],
  [
    '{{title "hello world"}} {{lower "AB"}} {{upper "ab"}} {{truncate "abcdef" 3}} [{{pad "x" 1 2}}]',
    'Hello World ab AB abc [ x  ]',
  ],
  ['{{.Label "k"}}', 'label k'],
]

t.test('prints what Go prints', async t => {
  for (const [text, expected] of GOOD) t.equal(render(text), expected, text)
})

t.test('refuses what Go refuses, in Go words', async t => {
  const table: readonly (readonly [string, string])[] = [
    ['{{.Name', 'template: :1: unclosed action'],
    ['x\n{{.Name', 'template: :2: unclosed action'],
    ['{{}}', 'template: :1: missing value for command'],
    ['{{if}}x{{end}}', 'template: :1: missing value for if'],
    ['{{if .A}}', 'template: :1: unexpected EOF'],
    ['{{end}}', 'template: :1: unexpected {{end}}'],
    ['{{else}}', 'template: :1: unexpected {{else}}'],
    ['{{foo .A}}', 'template: :1: function "foo" not defined'],
    ['{{$x}}', 'template: :1: undefined variable "$x"'],
    ['{{$x = 1}}', 'template: :1: undefined variable "$x"'],
    ['{{break}}', 'template: :1: {{break}} outside {{range}}'],
    ['{{"abc}}', 'template: :1: unterminated quoted string'],
    ['{{(.A}}', 'template: :1: unclosed left paren'],
    ['{{.A)}}', 'template: :1: unexpected right paren'],
    ['{{/* x}}', 'template: :1: unclosed comment'],
    ['{{1 | 2}}', 'template: :1: non executable command in pipeline stage 2'],
    ['{{3x}}', 'template: :1: bad number syntax: "3x"'],
    ['{{.A | }}', 'template: :1: empty command'],
    ['{{nil}}', 'template: :1:2: executing "" at <nil>: nil is not a command'],
    [
      '{{.Name.X}}',
      'template: :1:7: executing "" at <.Name.X>: can\'t evaluate field X in type string',
    ],
    [
      '{{.Nil.X}}',
      'template: :1:6: executing "" at <.Nil.X>: nil pointer evaluating interface {}.X',
    ],
    [
      '{{index .List 9}}',
      'template: :1:2: executing "" at <index .List 9>: error calling index: index out of range: 9',
    ],
    [
      'a\nbc{{index .Nil 1}}',
      'template: :2:4: executing "" at <index .Nil 1>: error calling index: index of untyped nil',
    ],
    [
      '{{lt 1 "a"}}',
      'template: :1:2: executing "" at <lt 1 "a">: error calling lt: incompatible types for comparison',
    ],
    [
      '{{eq .List .List}}',
      'template: :1:2: executing "" at <eq .List .List>: error calling eq: non-comparable type',
    ],
    [
      '{{range .Name}}{{end}}',
      'template: :1:8: executing "" at <.Name>: range can\'t iterate over web',
    ],
    [
      '{{template "X"}}',
      'template: :1:11: executing "" at <{{template "X"}}>: template "X" not defined',
    ],
    [
      '{{.Name 1}}',
      'template: :1:2: executing "" at <.Name>: Name has arguments but cannot be invoked as function',
    ],
    [
      '{{len}}',
      'template: :1:2: executing "" at <len>: wrong number of args for len: want 1 got 0',
    ],
    [
      '{{define "A"}}{{template "A"}}{{end}}{{template "A"}}',
      'template: :1:25: executing "A" at <{{template "A"}}>: exceeded maximum template depth (100)',
    ],
    [
      '{{range 1000}}{{range 2000}}{{.}}{{end}}{{end}}',
      'template: :1:30: executing "" at <.>: takes more than 1000000 steps',
    ],
  ]
  for (const [text, message] of table)
    t.throws(() => render(text), { code: 'InvalidArgument', message }, text)
})

t.test('a missing key is an error where the caller says so', async t => {
  const strict = { missingKey: 'error' } as const
  t.throws(() => render('{{.Nope}}', strict), {
    message: 'template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"',
  })
  t.throws(() => render('{{.State.Nope}}', strict), { message: 'template: :1:8: executing' })
  t.equal(render('{{index .Labels "no"}}', strict), '')
})

t.test('nothing of JavaScript shows through', async t => {
  t.equal(
    render('{{.constructor}} {{.__proto__}} {{.toString}}'),
    '<no value> <no value> <no value>',
  )
  t.throws(() => parseTemplate('{{constructor}}'), {
    message: 'function "constructor" not defined',
  })
})

t.test('any text either parses or is refused with a place', async t => {
  const piece = fc.constantFrom(
    '{{',
    '}}',
    '.',
    '.A',
    '$',
    '$x',
    ' ',
    '|',
    ':=',
    '(',
    ')',
    'if',
    'end',
    'range',
    '"',
    '1',
    '-',
    '\n',
    'x',
    '/*',
    '*/',
    ',',
    'else',
    'index',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), pieces => {
      try {
        execute(parseTemplate(pieces.join('')), data)
        return true
      } catch (error) {
        return error instanceof Error && /^template: :\d+:/.test(error.message)
      }
    }),
    { numRuns: 3000 },
  )
  t.pass()
})
