// Goal: a manager goes on alone only where no quorum can be had and nobody who answers knows more.
// Method: groups of managers, some silent, against the rule.
import t from 'tap'
import { recoveryRefusal } from '../../manager/recovery.ts'
import { make } from '../../proto/codec.ts'
import { type ManagerFacts, type ManagerReport, v1 } from '../../proto/index.ts'

const manager = (
  raftId: number,
  facts: Partial<ManagerFacts> | null,
  init: Partial<ManagerReport> = {},
): ManagerReport => ({
  ...make(v1.ManagerReport, { raftId, hostname: `h${raftId}` }),
  facts: facts && {
    ...make(v1.ManagerFacts, { role: 'follower', lastIndex: 10, lastTerm: 2 }),
    ...facts,
  },
  ...init,
})
const refusal = (managers: readonly ManagerReport[], force = false): string | undefined =>
  recoveryRefusal({ raftId: 1, managers }, force)

t.test('two of three are silent: it may', async t => {
  t.equal(refusal([manager(1, {}), manager(2, null), manager(3, null)]), undefined)
})

t.test('a majority answers: it must wait, leader or not', async t => {
  const managers = [manager(1, {}), manager(2, {}), manager(3, null)]
  t.match(refusal(managers), /2 of 3 voting managers answer and 2 are needed/)
  t.match(refusal(managers, true), /2 of 3/, 'force does not change that')
})

t.test('somebody knows a leader, and be it one that does not answer here', async t => {
  const others = [manager(2, { leader: 3 }), manager(3, null)]
  t.match(refusal([manager(1, {}), ...others]), /there is a leader: h2 follows h3/)
  t.match(refusal([manager(1, { leader: 1 })], true), /there is a leader: h1 follows h1/)
})

t.test('a survivor with a newer log goes first, unless forced', async t => {
  const gone = [3, 4, 5].map(id => manager(id, null))
  const longer = [manager(1, {}), manager(2, { lastIndex: 11 }), ...gone]
  t.match(refusal(longer), /h2 has a newer log \(entry 11 of term 2; here 10 of term 2\)/)
  t.equal(refusal(longer, true), undefined)
  const later = [manager(1, {}), manager(2, { lastIndex: 3, lastTerm: 3 }), ...gone]
  t.match(refusal(later), /h2 has a newer log/)
  const older = [manager(1, {}), manager(2, { lastIndex: 99, lastTerm: 1 }), ...gone]
  t.equal(refusal(older), undefined, 'a longer log of an earlier term is older')
})

t.test('learners neither count nor recover', async t => {
  const learner = { learner: true }
  const silent = [manager(3, null), manager(4, null)]
  t.equal(refusal([manager(1, {}), manager(2, { lastIndex: 50 }, learner), ...silent]), undefined)
  t.match(refusal([manager(1, {}, learner), ...silent]), /is a learner/)
  t.match(refusal([manager(2, {}), ...silent]), /no member of the group/)
})
