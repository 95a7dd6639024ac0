// Goal: `manager status` shows each manager's part in the group, and how many may be lost, also when some are silent.
// Method: the layout of reports of three managers, word for word; what scripts see.
import t from 'tap'
import { groupObject, groupText } from '../../cli/output/manager-status.ts'
import { renderObject } from '../../cli/output/object.ts'
import { make } from '../../proto/codec.ts'
import { type ManagerFacts, type ManagerReport, v1 } from '../../proto/index.ts'

const NOW_MS = Date.UTC(2030, 0, 1)
const MIB = 1024 * 1024
const facts = (init: Partial<ManagerFacts> = {}): ManagerFacts => ({
  ...make(v1.ManagerFacts, {
    role: 'follower',
    term: 4,
    lastIndex: 120,
    commitIndex: 120,
    appliedIndex: 120,
    snapshotIndex: 100,
    snapshotAtMs: NOW_MS - 5 * 60_000,
    logBytes: 16 * MIB,
    diskFreeBytes: 30 * 1024 * MIB,
    diskTotalBytes: 40 * 1024 * MIB,
    fsyncP99Us: 2140,
  }),
  ...init,
})
const report = (n: number, init: Partial<ManagerReport> = {}): ManagerReport => ({
  ...make(v1.ManagerReport, {
    raftId: n,
    nodeId: `id${n}`,
    hostname: `h${n}`,
    address: `10.0.0.${n}:2377`,
  }),
  facts: facts(),
  ...init,
})

t.test('all answer', async t => {
  const managers = [
    report(1, { facts: facts({ role: 'leader' }) }),
    report(2, { facts: facts({ lastIndex: 118, commitIndex: 117, appliedIndex: 116 }) }),
    report(3, {
      learner: true,
      facts: facts({
        role: 'learner',
        lastIndex: 20,
        commitIndex: 20,
        appliedIndex: 20,
        snapshotIndex: 0,
        diskFreeBytes: -1,
        fsyncP99Us: 0,
      }),
    }),
  ]
  const group = groupObject({ raftId: 2, leader: 1, term: 4, managers })
  t.equal(
    groupText(group, NOW_MS),
    [
      'MANAGER   ADDRESS         ROLE       REACHABLE   TERM      LAST      COMMITTED   APPLIED   LAG       FSYNC P99   SNAPSHOT             LOG       DISK FREE',
      'h1        10.0.0.1:2377   leader     yes         4         120       120         120       0         2.1 ms      100, 5 minutes old   16MiB     30GiB (75%)',
      'h2 *      10.0.0.2:2377   follower   yes         4         118       117         116       2         2.1 ms      100, 5 minutes old   16MiB     30GiB (75%)',
      'h3        10.0.0.3:2377   learner    yes         4         20        20          20        100                   none yet             16MiB     ',
      '',
      'You can lose no manager: 2 of 2 voting managers are reachable and 2 are needed.',
      '2 voting managers bear no more losses than 1: add one or demote one.',
      '',
    ].join('\n'),
  )
})

t.test('without a quorum it says so, who is silent and why, and what to do', async t => {
  const silent = { facts: null, error: 'connection refused' }
  const managers = [report(1), report(2, silent), report(3, silent)]
  const group = groupObject({ raftId: 1, leader: 0, term: 9, managers })
  const text = groupText(group, NOW_MS)
  t.match(text, /h2 does not answer: connection refused\nh3 does not answer/)
  t.match(
    text,
    /\nNo manager leads now\.\nThere is no quorum: 1 of 3 voting managers are reachable/,
  )
  t.match(text, /skein cluster recover/)
  t.match(text, /^h2 +10\.0\.0\.2:2377 +follower +no +$/m)
  t.match(JSON.parse(renderObject(group, 'json')), {
    Term: 9,
    Leader: '',
    Voters: 3,
    HealthyVoters: 1,
    Quorum: 2,
    CanLose: -1,
    Managers: [
      { Hostname: 'h1', Reachable: true, Self: true, Lag: 0, Facts: { lastIndex: 120 } },
      { Hostname: 'h2', Reachable: false, Error: 'connection refused', Lag: null, Facts: null },
      { Hostname: 'h3', Reachable: false },
    ],
  })
})

t.test('a leader of the past that was cut off is not shown as one', async t => {
  const managers = [report(1, { facts: facts({ role: 'leader', term: 3 }) }), report(2), report(3)]
  const { Managers: rows } = groupObject({ raftId: 2, leader: 3, term: 4, managers })
  t.same(
    rows.map(row => row.Role),
    ['follower', 'follower', 'leader'],
  )
})
