/** A majority of `size` voters. */
export function majority(size: number): number {
  return Math.floor(size / 2) + 1
}

/**
 * The highest index a majority of the voters holds.
 *
 * @param matchOf the durable index of a voter, 0 when unknown
 */
export function quorumIndex(voters: readonly number[], matchOf: (id: number) => number): number {
  if (voters.length === 0) return 0
  const sorted = voters.map(matchOf).sort((a, b) => b - a)
  return sorted[majority(voters.length) - 1] ?? 0
}

/** `pending` while the votes that are missing decide. */
export type VoteOutcome = 'won' | 'lost' | 'pending'

/** Counts only voters, each once; votes of others are ignored. */
export function countVotes(
  voters: readonly number[],
  votes: ReadonlyMap<number, boolean>,
): VoteOutcome {
  let granted = 0
  let rejected = 0
  for (const id of voters) {
    const vote = votes.get(id)
    if (vote === true) granted++
    if (vote === false) rejected++
  }
  if (voters.length > 0 && granted >= majority(voters.length)) return 'won'
  return voters.length - rejected < majority(voters.length) ? 'lost' : 'pending'
}

/** Whether a majority of the voters has it; nobody is no majority. */
export function hasQuorum(voters: readonly number[], has: (id: number) => boolean): boolean {
  return voters.length > 0 && voters.filter(has).length >= majority(voters.length)
}

/**
 * The groups of voters that decide: one, or both halves of a joint configuration, of which each must give its majority
 * (raft thesis §4.3).
 */
export type Electorate = readonly (readonly number[])[]

/** The highest index that a majority of every group holds. */
export function jointIndex(groups: Electorate, matchOf: (id: number) => number): number {
  return Math.min(...groups.map(voters => quorumIndex(voters, matchOf)))
}

/** Won when every group is won, lost as soon as one is. */
export function countJointVotes(
  groups: Electorate,
  votes: ReadonlyMap<number, boolean>,
): VoteOutcome {
  const outcomes = groups.map(voters => countVotes(voters, votes))
  if (outcomes.includes('lost')) return 'lost'
  return outcomes.every(outcome => outcome === 'won') ? 'won' : 'pending'
}

/** Whether every group has its majority. */
export function hasJointQuorum(groups: Electorate, has: (id: number) => boolean): boolean {
  return groups.every(voters => hasQuorum(voters, has))
}
