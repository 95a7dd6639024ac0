// Goal: hosts of one lab and of two labs never share a name, an address or a MAC; cuts become the right rules.
// Method: the pure functions alone, over generated lab names and sizes; no root needed.
import fc from 'fast-check'
import t from 'tap'
import {
  checkRequest,
  clientLayout,
  defaultSubnet,
  hostLayouts,
  type LabRecord,
  switchLayout,
} from './layout.ts'
import { hostsFile, partitionRules } from './network.ts'

const record = (name: string, hosts: number): LabRecord => ({
  name,
  subnet: defaultSubnet(name),
  hosts,
  liveRestore: true,
  engines: true,
  storageDriver: 'overlay2',
})
const labName = fc.stringMatching(/^[a-z][a-z0-9-]{0,19}$/).filter(name => name !== 'cache')

t.test('the default lab has the documented addresses', async t => {
  const hosts = hostLayouts(record('skein', 3))
  t.strictSame(
    hosts.map(h => [h.name, h.address, h.cgroup]),
    [
      ['h1', '10.77.0.1', 'skein-h1'],
      ['h2', '10.77.0.2', 'skein-h2'],
      ['h3', '10.77.0.3', 'skein-h3'],
    ],
  )
  t.equal(clientLayout(record('skein', 3)).address, '10.77.0.100')
  t.match(hostsFile(record('skein', 3)), /^10\.77\.0\.2 h2$/m)
})

t.test('within a lab every name, address, MAC, directory and cgroup is unique', async () => {
  fc.assert(
    fc.property(labName, fc.integer({ min: 1, max: 99 }), (name, count) => {
      checkRequest(name, count)
      const lab = record(name, count)
      const hosts = [...hostLayouts(lab), clientLayout(lab), switchLayout(lab)]
      for (const key of ['name', 'address', 'mac', 'dir', 'cgroup'] as const) {
        if (new Set(hosts.map(h => h[key])).size !== hosts.length) throw new Error(`${key} repeats`)
      }
      // A Unix socket's path is limited to 107 bytes.
      return hosts.every(h => h.dir.length < 90 && /^(02(:[0-9a-f]{2}){5})$/.test(h.mac))
    }),
  )
})

t.test('unusable names and sizes are refused', async t => {
  for (const name of ['', 'A', '1x', '../x', 'cache', 'a'.repeat(21)]) {
    t.throws(() => checkRequest(name, 1), { name: 'LabError' }, name)
  }
  for (const hosts of [0, -1, 1.5, 100, Number.NaN]) {
    t.throws(() => checkRequest('lab', hosts), { name: 'LabError' }, String(hosts))
  }
})

t.test('a cut between two hosts drops both ways, a cut of one drops all of its frames', async t => {
  const rules = partitionRules([{ a: 'h1', b: 'h2' }, { a: 'h3' }])
  const drops = rules.split('\n').map(line => line.trim())
  t.strictSame(
    drops.filter(line => line.endsWith(' drop')),
    [
      'iifname "h1" oifname "h2" drop',
      'iifname "h2" oifname "h1" drop',
      'iifname "h3" drop',
      'oifname "h3" drop',
    ],
  )
  t.notMatch(partitionRules([]), /drop/, 'healing leaves no rule')
  const oneWay = partitionRules([{ a: 'h1', b: 'h2', oneWay: true }])
  t.match(oneWay, 'iifname "h1" oifname "h2" drop')
  t.notMatch(oneWay, 'iifname "h2"')
})
