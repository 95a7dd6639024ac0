// Goal: a node's certificate is renewed in time, at once on a change of role, and again after a failure; a lapse is said.
// Method: the keeper under a simulated clock; managers that certify, refuse, or answer with the old role.
import t, { type Test } from 'tap'
import { Registry } from 'prom-client'
import type { Identity } from '../../agent/identity/identity.ts'
import { CertificateKeeper } from '../../daemon/certificate-keeper.ts'
import { SimClock } from '../../runtime/clock.ts'
import { StatusError } from '../../runtime/errors.ts'
import { MemoryLog } from '../../runtime/log.ts'
import { seededRandom } from '../../runtime/random.ts'

const HOUR = 3_600_000
const LIFETIME_MS = 100 * HOUR

class World {
  readonly clock = new SimClock(1_700_000_000_000)
  readonly log = new MemoryLog()
  readonly registry = new Registry()
  readonly startMs = this.clock.now()
  /** Hours from the start at which a renewal was asked for. */
  readonly askedAtHours: number[] = []
  identity: Identity = this.certificate('worker')
  /** The role the managers certify. */
  grants: Identity['role'] = 'worker'
  failure: StatusError | undefined
  readonly keeper = new CertificateKeeper({
    clock: this.clock,
    random: { ...seededRandom(1), next: () => 0.5 },
    log: this.log,
    registry: this.registry,
    identity: () => this.identity,
    managers: () => ['10.0.0.1:2377'],
    renew: async (identity, managers) => {
      this.askedAtHours.push(this.hours())
      if (identity !== this.identity || managers[0] !== '10.0.0.1:2377') throw new Error('whose?')
      if (this.failure) throw this.failure
      return this.certificate(this.grants)
    },
    renewed: async identity => {
      this.identity = identity
    },
  })

  certificate(role: Identity['role']): Identity {
    const notBeforeMs = this.clock.now()
    const names = { nodeId: 'n1', clusterId: 'c1', keyPem: '', certificatePem: '', rootPems: [] }
    return { ...names, role, notBeforeMs, expiresAtMs: notBeforeMs + LIFETIME_MS }
  }

  hours(): number {
    return (this.clock.now() - this.startMs) / HOUR
  }

  /** Time passes, and what was started by it ends. */
  async pass(ms: number): Promise<void> {
    await settled()
    const untilMs = this.clock.monotonic() + ms
    while (this.clock.step(untilMs)) await settled()
    this.clock.advance(Math.max(0, untilMs - this.clock.monotonic()))
    await settled()
  }

  said(level: string): string[] {
    return this.log.lines.filter(line => line.level === level).map(line => line.message)
  }

  async renewals(result: string): Promise<number | undefined> {
    const metric = await this.registry.getSingleMetric('skein_certificate_renewals_total')?.get()
    return metric?.values.find(({ labels }) => labels['result'] === result)?.value
  }
}

const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

function aWorld(t: Test): World {
  const world = new World()
  t.teardown(() => world.keeper.stop())
  return world
}

t.test(
  'renews after half of the lifetime and the node’s own part of a tenth, again and again',
  async t => {
    const world = aWorld(t)
    world.keeper.start()
    await world.pass(54 * HOUR)
    t.same(world.askedAtHours, [])
    await world.pass(2 * HOUR)
    t.same(world.askedAtHours, [55])
    await world.pass(55 * HOUR)
    t.same(world.askedAtHours, [55, 110])
    t.equal(await world.renewals('ok'), 2)
    t.equal(await world.renewals('failed'), 0)
    t.match(
      await world.registry.metrics(),
      `skein_certificate_expiry_timestamp_seconds ${world.identity.expiresAtMs / 1_000}\n`,
    )
  },
)

t.test('a wall clock that jumps is noticed within the hour', async t => {
  const world = aWorld(t)
  world.keeper.start()
  await world.pass(HOUR)
  const { clock } = world
  let ahead = 60 * HOUR
  const now = clock.now.bind(clock)
  clock.now = () => now() + ahead
  t.teardown(() => (ahead = 0))
  await world.pass(HOUR)
  t.equal(world.askedAtHours.length, 1)
})

t.test('another role is asked for at once, and the same wish once', async t => {
  const world = aWorld(t)
  world.keeper.start()
  await world.pass(HOUR)
  world.grants = 'manager'
  world.keeper.want('manager')
  world.keeper.want('manager')
  await world.pass(1)
  t.same(world.askedAtHours, [1])
  t.equal(world.identity.role, 'manager')
  world.keeper.want('manager')
  await world.pass(10 * HOUR)
  t.equal(world.askedAtHours.length, 1)
  t.match(world.log.lines.find(line => line.message === 'renewing the certificate')?.fields, {
    reason: 'the node is to be a manager',
  })
})

t.test('an answer that still has the old role is not asked for again in haste', async t => {
  const world = aWorld(t)
  world.keeper.start()
  world.keeper.want('manager')
  await world.pass(10_000)
  t.ok(world.askedAtHours.length >= 2, 'goes on asking')
  t.ok(world.askedAtHours.length <= 12, `${world.askedAtHours.length} certificates in ten seconds`)
  world.grants = 'manager'
  await world.pass(2_000)
  t.equal(world.identity.role, 'manager')
})

t.test('a refusal is tried again, ever less often, until it succeeds', async t => {
  const world = aWorld(t)
  world.failure = new StatusError('Unavailable', 'no leader')
  world.keeper.start()
  await world.pass(55 * HOUR)
  t.equal(world.askedAtHours.length, 1)
  await world.pass(60_000)
  const tries = world.askedAtHours.length
  t.ok(tries >= 12 && tries <= 40, `${tries} tries in the first minute`)
  const pausesMs = world.askedAtHours
    .slice(1)
    .map((hour, index) => (hour - (world.askedAtHours[index] ?? 0)) * HOUR)
  t.ok((pausesMs[0] ?? 0) < 100 && Math.max(...pausesMs) <= 5_000, String(pausesMs))
  t.equal(await world.renewals('failed'), tries)
  t.match(world.said('warn')[0], 'the certificate was not renewed')
  world.failure = undefined
  await world.pass(6_000)
  t.equal(await world.renewals('ok'), 1)
  await world.pass(HOUR)
  t.equal(await world.renewals('ok'), 1)
})

t.test('an expired certificate is said once an hour, with the remedy, and not renewed', async t => {
  const world = aWorld(t)
  world.identity = { ...world.certificate('worker'), expiresAtMs: world.clock.now() - 1 }
  world.keeper.start()
  await world.pass(HOUR - 1)
  t.equal(world.said('error').length, 1)
  t.match(world.said('error')[0], /expired on .*; leave with: skein swarm leave --force/)
  await world.pass(2 * HOUR)
  t.equal(world.said('error').length, 3)
  t.same(world.askedAtHours, [])
})

t.test('nothing is asked for after stop()', async t => {
  const world = aWorld(t)
  world.keeper.start()
  await world.pass(HOUR)
  await world.keeper.stop()
  world.keeper.want('manager')
  world.keeper.check()
  await world.pass(200 * HOUR)
  t.same(world.askedAtHours, [])
  t.equal(world.clock.nextDueMs(), undefined)
})
