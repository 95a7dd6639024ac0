/** What must hold whatever happens; the name says which promise a failing seed has broken. */
export type Invariant =
  | 'acknowledged is kept'
  | 'applied once'
  | 'clean end'
  | 'commit by counting'
  | 'committed is durable'
  | 'commits never fall'
  | 'election safety'
  | 'healing helps'
  | 'healthy leaders stay'
  | 'leader completeness'
  | 'log matching'
  | 'one change at a time'
  | 'one vote a term'
  | 'pre-vote comes first'
  | 'reads are linearizable'
  | 'refused is not applied'
  | 'removed members are quiet'
  | 'state machine safety'
  | 'terms never fall'

export class Broken extends Error {
  readonly invariant: Invariant

  constructor(invariant: Invariant, text: string, options: ErrorOptions = {}) {
    super(`${invariant}: ${text}`, options)
    this.name = 'Broken'
    this.invariant = invariant
  }
}
