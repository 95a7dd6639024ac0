// Goal: every task gets exactly the names of its own networks. Method: two networks, questions from all sides.
import t from 'tap'
import { answer, nameTables, type Answer } from '../../../../agent/network/dns/answer.ts'
import { nameservers, taskResolvConf } from '../../../../agent/network/dns/resolv-conf.ts'
import { EndpointState } from '../../../../proto/index.ts'
import { seededRandom } from '../../../../runtime/random.ts'
import { aTable, aTask } from '../builders.ts'

const { ENDPOINT_DRAINING, ENDPOINT_STARTING } = EndpointState
const front = aTable(1, ['h1', 'h2'], {
  name: 'Front',
  services: [
    { serviceId: 'web', name: 'web' },
    { serviceId: 'api', name: 'api', virtualIp: '10.1.0.200' },
    { serviceId: 'idle', name: 'idle' },
  ],
  endpoints: [
    aTask('web1', '10.1.0.11', 'h1', {
      serviceId: 'web',
      names: ['web.1', 'web.1.web1'],
      aliases: ['www', 'site'],
    }),
    aTask('web2', '10.1.0.12', 'h2', {
      serviceId: 'web',
      names: ['web.2', 'Box-2'],
      aliases: ['www'],
    }),
    aTask('web3', '10.1.0.13', 'h2', {
      serviceId: 'web',
      names: ['web.3'],
      aliases: ['www'],
      state: ENDPOINT_STARTING,
    }),
    aTask('web4', '10.1.0.14', 'h2', {
      serviceId: 'web',
      names: ['web.4'],
      aliases: ['www'],
      state: ENDPOINT_DRAINING,
    }),
    aTask('api1', '10.1.0.21', 'h1', { serviceId: 'api', names: ['api.1'], aliases: ['service'] }),
  ],
})
const back = aTable(2, ['h1'], {
  name: 'back',
  services: [{ serviceId: 'db', name: 'db' }],
  endpoints: [
    aTask('api1', '10.2.0.21', 'h1', { serviceId: 'api', names: ['api.1'] }),
    aTask('db1', '10.2.0.31', 'h1', { serviceId: 'db', names: ['db.1'] }),
  ],
})
const tables = nameTables('h1', [front, back, aTable(9, ['h1'], { subnet: 'nonsense' })])
const WEB1 = '10.1.0.11'
const WEB2_ELSEWHERE = '10.1.0.12'
const API1 = '10.1.0.21'

const ask = (name: string, source = WEB1, type = 'A'): Answer =>
  answer({ name, type }, source, tables, seededRandom(1))
const addresses = (name: string, source?: string): readonly string[] | string => {
  const found = ask(name, source)
  return found.kind === 'addresses' ? [...found.addresses].sort() : found.kind
}

t.test('services give their ready tasks, or their virtual address', t => {
  t.strictSame(addresses('web'), ['10.1.0.11', '10.1.0.12'])
  t.strictSame(addresses('WEB.'), ['10.1.0.11', '10.1.0.12'], 'case and final dot do not matter')
  t.strictSame(addresses('tasks.web'), ['10.1.0.11', '10.1.0.12'])
  t.strictSame(addresses('api'), ['10.1.0.200'])
  t.strictSame(addresses('tasks.api'), ['10.1.0.21'])
  t.equal(addresses('idle'), 'empty', 'a service without ready tasks exists')
  t.end()
})

t.test('aliases are shared by the tasks that have them', t => {
  t.strictSame(addresses('www'), ['10.1.0.11', '10.1.0.12'])
  t.strictSame(addresses('site'), ['10.1.0.11'])
  t.strictSame(addresses('service'), ['10.1.0.200'])
  t.strictSame(addresses('tasks.www'), ['10.1.0.11', '10.1.0.12'])
  t.end()
})

t.test('names of one task give its address in any state', t => {
  t.strictSame(addresses('web.3'), ['10.1.0.13'])
  t.strictSame(addresses('web.4'), ['10.1.0.14'])
  t.strictSame(addresses('box-2'), ['10.1.0.12'])
  t.end()
})

t.test('each name also with its network', t => {
  t.strictSame(addresses('web.front'), ['10.1.0.11', '10.1.0.12'])
  t.strictSame(addresses('web.2.front'), ['10.1.0.12'])
  t.strictSame(addresses('api.1.back', API1), ['10.2.0.21'])
  t.strictSame(addresses('api.1.front', API1), ['10.1.0.21'])
  t.strictSame(addresses('api.1', API1), ['10.1.0.21', '10.2.0.21'])
  t.equal(addresses('db.front', API1), 'forward', 'not a name of that network')
  t.end()
})

t.test('a task sees no network but its own', t => {
  t.equal(addresses('db'), 'nxdomain')
  t.equal(addresses('db.back'), 'forward')
  t.strictSame(addresses('db', API1), ['10.2.0.31'])
  t.strictSame(addresses('db', '10.1.0.254'), ['10.2.0.31'], 'the host sees all')
  t.equal(addresses('web', '203.0.113.9'), 'refused')
  t.equal(addresses('web', '::1'), 'refused')
  t.end()
})

t.test('unknown names: an end here, or a way out', t => {
  t.equal(addresses('nosuch'), 'nxdomain')
  t.equal(addresses('tasks.nosuch'), 'forward')
  t.equal(addresses('example.com'), 'forward')
  t.equal(addresses('nosuch', WEB2_ELSEWHERE), 'servfail', 'its own node may know more networks')
  t.strictSame(addresses('web', WEB2_ELSEWHERE), ['10.1.0.11', '10.1.0.12'])
  t.strictSame(addresses('web', '10.1.0.99'), ['10.1.0.11', '10.1.0.12'], 'not in the table yet')
  t.end()
})

t.test('a known name has no other records, and no IPv6', t => {
  for (const type of ['AAAA', 'MX', 'UNKNOWN_65']) t.equal(ask('web', WEB1, type).kind, 'empty')
  t.equal(ask('web', WEB1, 'ANY').kind, 'addresses')
  t.end()
})

t.test('addresses have names', t => {
  const ptr = (address: string, source?: string): Answer =>
    ask(`${address.split('.').reverse().join('.')}.in-addr.arpa`, source, 'PTR')
  t.strictSame(ptr('10.1.0.12'), { kind: 'pointer', name: 'web.2.Front' })
  t.strictSame(ptr('10.1.0.200'), { kind: 'pointer', name: 'api.Front' })
  t.equal(ptr('10.1.0.77').kind, 'nxdomain')
  t.equal(ptr('10.2.0.31').kind, 'forward', "another network's addresses are like any other")
  t.equal(ptr('8.8.8.8').kind, 'forward')
  t.equal(ptr('10.1.0.999').kind, 'nxdomain')
  t.equal(ask('b._dns-sd._udp.local', WEB1, 'PTR').kind, 'forward')
  t.end()
})

t.test('every order comes up', t => {
  const random = seededRandom(7)
  const firsts = new Set(
    Array.from({ length: 50 }, () => {
      const found = answer({ name: 'web', type: 'A' }, WEB1, tables, random)
      return found.kind === 'addresses' ? found.addresses[0] : ''
    }),
  )
  t.equal(firsts.size, 2)
  t.end()
})

t.test('resolv.conf: this node first, then the next in the ring', t => {
  const table = aTable(1, ['h1', 'h2', 'h3'])
  t.equal(
    taskResolvConf(table, '10.1.0.253'),
    'nameserver 10.1.0.253\nnameserver 10.1.0.254\noptions timeout:1 attempts:2 ndots:0\n',
  )
  t.match(taskResolvConf(table, '10.1.0.254'), 'nameserver 10.1.0.254\nnameserver 10.1.0.252\n')
  t.equal(taskResolvConf(aTable(1, ['h1']), '10.1.0.254').match(/nameserver/g)?.length, 1)
  t.end()
})

t.test("the host's resolvers", t => {
  const text =
    '# c\nsearch x\nnameserver 127.0.0.53\n nameserver fe80::1\nnameserver 10.1.0.254\nnameserver\t9.9.9.9\n'
  t.strictSame(nameservers(text, new Set(['10.1.0.254'])), ['127.0.0.53', '9.9.9.9'])
  t.end()
})
