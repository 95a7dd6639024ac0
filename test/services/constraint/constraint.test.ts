// Goal: constraints parse by Swarm's syntax and match by Swarm's rules (rows PL-01 … PL-04).
// Method: a table over one described node, properties for == against !=, exact error texts.
import fc from 'fast-check'
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import { NodeRole, v1 } from '../../../proto/index.ts'
import { matches, matchesAll } from '../../../services/constraint/match.ts'
import { parseConstraint, parseLabelDescriptor } from '../../../services/constraint/parse.ts'

const node = make(v1.Node, {
  id: 'abc123',
  spec: { annotations: { labels: { Zone: 'A', rack: 'r1' } } },
  role: NodeRole.MANAGER,
  status: { address: '10.1.2.3' },
  description: {
    hostname: 'Alpha',
    platform: { os: 'linux', architecture: 'x86_64' },
    engine: { labels: { storage: 'ssd' } },
  },
})
const holds = (text: string): boolean => matches(parseConstraint(text), node)

t.test('every key', async t => {
  const table: Record<string, boolean> = {
    'node.id==abc123': true,
    'node.id == other': false,
    'node.hostname == alpha': true,
    'node.hostname!=alpha': false,
    'node.ip == 10.1.2.3': true,
    'node.ip == 10.1.0.0/16': true,
    'node.ip != 10.1.0.0/16': false,
    'node.ip == 10.2.0.0/16': false,
    'node.role == Manager': true,
    'node.role != worker': true,
    'node.role == nosuchrole': false,
    'node.platform.os == linux': true,
    'node.platform.arch == x86_64': true,
    'node.platform.arch == amd64': false,
    'node.labels.Zone == a': true,
    'NODE.LABELS.Zone == a': true,
    'node.labels.zone == a': false,
    'node.labels.missing == x': false,
    'node.labels.missing != x': true,
    'node.labels.toString != x': true,
    'engine.labels.storage == ssd': true,
  }
  for (const [text, expected] of Object.entries(table)) t.equal(holds(text), expected, text)
})

t.test('a node that said nothing of itself has empty values', async t => {
  const bare = make(v1.Node, { id: 'x' })
  t.equal(matches(parseConstraint('node.ip == 10.0.0.0/8'), bare), false)
  t.equal(matches(parseConstraint('node.hostname != a'), bare), true)
})

t.test('!= is always the opposite of ==', async t => {
  fc.assert(
    fc.property(
      fc.constantFrom('node.id', 'node.hostname', 'node.labels.rack', 'engine.labels.x'),
      fc.stringMatching(/^[a-z0-9]{1,8}$/),
      (key, value) => holds(`${key}==${value}`) !== holds(`${key} != ${value}`),
    ),
  )
  t.ok(
    matchesAll([parseConstraint('node.id==abc123'), parseConstraint('node.role==manager')], node),
  )
  t.notOk(
    matchesAll([parseConstraint('node.id==abc123'), parseConstraint('node.role==worker')], node),
  )
})

t.test('mistakes are named when the service is declared', async t => {
  const known =
    'known keys: node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, ' +
    'node.labels.<key>, engine.labels.<key>'
  const table: Record<string, string> = {
    'node.id': 'expected one operator from ==, !=',
    'node.id=abc': 'expected one operator from ==, !=',
    'node.id==a==b': 'expected one operator from ==, !=',
    'node.id==a!=b': 'expected one operator from ==, !=',
    'node.label.zone==a': `unknown key "node.label.zone"; ${known}`,
    'zone==a': `unknown key "zone"; ${known}`,
    'node.labels.==a': `unknown key "node.labels."; ${known}`,
    '1node.id==a': 'key "1node.id" is invalid',
    'node.id==': 'the value is empty',
    'node.id==a{b': 'value "a{b" is invalid',
    'node.ip==10.0.0': 'node.ip takes an IPv4 address or subnet',
  }
  for (const [text, why] of Object.entries(table))
    t.throws(() => parseConstraint(text), {
      code: 'InvalidArgument',
      message: `invalid constraint "${text}": ${why}`,
    })
})

t.test('label descriptors of spread preferences', async t => {
  t.same(parseLabelDescriptor('node.labels.Zone'), { key: 'node.labels', label: 'Zone' })
  t.same(parseLabelDescriptor('engine.labels.a.b'), { key: 'engine.labels', label: 'a.b' })
  t.equal(parseLabelDescriptor('node.hostname'), undefined)
})
