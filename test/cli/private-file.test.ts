// Goal: a private file is whole or not there, for its owner alone, and an old one stays when the new one fails.
// Method: real files in a directory of the test's own.
import t from 'tap'
import { chmodSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivateFile } from '../../cli/private-file.ts'

async function* pieces(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

t.test('written, private, replaced', async t => {
  const dir = t.testdir({ old: 'before' })
  chmodSync(join(dir, 'old'), 0o644)
  for (const name of ['new', 'old']) {
    const path = join(dir, name)
    await writePrivateFile(path, pieces('a', 'b'))
    t.equal(readFileSync(path, 'utf8'), 'ab')
    t.equal(statSync(path).mode & 0o777, 0o600)
  }
  t.same(readdirSync(dir).toSorted(), ['new', 'old'])
})

t.test('what fails on the way leaves all as it was', async t => {
  const dir = t.testdir({ old: 'before' })
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half')
    throw new Error('the sender is gone')
  }
  await t.rejects(writePrivateFile(join(dir, 'old'), failing()), /the sender is gone/)
  t.equal(readFileSync(join(dir, 'old'), 'utf8'), 'before')
  t.same(readdirSync(dir), ['old'])
  await t.rejects(writePrivateFile(join(dir, 'no', 'such'), pieces('a')), {
    message: /cannot write .*no\/such: ENOENT/,
  })
})
