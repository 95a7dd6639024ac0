// Goal: what iproute2 prints is read rightly. Method: output captured from iproute2 6.1 on Linux 6.18 in a namespace of its own.
import t from 'tap'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  parseAddresses,
  parseFdb,
  parseLinks,
  parseNeighbours,
  parseRoutes,
  parseSysctls,
} from '../../../agent/network/kernel.ts'

const captured = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')

t.test('links', t => {
  const links = parseLinks(captured('link.json'))
  t.match(links.get('ovb1001'), {
    kind: 'bridge',
    mac: '02:42:0a:64:00:fb',
    up: true,
    mtu: 1450,
    master: undefined,
    nfCallIptables: true,
    vxlan: undefined,
  })
  t.match(links.get('ovx1001'), {
    kind: 'vxlan',
    up: true,
    mtu: 1450,
    master: 'ovb1001',
    vxlan: { vni: 4097, local: '10.77.0.1', port: 4790, learning: false, ttl: 64 },
    port: { learning: false, neighSuppress: true, hairpin: false },
  })
  t.match(links.get('veth1'), {
    kind: 'veth',
    master: 'ovb1001',
    port: { learning: true, neighSuppress: false, hairpin: true },
  })
  t.equal(links.get('eth0')?.nfCallIptables, false)
  t.equal(links.get('lo')?.kind, '')
  t.ok((links.get('ovx1001')?.counters.transmitErrors ?? -1) >= 0)
  t.end()
})

t.test('addresses, neighbours, routes, settings', t => {
  t.strictSame(parseAddresses(captured('addr.json')).get('ovb1001'), [
    { address: '10.100.0.251', prefix: 24 },
  ])
  t.strictSame(
    [...(parseNeighbours(captured('neigh.json')).get('ovb1001') ?? [])],
    [['10.100.0.250', '02:42:0a:64:00:fa']],
  )
  t.strictSame(parseRoutes(captured('route.json')), [
    { destination: 'default', device: 'eth0' },
    { destination: '10.77.0.0/24', device: 'eth0' },
    { destination: '10.100.0.0/24', device: 'ovb1001' },
    { destination: '192.168.9.9/32', device: 'ovb1001' },
  ])
  const sysctls = parseSysctls(captured('sysctl.txt'))
  t.equal(sysctls.get('net.ipv4.ip_forward'), '0')
  t.ok(sysctls.has('net.ipv4.conf.ovb1001.rp_filter'))
  t.notOk(sysctls.has('net.ipv4.conf.ovbffff.rp_filter'))
  t.end()
})

t.test('forwarding entries: the programmed ones, with every node of the all-zero one', t => {
  const fdb = parseFdb(captured('fdb.json')).get('ovx1001')
  t.equal(fdb?.self.size, 2)
  t.strictSame(fdb?.self.get('02:42:0a:64:00:fa'), ['10.77.0.2'])
  t.strictSame(fdb?.self.get('00:00:00:00:00:00'), ['10.77.0.9', '10.77.0.8'])
  t.strictSame([...(fdb?.master ?? [])], ['02:42:0a:64:00:fa'])
  t.end()
})

t.test('nothing printed is nothing there; anything but JSON is an error', t => {
  t.equal(parseLinks('').size, 0)
  t.equal(parseFdb('[]').size, 0)
  t.equal(parseNeighbours('[{}]').size, 0)
  t.throws(() => parseLinks('Cannot open netlink socket'), { code: 'Internal' })
  t.throws(() => parseLinks('{}'), { code: 'Internal' })
  t.end()
})
