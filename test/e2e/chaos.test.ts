// Goal: three managers under kills, pauses, cuts, a full disk and jumping clocks lose nothing they acknowledged, answer as
// one register would, and agree in the end. Method: real daemons and disks, faults from a seed for a minute; clients write
// down what they were told; a checker judges it, and the three logs are replayed and compared.
import t from 'tap'
import { FAULT_KINDS } from '../chaos/faults.ts'
import { describe, runChaos } from '../chaos/run.ts'
import { subnetOf } from '../support/e2e.ts'

const seed = Number(process.env['CHAOS_SEED'] ?? 7)
const report = await runChaos({
  seconds: 60,
  seed,
  lab: 'e2e-chaos',
  subnet: subnetOf('chaos'),
})
t.comment(describe(report))
t.same(report.failures, [], describe(report))
for (const kind of FAULT_KINDS) t.ok((report.faults.get(kind) ?? 0) >= 1, `${kind} was done`)
t.ok(report.answered >= 200, `${report.answered} operations were answered`)
t.ok(report.acknowledged >= 20, `${report.acknowledged} creations were acknowledged`)
t.ok(report.restarts >= 3, `${report.restarts} daemons were started again`)
t.equal(report.replicas.length, 3, 'all three disks were read')
