// Goal: what the core says and does in the situations of the Raft paper and thesis, to the last message.
// Method: each script of cases/ is run and must print what it says it prints. UPDATE_TRANSCRIPTS=1 writes what was
// printed into the files; look at the difference before you keep it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Cluster } from './cluster.ts'
import { Interpreter } from './interpreter.ts'
import { parseScript, rewrite } from './script.ts'

const dir = join(import.meta.dirname, 'cases')
const files = readdirSync(dir).filter(file => file.endsWith('.txt'))
const update = process.env['UPDATE_TRANSCRIPTS'] === '1'
if (update && process.env['CI'] !== undefined)
  throw new Error('UPDATE_TRANSCRIPTS would make CI accept anything; unset it')

function replay(text: string): string {
  const interpreter = new Interpreter()
  return rewrite(parseScript(text), line => interpreter.run(line))
}

function withMembers(): { cluster: Cluster; run: (line: string) => readonly string[] } {
  const interpreter = new Interpreter()
  const run = (line: string): readonly string[] => interpreter.run(line)
  run('members 1 2')
  return { cluster: interpreter.cluster, run }
}

t.ok(files.length >= 40, `${files.length} scripts`)

for (const file of files)
  t.test(file, async t => {
    const path = join(dir, file)
    const text = readFileSync(path, 'utf8')
    t.match(
      text,
      /^(?:# .*\n)+# (?:raft|thesis) §.*\n\n/,
      'says what it shows and where that stands',
    )
    const printed = replay(text)
    if (update) writeFileSync(path, printed)
    else t.equal(printed, text, file)
  })

t.test('the runner itself', async t => {
  const script = '# a note\n\nmembers 1\ncampaign 1\n----\n1 is leader at term 7\n\nstatus\n----\n'
  t.test('what differs is shown where it stands, and nothing else is touched', async t => {
    t.equal(
      replay(script),
      '# a note\n\nmembers 1\ncampaign 1\n----\n1 is candidate at term 1\n\n' +
        'status\n----\n1 candidate at term 1, vote 1, last 0/0, stable 0, commit 0, applied 0\n',
    )
  })
  t.test('what it printed is what it prints again', async t => {
    t.equal(replay(replay(script)), replay(script))
  })
  t.test('a word it does not know is an error in the output', async t => {
    t.match(replay('members 1\nmarch 1\n----\n'), /^error: there is no command "march"$/m)
    t.match(replay('members 1\npropose 3 x\n----\n'), /^error: there is no member 3$/m)
  })
  t.test('commands without an end are refused, with their line', async t => {
    t.throws(() => replay('# a note\n\nmembers 1\n\nstatus\n----\n'), /line 3: "members 1"/)
    t.throws(() => replay('members 1'), /line 1/)
  })
  t.test('what is unsafe is an error, whatever a script expects', async t => {
    const { cluster, run } = withMembers()
    cluster.member(1).raft.state.role = 'leader'
    cluster.member(2).raft.state.role = 'leader'
    t.throws(() => run('status'), /unsafe: 1 and 2 both lead in term 0/)
    const fallen = withMembers()
    fallen.cluster.member(1).raft.state.term = 5
    fallen.run('status')
    fallen.cluster.member(1).raft.state.term = 4
    t.throws(() => fallen.run('status'), /unsafe: term or commit index of 1 fell/)
    const entry = { index: 1, term: 1, kind: 'normal', data: new Uint8Array(1) } as const
    cluster.onApply(entry)
    cluster.onApply(entry)
    t.throws(
      () => cluster.onApply({ ...entry, term: 2 }),
      /unsafe: 1\/2 .* where another applied 1\/1/,
    )
  })
})
