// Goal: the Docker executor does on a real engine what tasks need: life, failures in words, adoption, secrets, logs.
// Method: its check is a program of its own, which runs inside a host of the lab; this test takes its word.
import t from 'tap'
import { join, resolve } from 'node:path'
import { labFor } from '../support/e2e.ts'

const ROOT = resolve(import.meta.dirname, '../..')

t.test('every check of the executor holds', async t => {
  const lab = await labFor(t, 'executor', 1)
  const [host] = lab.hosts
  if (!host) throw new Error('the lab has no host')
  const check = join(ROOT, 'test/support/executor-check.ts')
  const flags = ['--import=tsx', '--conditions=development']
  const { code, stdout, stderr } = await host.exec([process.execPath, ...flags, check], {
    timeoutMs: 300_000,
    cwd: ROOT,
    env: { NODE_OPTIONS: '' },
  })
  const failed = stdout.split('\n').filter(line => /^\s*not ok/.test(line))
  t.same(failed, [])
  t.equal(code, 0, stderr)
  t.match(stdout, /^ok \d+/m)
})
