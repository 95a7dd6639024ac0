// Goal: the tour in the README works as it is written, in its order.
// Method: every `hN# skein …` line of it is run on host N of the lab; only addresses, the token and images are replaced.
import t from 'tap'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Cluster } from '../support/cluster.ts'
import { labFor } from '../support/e2e.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const LINE = /^(h\d)# skein (.+)$/

const lines = readFileSync(resolve(ROOT, 'README.md'), 'utf8')
  .split('\n')
  .flatMap(line => {
    const [, host, words] = LINE.exec(line) ?? []
    return host && words ? [{ host, words }] : []
  })

const lab = await labFor(t, 'readme', 2)
const cluster = new Cluster(lab)
for (const host of lab.hosts) await cluster.startDaemon(host)

t.ok(lines.length >= 10, 'the README has a tour')
for (const { host, words } of lines) {
  t.test(`${host}# skein ${words}`, async t => {
    const first = cluster.firstHost()
    const token = words.includes('SKNTKN') ? await cluster.token('worker') : ''
    const argv = words
      .replace('10.0.0.1', first.address)
      .replace('SKNTKN-1-…', token)
      // An image that every host has, and that needs no command.
      .replace(/\bnginx(:[\w.]+)?/, 'skein/redis:7')
      .split(' ')
    const { code, stdout, stderr } = await lab.host(host).exec(cluster.command(...argv), {
      timeoutMs: 120_000,
      cwd: ROOT,
      env: { NO_COLOR: '1', CI: '1', REDIS_IMAGE: 'skein/redis:7' },
    })
    t.equal(code, 0, `${stdout}${stderr}`)
  })
}
