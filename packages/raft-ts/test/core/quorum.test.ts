// Goal: majorities of indexes and votes. Method: properties against a definition by counting.
import fc from 'fast-check'
import t from 'tap'
import { countVotes, hasQuorum, majority, quorumIndex } from '../../src/core/quorum.ts'

t.test('the quorum index is the highest that a majority holds', async t => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 7 }), matches => {
      const voters = matches.map((_, i) => i + 1)
      const index = quorumIndex(voters, id => matches[id - 1] ?? 0)
      const holding = (at: number): number => matches.filter(m => m >= at).length
      return (
        holding(index) >= majority(voters.length) && holding(index + 1) < majority(voters.length)
      )
    }),
  )
  t.equal(
    quorumIndex([], () => 9),
    0,
    'nobody commits nothing',
  )
})

t.test('an election is won or lost when the open votes cannot change it', async t => {
  const vote = fc.constantFrom(true, false, undefined)
  fc.assert(
    fc.property(fc.array(vote, { minLength: 1, maxLength: 7 }), cast => {
      const voters = cast.map((_, i) => i + 1)
      const votes = new Map<number, boolean>([[99, true]])
      for (const [i, v] of cast.entries()) if (v !== undefined) votes.set(i + 1, v)
      const granted = cast.filter(v => v === true).length
      const open = cast.filter(v => v === undefined).length
      const expected =
        granted >= majority(cast.length)
          ? 'won'
          : granted + open >= majority(cast.length)
            ? 'pending'
            : 'lost'
      return countVotes(voters, votes) === expected
    }),
  )
  t.equal(countVotes([], new Map()), 'lost')
})

t.test('any two majorities meet, also across one change of a voter', async t => {
  for (let size = 1; size <= 7; size++) {
    t.ok(2 * majority(size) > size)
    t.ok(majority(size) + majority(size + 1) > size + 1)
  }
  t.ok(hasQuorum([1, 2, 3], id => id !== 2))
  t.notOk(hasQuorum([], () => true))
})
