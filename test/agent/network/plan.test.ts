// Goal: the wanted kernel state follows the endpoint tables, and bad tables harm only themselves. Method: small states by hand.
import t from 'tap'
import { EndpointState } from '../../../proto/index.ts'
import { hostRoutes, overlapError, underlayMtu } from '../../../agent/network/host.ts'
import { nftTable } from '../../../agent/network/nft.ts'
import { planNetworks, type Plan } from '../../../agent/network/plan.ts'
import { aState, aTable, aTask } from './builders.ts'

const plan = (...args: Parameters<typeof aState>): Plan => planNetworks(aState(...args), 1500)

t.test(
  'a network with a gateway here: devices by VNI, MTU below the underlay, stations elsewhere',
  t => {
    const table = aTable(5, ['h1', 'h2'], {
      endpoints: [
        aTask('a', '10.5.0.2', 'h1'),
        aTask('b', '10.5.0.3', 'h2', { mac: '02:42:0A:05:00:03' }),
      ],
    })
    const { networks, peers, refused, warnings } = plan([table])
    t.strictSame(peers, ['192.0.2.2', '192.0.2.3'])
    t.equal(refused.size + warnings.length, 0)
    t.match(networks, [
      {
        bridge: 'ovb1005',
        vxlan: 'ovx1005',
        gateway: '10.5.0.254',
        mac: '02:42:0a:05:00:fe',
        prefix: 24,
        mtu: 1450,
        local: '192.0.2.1',
        port: 4790,
        balanced: false,
        stations: [
          { address: '10.5.0.3', mac: '02:42:0a:05:00:03', via: '192.0.2.2' },
          { address: '10.5.0.253', mac: '02:42:0a:05:00:fd', via: '192.0.2.2' },
        ],
      },
    ])
    t.equal(networks[0]?.stations.length, 2)
    t.end()
  },
)

t.test('a network without a gateway here is not on this node', t => {
  t.equal(plan([aTable(5, ['h2', 'h3'])]).networks.length, 0)
  t.end()
})

t.test('the MTU of the table wins; a virtual address turns balancing on', t => {
  const services = [{ serviceId: 's', name: 'web', virtualIp: '10.5.0.9' }]
  t.match(plan([aTable(5, ['h1'], { mtu: 1300, services })]).networks, [
    { mtu: 1300, balanced: true },
  ])
  t.end()
})

t.test('while a fixed address moves, the ready task has it, and never both', t => {
  const moving = (here: EndpointState, there: EndpointState) =>
    plan([
      aTable(5, ['h1'], {
        endpoints: [
          aTask('new', '10.5.0.2', 'h2', { state: there }),
          aTask('old', '10.5.0.2', 'h1', { state: here }),
        ],
      }),
    ]).networks[0]?.stations.map(station => station.via)
  const { ENDPOINT_DRAINING, ENDPOINT_READY, ENDPOINT_STARTING } = EndpointState
  t.strictSame(moving(ENDPOINT_DRAINING, ENDPOINT_STARTING), ['192.0.2.2'])
  t.strictSame(moving(ENDPOINT_DRAINING, ENDPOINT_READY), ['192.0.2.2'])
  t.strictSame(moving(ENDPOINT_READY, ENDPOINT_STARTING), [])
  t.end()
})

t.test('bad tables are refused by name and leave the others alone', t => {
  const bad = [
    aTable(1, ['h1'], { encrypted: true }),
    aTable(2, ['h1'], { subnet: '10.2.0.0/33' }),
    aTable(3, ['h1'], { gateways: [{ nodeId: 'h1', address: '10.9.0.1' }] }),
    aTable(4, ['h1'], { vni: 0 }),
    aTable(5, ['h1'], { endpoints: [aTask('x', '10.5.0.1; reboot', 'h2')] }),
  ]
  const { networks, refused } = plan([...bad, aTable(6, ['h1'])])
  t.strictSame(
    networks.map(network => network.name),
    ['n6'],
  )
  t.equal(refused.size, 5)
  t.match(refused.get('network-1')?.message, /^network n1: encryption .* not available/)
  t.match(
    refused.get('network-3')?.message,
    /^network n3: gateway 10.9.0.1 is outside subnet 10.3.0.0\/24$/,
  )
  t.end()
})

t.test('a task on a node without address is a warning', t => {
  const { networks, warnings } = plan([aTable(5, ['h1', 'h9'])])
  t.strictSame(networks[0]?.stations, [])
  t.match(warnings, [/^node h9 has no data-path address/])
  t.end()
})

t.test(
  'preflight: a subnet on a host route is refused, own devices and defaults do not count',
  t => {
    const routes = [
      { destination: 'default', device: 'eth0' },
      { destination: '10.0.0.0/16', device: 'eth0' },
      { destination: '10.5.0.0/24', device: 'ovb1005' },
    ]
    t.strictSame(hostRoutes(routes), [{ destination: '10.0.0.0/16', device: 'eth0' }])
    const [own, clash] = plan([
      aTable(5, ['h1']),
      aTable(6, ['h1'], {
        subnet: '10.0.6.0/24',
        gateways: [{ nodeId: 'h1', address: '10.0.6.1' }],
      }),
    ]).networks
    t.equal(own && overlapError(own, routes, 'h1'), undefined)
    t.match(clash && overlapError(clash, routes, 'h1'), {
      code: 'FailedPrecondition',
      message: 'network n6: subnet 10.0.6.0/24 overlaps host route 10.0.0.0/16 dev eth0 on node h1',
    })
    t.throws(() => underlayMtu({ links: new Map(), addresses: new Map() }, '192.0.2.1'), {
      code: 'FailedPrecondition',
      message: /192.0.2.1 is on no device/,
    })
    t.end()
  },
)

t.test('the table guards VXLAN and loopback, and exists only while there is an overlay', t => {
  t.equal(nftTable(plan([])), undefined)
  t.match(
    nftTable(plan([]), true),
    /set peers \{ type ipv4_addr; {2}elements = \{ 192.0.2.2, 192.0.2.3 \} \}/,
  )
  const text = nftTable(plan([aTable(5, ['h1']), aTable(6, ['h1'])])) ?? ''
  t.match(text, 'udp dport 4790 ip saddr != @peers drop')
  t.match(text, 'iifname != "lo" ip daddr 127.0.0.0/8 drop')
  t.match(text, 'elements = { 10.5.0.0/24 : 10.5.0.254, 10.6.0.0/24 : 10.6.0.254 }')
  t.match(text, /^add table ip skein\ndelete table ip skein\ntable ip skein \{/)
  t.end()
})
