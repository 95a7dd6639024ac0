// Goal: the example in the README works as printed. Method: run it.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'

t.test('the example with three nodes', async t => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  t.ok(code.split('\n').filter(line => line.trim() !== '').length <= 50, 'readable at a glance')
  const dir = t.testdir({ 'example.mts': code, data: {} })
  const run = async (): Promise<string> => {
    const args = ['--import=tsx', '--conditions=development', `${dir}/example.mts`, `${dir}/data`]
    const env = { ...process.env, NODE_OPTIONS: '' }
    return (await promisify(execFile)(process.execPath, args, { env, timeout: 30_000 })).stdout
  }
  t.match(await run(), /be: entry 8, seen 2 times\n\{ to: 2, be: 2, or: 1, not: 1 \}\n$/)
  t.match(
    await run(),
    /be: entry \d+, seen 4 times\n\{ to: 4, be: 4, or: 2, not: 2 \}\n$/,
    'again, from its logs',
  )
})
