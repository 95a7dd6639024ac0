// Goal: "you can lose N managers" is true: after any N losses a majority of the voters is left, after N + 1 it is not.
// Method: every size up to nine with every number of healthy voters, by counting; the sentences word for word.
import t from 'tap'
import { tolerance, toleranceText } from '../../../services/model/quorum.ts'

t.test('after the losses it allows a majority is left, and after one more it is not', async t => {
  for (let voters = 1; voters <= 9; voters++) {
    for (let healthy = 0; healthy <= voters; healthy++) {
      const { spare } = tolerance(voters, healthy)
      const decides = (left: number): boolean => left * 2 > voters
      if (spare >= 0) t.ok(decides(healthy - spare), `${healthy} of ${voters}, ${spare} lost`)
      t.notOk(decides(healthy - spare - 1), `${healthy} of ${voters}, one more than ${spare} lost`)
    }
  }
})

t.test('it says so in words', async t => {
  const text = (voters: number, healthy: number): readonly string[] =>
    toleranceText(tolerance(voters, healthy))
  t.same(text(5, 5), [
    'You can lose 2 managers: 5 of 5 voting managers are reachable and 3 are needed.',
  ])
  t.same(text(1, 1), [
    'You can lose no manager: 1 of 1 voting manager is reachable and 1 is needed.',
    'One manager is a single point of failure. Three survive the loss of one.',
  ])
  t.same(text(3, 2), [
    'You can lose no manager: 2 of 3 voting managers are reachable and 2 are needed.',
    '1 manager lost already: bring it back or demote it.',
  ])
  t.same(text(4, 4), [
    'You can lose 1 manager: 4 of 4 voting managers are reachable and 3 are needed.',
    '4 voting managers bear no more losses than 3: add one or demote one.',
  ])
  t.same(text(3, 1), [
    'There is no quorum: 1 of 3 voting managers are reachable and 2 are needed; nothing can be changed.',
    'Bring managers back; if they are gone for good, on one that is left: skein cluster recover',
  ])
})
