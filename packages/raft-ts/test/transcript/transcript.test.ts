// Goal: what the core says and does in the situations of the Raft paper and thesis, to the last message.
// Method: the scripts of cases/ are run and must print what they say they print. UPDATE_TRANSCRIPTS=1 writes what was
// printed into the files; look at the difference before you keep it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Interpreter } from './commands.ts'
import { parseScript, rewrite } from './script.ts'

const dir = join(import.meta.dirname, 'cases')
const files = readdirSync(dir).filter(file => file.endsWith('.txt'))
const update = process.env['UPDATE_TRANSCRIPTS'] === '1'
if (update && process.env['CI'] !== undefined)
  throw new Error('UPDATE_TRANSCRIPTS is for people, not for CI: it would accept anything')

const replay = (text: string): string => {
  const interpreter = new Interpreter()
  return rewrite(parseScript(text), line => interpreter.run(line))
}

for (const file of files)
  t.test(file, async t => {
    const path = join(dir, file)
    const text = readFileSync(path, 'utf8')
    t.match(text, /^# .*\n(?:#.*\n)*# (?:raft|thesis) §/, 'says what it shows and where that stands')
    const printed = replay(text)
    if (update) writeFileSync(path, printed)
    else t.equal(printed, text, `${path} prints what it says`)
  })
