/** What the managers can bear: of how many voters, how many answer, how many are needed, how many more may be lost. */
export interface Tolerance {
  readonly voters: number
  readonly healthy: number
  readonly quorum: number
  /** Healthy voters that may be lost with writes going on; negative: so many are missing now. */
  readonly spare: number
}

/** How many of `voters` decide. */
export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1
}

/** @param healthy how many of the voters are in reach */
export function tolerance(voters: number, healthy: number): Tolerance {
  const quorum = quorumOf(voters)
  return { voters, healthy, quorum, spare: healthy - quorum }
}

/** The same in sentences: how many managers may be lost, why, and what would be better. */
export function toleranceText({ voters, healthy, quorum, spare }: Tolerance): readonly string[] {
  const reach = `${healthy} of ${voters} voting ${voters === 1 ? 'manager is' : 'managers are'} reachable and ${quorum} ${quorum === 1 ? 'is' : 'are'} needed`
  if (spare < 0) {
    return [
      `There is no quorum: ${reach}; nothing can be changed.`,
      'Bring managers back; if they are gone for good, on one that is left: skein cluster recover',
    ]
  }
  const lines = [`You can lose ${count(spare)}: ${reach}.`]
  if (healthy < voters)
    lines.push(`${count(voters - healthy)} lost already: bring it back or demote it.`)
  if (voters === 1)
    lines.push('One manager is a single point of failure. Three survive the loss of one.')
  else if (voters % 2 === 0) {
    lines.push(
      `${voters} voting managers bear no more losses than ${voters - 1}: add one or demote one.`,
    )
  }
  return lines
}

function count(managers: number): string {
  return managers === 0 ? 'no manager' : managers === 1 ? '1 manager' : `${managers} managers`
}
