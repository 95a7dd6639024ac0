// Goal: IPv4 arithmetic is exact and parsing is strict.
// Method: round trips and set properties over random addresses and subnets; tables of bad texts.
import fc from 'fast-check'
import t from 'tap'
import {
  cidrOf,
  contains,
  formatCidr,
  ipToNumber,
  macOf,
  numberToIp,
  overlaps,
  parseCidr,
} from '../../../services/net/ip.ts'

const address = fc.integer({ min: 0, max: 0xffffffff })
const subnet = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([a, p]) => cidrOf(a, p))

t.test('addresses survive the round trip', async t => {
  fc.assert(fc.property(address, value => ipToNumber(numberToIp(value)) === value))
  t.equal(ipToNumber('10.0.0.1'), 167772161)
  t.equal(numberToIp(0xffffffff), '255.255.255.255')
})

t.test('subnets survive the round trip', async t => {
  fc.assert(
    fc.property(subnet, cidr => formatCidr(parseCidr(formatCidr(cidr))) === formatCidr(cidr)),
  )
  t.same(parseCidr('172.38.7.9/16'), {
    base: ipToNumber('172.38.0.0'),
    prefix: 16,
    size: 65536,
    first: ipToNumber('172.38.0.1'),
    last: ipToNumber('172.38.255.254'),
  })
  t.match(parseCidr('10.0.0.4/31'), { first: 167772164, last: 167772165, size: 2 })
  t.match(parseCidr('10.0.0.4/32'), { first: 167772164, last: 167772164, size: 1 })
  t.match(parseCidr('0.0.0.0/0'), { base: 0, size: 2 ** 32 })
})

t.test('two subnets overlap when, and only when, one holds the other', async t => {
  fc.assert(
    fc.property(subnet, subnet, (a, b) => {
      const nested = contains(a, b.base) || contains(b, a.base)
      return overlaps(a, b) === nested && overlaps(b, a) === nested
    }),
  )
  t.ok(overlaps(parseCidr('10.0.0.0/8'), parseCidr('10.9.0.0/16')))
  t.notOk(overlaps(parseCidr('10.0.0.0/24'), parseCidr('10.0.1.0/24')))
  t.ok(contains(parseCidr('10.0.1.0/24'), '10.0.1.255'))
})

t.test('a MAC follows from its address as in Docker', async t => {
  t.equal(macOf('10.0.0.5'), '02:42:0a:00:00:05')
  t.equal(macOf(ipToNumber('172.38.0.11')), '02:42:ac:26:00:0b')
})

t.test('bad texts are refused by name', async t => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.x',
    ' 1.2.3.4',
    '::1',
  ])
    t.throws(() => ipToNumber(text), {
      code: 'InvalidArgument',
      message: `invalid IPv4 address "${text}"`,
    })
  for (const text of ['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/8/8', 'x/8'])
    t.throws(() => parseCidr(text), {
      code: 'InvalidArgument',
      message: `invalid subnet "${text}"`,
    })
  t.throws(() => numberToIp(2 ** 32), { code: 'InvalidArgument' })
  t.throws(() => numberToIp(1.5), { code: 'InvalidArgument' })
})
