// Goal: Debian's real Prometheus, with the shipped configuration and no hand-written target, sees every node and the truth.
// Method: Prometheus runs on a manager of the lab; its own API is asked.
import t from 'tap'
import { join, resolve } from 'node:path'
import { until } from '../support/cluster.ts'
import { clusterFor } from '../support/e2e.ts'

const cluster = await clusterFor(t, 'metrics', { managers: 1 })
const [h1, h2, h3] = cluster.lab.hosts
if (!h1 || !h2 || !h3) throw new Error('the lab has too few hosts')
const CONFIG = resolve(import.meta.dirname, '../../deploy/prometheus/prometheus.yml')

await cluster.run(
  h1,
  'service',
  'create',
  '--name',
  'web',
  '--replicas',
  '4',
  'skein/tools:1',
  'sleep',
  '100000',
)
await h1.spawn(
  [
    'prometheus',
    `--config.file=${CONFIG}`,
    `--storage.tsdb.path=${join(h1.dir, 'prometheus')}`,
    '--web.listen-address=127.0.0.1:9090',
  ],
  { logFile: join(h1.dir, 'prometheus.log') },
)

const ask = async (path: string): Promise<unknown> => {
  const { code, stdout } = await h1.exec([
    'curl',
    '-sf',
    '-m',
    '5',
    `http://127.0.0.1:9090/api/v1/${path}`,
  ])
  return code === 0 ? (JSON.parse(stdout) as { data: unknown }).data : undefined
}
const query = async (
  expression: string,
): Promise<{ metric: Record<string, string>; value: string }[]> => {
  const data = (await ask(`query?query=${encodeURIComponent(expression)}`)) as
    | { result: { metric: Record<string, string>; value: [number, string] }[] }
    | undefined
  return (data?.result ?? []).map(({ metric, value }) => ({ metric, value: value[1] }))
}

const sorted = (names: readonly (string | undefined)[]): string[] =>
  names.map(String).toSorted((a, b) => a.localeCompare(b))

t.test('the shipped configuration is valid', async t => {
  const { code, stdout, stderr } = await h1.exec(['promtool', 'check', 'config', CONFIG])
  t.equal(code, 0, stdout + stderr)
})

t.test('what a node exposes is well formed', async t => {
  for (const path of ['/metrics', '/metrics/cluster']) {
    const { code: fetched, stdout } = await h1.exec([
      'curl',
      '-sf',
      '-m',
      '5',
      `http://127.0.0.1:9477${path}`,
    ])
    t.equal(fetched, 0, `${path} is served`)
    const {
      code,
      stdout: said,
      stderr,
    } = await h1.exec(['promtool', 'check', 'metrics'], { input: stdout })
    t.equal(code, 0, `${path}: ${said}${stderr}`)
  }
})

t.test('every node is a target and up', async t => {
  const up = await until(
    async () => {
      const rows = await query('up{job="skein"} == 1')
      return rows.length === 3 && rows
    },
    60_000,
    async () => JSON.stringify(await ask('targets')),
  )
  t.same(sorted(up.map(row => row.metric['node'])), ['h1', 'h2', 'h3'])
  t.same(sorted(up.map(row => row.metric['role'])), ['agent', 'agent', 'manager'])
})

t.test('the number of running tasks is right, and follows a scale', async t => {
  const shows = (wanted: string): Promise<unknown> =>
    until(
      async () => (await query('skein_service_tasks_running{service="web"}'))[0]?.value === wanted,
      60_000,
      async () => JSON.stringify(await query('skein_service_tasks_running')),
    )
  await shows('4')
  await cluster.run(h1, 'service', 'scale', 'web=2')
  await shows('2')
  t.equal((await query('skein_service_replicas_desired{service="web"}'))[0]?.value, '2')
  t.equal((await query('sum(skein_raft_is_leader)'))[0]?.value, '1')
})

t.test('a node that is down stays a target, so that its absence can be seen', async t => {
  await h3.kill()
  await until(
    async () => (await query('up{job="skein",node="h3"} == 0')).length === 1,
    60_000,
    async () => JSON.stringify(await query('up')),
  )
  t.equal((await query('up{job="skein"} == 1')).length, 2)
})
