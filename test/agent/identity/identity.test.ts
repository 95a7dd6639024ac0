// Goal: an identity survives the disk, damage is named, and renewal falls due at half-life.
// Method: identities issued by a real CA on a MemoryFs; the plan as a pure function of time, over random certificates.
import t from 'tap'
import fc from 'fast-check'
import {
  createKey,
  identityFrom,
  loadIdentity,
  removeIdentity,
  saveIdentity,
} from '../../../agent/identity/identity.ts'
import { planRenewal } from '../../../agent/identity/renewal.ts'
import { MemoryFs, systemFs } from '../../../runtime/fs.ts'
import { testCluster } from '../../daemon/rpc/fixture.ts'
import { stat } from 'node:fs/promises'

const cluster = await testCluster()
const identity = await cluster.node('worker')

t.test('what was saved is loaded; files are the owner’s alone', async t => {
  const fs = new MemoryFs()
  t.equal(await loadIdentity(fs, '/state/identity'), undefined)
  await saveIdentity(fs, '/state/identity', identity)
  t.same(await loadIdentity(fs, '/state/identity'), identity)
  await removeIdentity(fs, '/state/identity')
  t.equal(await loadIdentity(fs, '/state/identity'), undefined)

  const directory = t.testdir()
  await saveIdentity(systemFs, directory, identity)
  t.same(await loadIdentity(systemFs, directory), identity)
  t.equal((await stat(`${directory}/node.pem`)).mode & 0o777, 0o600)
})

t.test('two roots, as during a rotation, are kept', async t => {
  const fs = new MemoryFs()
  const next = await testCluster()
  const rotating = { ...identity, rootPems: [...identity.rootPems, next.rootCa.certificatePem] }
  await saveIdentity(fs, '/i', rotating)
  t.same(await loadIdentity(fs, '/i'), rotating)
})

t.test('damage is named with directory and remedy', async t => {
  const fs = new MemoryFs()
  await saveIdentity(fs, '/i', identity)
  const damaged = { code: 'DataLoss', message: /damaged.*\/i.*restore it from a backup/ }
  await fs.write('/i/node.pem', 'nonsense')
  await t.rejects(loadIdentity(fs, '/i'), damaged)
  await saveIdentity(fs, '/i', { ...identity, keyPem: await createKey() })
  await t.rejects(loadIdentity(fs, '/i'), { ...damaged, message: /not of this key/ })
  await saveIdentity(fs, '/i', identity)
  await fs.remove('/i/root.pem')
  await t.rejects(loadIdentity(fs, '/i'), { ...damaged, message: /not issued by the root/ })
  const { rootCa } = cluster
  t.throws(() => identityFrom({ ...identity, certificatePem: rootCa.certificatePem }), {
    code: 'DataLoss',
  })
})

t.test('renewal falls due between 50 and 60 % of the validity', async t => {
  const span = fc.record({
    notBeforeMs: fc.nat(1e9),
    validityMs: fc.integer({ min: 3_600_000, max: 1e10 }),
    jitter: fc.double({ min: 0, max: 0.999, noNaN: true }),
  })
  fc.assert(
    fc.property(span, ({ notBeforeMs, validityMs, jitter }) => {
      const certificate = {
        notBeforeMs,
        expiresAtMs: notBeforeMs + validityMs,
        role: 'worker' as const,
      }
      const plan = planRenewal(certificate, notBeforeMs, jitter)
      if (plan.kind !== 'wait') return false
      const share = plan.dueInMs / validityMs
      const due = planRenewal(certificate, notBeforeMs + plan.dueInMs, jitter)
      return share >= 0.5 && share <= 0.61 && due.kind === 'renew'
    }),
  )
  t.match(planRenewal(identity, identity.notBeforeMs, 0, 'manager'), {
    kind: 'renew',
    reason: /to be a manager/,
  })
  t.match(planRenewal(identity, identity.expiresAtMs, 0), {
    kind: 'expired',
    message: /expired on .*join again/,
  })
})
