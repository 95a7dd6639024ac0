// Goal: addresses, subnets, VXLAN ids and ports are given once, come back, and say clearly when they are used up.
// Method: the pure pools, with random sequences for the address pool.
import t from 'tap'
import fc from 'fast-check'
import { AddressPool, type Holder } from '../../../manager/allocator/ipam.ts'
import { resolvePorts } from '../../../manager/allocator/ports.ts'
import { collision, cutSubnet, takenByRoute } from '../../../manager/allocator/subnet.ts'
import { takeVni, VNI_MAX, VNI_MIN } from '../../../manager/allocator/vni.ts'
import { make } from '../../../proto/codec.ts'
import { type Port, PortProtocol, PublishMode, v1 } from '../../../proto/index.ts'
import { parseCidr } from '../../../services/net/ip.ts'
import { aNetwork } from '../world.ts'

const task = (id: string, group = id): Holder => ({ id, group, name: `task ${id}` })

t.test('no address is held twice, whatever is taken and given back', t => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ take: fc.boolean(), gateway: fc.boolean(), which: fc.nat(30) }), {
        maxLength: 80,
      }),
      steps => {
        const pool = new AddressPool(
          aNetwork('web', { subnet: '10.0.0.0/28', gateway: '10.0.0.1' }),
        )
        const held = new Map<string, string>()
        let n = 0
        for (const { take, gateway, which } of steps) {
          if (take) {
            const id = `t${n++}`
            if (held.size === pool.capacity) continue
            const address =
              gateway || held.size + 1 === pool.capacity
                ? pool.takeGateway(task(id))
                : pool.takeDynamic(task(id))
            if (held.has(address) || address === '10.0.0.1' || address === '10.0.0.15') return false
            held.set(address, id)
          } else {
            const [address, id] = [...held][which] ?? []
            if (address === undefined || id === undefined) continue
            pool.release(address, id)
            held.delete(address)
          }
        }
        return pool.used === held.size
      },
    ),
  )
  t.end()
})

t.test('dynamic from the low end, gateways from the top, a freed one last', async t => {
  const pool = new AddressPool(aNetwork('web', { subnet: '10.0.0.0/29' }))
  pool.hold('10.0.0.6', { ...task('g0'), isGateway: true })
  t.equal(pool.takeDynamic(task('a')), '10.0.0.1')
  t.equal(pool.takeGateway(task('g')), '10.0.0.5')
  pool.release('10.0.0.1', 'a')
  t.same(
    [1, 2, 3, 4].map(n => pool.takeDynamic(task(`b${n}`))),
    ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.1'],
  )
})

t.test('an exhausted pool says so', async t => {
  const pool = new AddressPool(aNetwork('web', { subnet: '10.0.0.0/29', gateway: '10.0.0.1' }))
  for (let n = 0; n < 4; n++) pool.takeDynamic(task(`t${n}`))
  t.throws(() => pool.takeDynamic(task('x')), {
    message: /4 of 5 in use, one is kept for the nodes/,
  })
  pool.takeGateway({ ...task('g'), isGateway: true })
  const error = 'network web: no free address in 10.0.0.0/29 (5 of 5 in use)'
  t.throws(() => pool.takeDynamic(task('x')), { code: 'ResourceExhausted', message: error })
  t.throws(() => pool.takeGateway(task('x')), { message: error })
  t.equal(pool.hasFree, false)
})

t.test('a fixed address belongs to its slot and is given to nobody else', async t => {
  const pool = new AddressPool(aNetwork('web', { subnet: '172.38.0.0/16' }))
  pool.declare('172.38.0.1')
  t.equal(pool.takeDynamic(task('other')), '172.38.0.2')
  pool.takeFixed('172.38.0.1', task('old', 'redis/1'))
  pool.takeFixed('172.38.0.1', task('new', 'redis/1'))
  t.throws(() => pool.takeFixed('172.38.0.1', task('z', 'redis/2')), {
    message: 'network web: address 172.38.0.1 is held by task old',
  })
  t.throws(() => pool.takeFixed('172.39.0.1', task('z')), { message: /not a host address/ })
  pool.release('172.38.0.1', 'old')
  t.equal(pool.heldByOthers('172.38.0.1', 'x')?.id, 'new')
})

t.test('subnets avoid networks and host routes', async t => {
  const taken = [
    { cidr: parseCidr('10.0.0.0/16'), what: 'network a (10.0.0.0/16)' },
    ...['10.1.0.0/24', 'default', '0.0.0.0/0', 'fe80::/64'].flatMap(
      r => takenByRoute(r, 'h1') ?? [],
    ),
  ]
  t.equal(cutSubnet(['10.0.0.0/8'], 24, taken), '10.1.1.0/24')
  t.equal(cutSubnet(['10.0.0.0/16'], 24, taken), undefined)
  t.equal(cutSubnet(['10.0.0.0/16', '192.168.0.0/16'], 20, taken), '192.168.0.0/20')
  t.equal(collision('10.1.0.128/25', taken), 'route 10.1.0.0/24 of node h1')
})

t.test('VXLAN ids rise, wrap round, run out', async t => {
  t.same(takeVni(0, new Set()), { vni: VNI_MIN, next: VNI_MIN + 1 })
  t.same(takeVni(5000, new Set([5000, 5001])), { vni: 5002, next: 5003 })
  t.same(takeVni(VNI_MAX, new Set([VNI_MAX])), { vni: VNI_MIN, next: VNI_MIN + 1 })
})

t.test('ports left open are chosen once and stay', async t => {
  const port = (init: Partial<Port>): Port => make(v1.Port, { target: 80, ...init })
  const first = resolvePorts(
    [port({}), port({ target: 81, published: 8080 })],
    [],
    new Set(['30000/tcp']),
  )
  t.same(
    first.map(p => p.published),
    [30_001, 8080],
  )
  t.same(
    resolvePorts([port({}), port({ target: 82 })], first, new Set(['30000/tcp'])).map(
      p => p.published,
    ),
    [30_001, 30_002],
  )
  t.equal(resolvePorts([port({ mode: PublishMode.HOST })], [], new Set())[0]?.published, 0)
  t.equal(
    resolvePorts([port({ protocol: PortProtocol.UDP })], [], new Set(['30000/tcp']))[0]?.published,
    30_000,
  )
})
