// Goal: what can be graphed and alerted on is a checked-in table, and each metric keeps the rules of docs/guides.
// Method: every registry as the daemon declares it, compared with docs/metrics.md and with the names in the sources.
import t from 'tap'
import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { LEADER_METRICS } from '../../manager/metrics.ts'
import { TABLE_FILE, metricRows, metricsTable, type MetricRow } from './metrics-table.ts'

const root = resolve(import.meta.dirname, '../..')
const REMEDY =
  'docs/metrics.md differs from the program; look at the difference, then make it anew with: npx tsx --conditions=development test/tidy/metrics-table.ts'

/** Text of every source of the rooms that declare metrics, by name. */
function sources(): Map<string, string> {
  const files = ['agent', 'manager', 'daemon', 'services', 'runtime', 'proto'].flatMap(room =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
      .filter(file => file.endsWith('.ts') && !file.startsWith('gen/'))
      .map(file => join(room, file)),
  )
  return new Map(files.map(file => [file, readFileSync(join(root, file), 'utf8')]))
}

t.test('the table is what the program declares', async t => {
  t.equal(readFileSync(TABLE_FILE, 'utf8'), await metricsTable(), REMEDY)
})

t.test('no metric of the sources is missing from it', async t => {
  const { node, cluster } = await metricRows()
  const declared = new Set([...node, ...cluster].map(({ name }) => name))
  const missing = [...sources()].flatMap(([file, text]) =>
    [...text.matchAll(/'((?:skein|grpc_server)_[a-z0-9_]+)'/g)]
      .map(([, name = '']) => name)
      .filter(name => !declared.has(name))
      .map(name => `${file}: ${name}`),
  )
  t.same(missing, [], 'add its registry to test/tidy/metrics-table.ts')
})

t.test('every metric of the leader’s table is counted somewhere', async t => {
  const texts = [...sources()].filter(([file]) => file !== join('manager', 'metrics.ts'))
  const unused = Object.keys(LEADER_METRICS).filter(
    name => !texts.some(([, text]) => text.includes(`'${name}'`)),
  )
  t.same(unused, [])
})

t.test('names, units and help keep the rules', async t => {
  const { node, cluster } = await metricRows()
  const rows = [...node, ...cluster]
  t.equal(new Set(rows.map(({ name }) => name)).size, rows.length, 'each name once')
  const faults = rows.flatMap(row => faultsOf(row).map(fault => `${row.name}: ${fault}`))
  t.same(faults, [])
})

function faultsOf({ name, type, labels, help }: MetricRow): string[] {
  const faults: [boolean, string][] = [
    [!/^(skein|grpc_server)_[a-z0-9_]+$/.test(name), 'not skein_<part>_<what>_<unit>'],
    [(type === 'counter') !== name.endsWith('_total'), `a ${type}: counters alone end in _total`],
    [/_(ms|millis|minutes|hours|kb|mb|percent)(_|$)/.test(name), 'not a base unit'],
    [!/^\S.*[^.\s]$/.test(help), `no help, or a full stop at its end: "${help}"`],
    [labels.some(label => !/^[a-z][a-z0-9_]*$/.test(label)), `labels ${labels.join()}`],
    [labels.some(label => ['le', 'job', 'instance'].includes(label)), "a label of Prometheus' own"],
  ]
  return faults.flatMap(([isFault, text]) => (isFault ? [text] : []))
}
