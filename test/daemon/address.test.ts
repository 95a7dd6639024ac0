// Goal: a node never guesses the address it tells others. Method: hosts with none, one and several addresses.
import t from 'tap'
import type { NetworkInterfaceInfo } from 'node:os'
import { advertiseAddress } from '../../daemon/address.ts'

const v4 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  internal,
  family: 'IPv4',
  netmask: '255.255.255.0',
  mac: '',
  cidr: null,
})
const one = { lo: [v4('127.0.0.1', true)], eth0: [v4('10.0.0.5')], docker0: [v4('172.17.0.1')] }

t.test('the only real address is taken', async t => {
  t.equal(advertiseAddress('', one), '10.0.0.5')
})

t.test('several addresses are listed, and none is taken', async t => {
  const two = { ...one, eth1: [v4('10.1.0.5')] }
  t.throws(() => advertiseAddress('', two), {
    code: 'InvalidArgument',
    message: /10\.0\.0\.5 on eth0, 10\.1\.0\.5 on eth1.*--advertise-addr/,
  })
})

t.test('a host without addresses asks for one', async t => {
  t.throws(() => advertiseAddress('', { lo: one.lo }), { code: 'InvalidArgument' })
})

t.test('an interface, an address and an address with a port are understood', async t => {
  t.equal(advertiseAddress('docker0', one), '172.17.0.1')
  t.equal(advertiseAddress('192.0.2.1', one), '192.0.2.1')
  t.equal(advertiseAddress('192.0.2.1:2377', one), '192.0.2.1')
  t.throws(() => advertiseAddress('eth7', one), {
    message: /neither an IPv4 address nor an interface/,
  })
})
