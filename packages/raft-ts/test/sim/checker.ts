// What must hold whatever happens, judged from outside: from the messages members send and the entries they apply. A
// fault shows at the first message that gives it away, long before two state machines differ.
import type { Entry, Message } from '../../src/index.ts'
import type { Invariant } from './broken.ts'
import type { Applied } from './registers.ts'

/** Committed from the start, without a leader. */
const BOOTSTRAP_INDEX = 1

/** The voters that decide: one group, or in a joint change two, each of which must give its majority. */
export type Groups = readonly (readonly number[])[]

/** Whether every group gives its majority. */
export function everyMajority(groups: Groups, holds: (id: number) => boolean): boolean {
  return groups.every(voters => voters.filter(holds).length > voters.length / 2)
}

interface Known {
  readonly entry: Entry
  readonly previousTerm: number
}

/** What leader number `term` has shown of itself. */
class Reign {
  readonly leader: number
  /** Terms of its entries, by index. */
  readonly log: number[] = []
  readonly acks = new Map<number, number>()
  readonly voterSets = new Map<string, Groups>()
  /** Indexes of changes of membership in its log. */
  readonly changes = new Set<number>()
  readonly #term: number
  announced = 0

  constructor(term: number, leader: number) {
    this.#term = term
    this.leader = leader
  }

  /** Whether it may have committed `index` without telling anybody, in one of its own term behind it. */
  mayHaveCommitted(index: number): boolean {
    // A voter alone needs no acknowledgement, and no message that would show its log.
    if (this.voterSets.size === 0) return true
    const alone = (groups: Groups): boolean => groups.every(voters => voters.length <= 1)
    if ([...this.voterSets.values()].some(alone)) return true
    const acked = [...this.acks.values()].filter(ack => ack >= index)
    return acked.some(ack => this.log[ack] === this.#term && this.hasQuorum(ack))
  }

  /** Whether a majority, in any configuration it has led, has vouched for `index`. Its own disk is given the benefit. */
  hasQuorum(index: number): boolean {
    const holds = (id: number): boolean => id === this.leader || (this.acks.get(id) ?? 0) >= index
    return [...this.voterSets.values()].some(groups => everyMajority(groups, holds))
  }
}

export class Checker {
  readonly #fail: (invariant: Invariant, text: string) => void
  readonly #groupsOf: (id: number) => Groups
  readonly #votes = new Map<string, number>()
  readonly #reigns = new Map<number, Reign>()
  readonly #entries = new Map<string, Known>()
  readonly #committed: { term: number; knownIn: number }[] = []
  readonly #history: Applied[] = []
  readonly #places = new Map<string, number>()

  /** @param groupsOf the voters as a member sees them now */
  constructor(
    fail: (invariant: Invariant, text: string) => void,
    groupsOf: (id: number) => Groups,
  ) {
    this.#fail = fail
    this.#groupsOf = groupsOf
  }

  get terms(): number {
    return this.#reigns.size
  }

  /** What everybody applied, or will have to, at `index`. */
  textAt(index: number): string | undefined {
    return this.#history[index]?.text
  }

  isApplied(text: string): boolean {
    return this.#places.has(text)
  }

  /**
   * raft.pdf figure 3, state machine safety.
   *
   * @returns whether nobody had applied it before
   */
  applied(id: number, index: number, now: Applied): boolean {
    const known = this.#history[index]
    if (known === undefined) {
      const place = this.#places.get(now.text)
      if (place !== undefined)
        this.#fail('applied once', `${now.text} was applied at ${place} and at ${index}`)
      this.#places.set(now.text, index)
      this.#history[index] = now
      return true
    }
    if (known.term !== now.term || known.text !== now.text || known.hash !== now.hash)
      this.#fail(
        'state machine safety',
        `member ${id} applied at ${index} ${JSON.stringify(now)}, another ${JSON.stringify(known)}`,
      )
    return false
  }

  /** A snapshot holds what all of its entries make. */
  restored(id: number, index: number, hash: number): void {
    const known = this.#history[index]
    if (index > 0 && known?.hash !== hash)
      this.#fail('state machine safety', `member ${id} was restored to another state at ${index}`)
  }

  /** Voters of the leaders that may have committed an entry of `term`. */
  voterSetsSince(term: number): Groups[] {
    return [...this.#reigns].flatMap(([t, r]) => (t < term ? [] : [...r.voterSets.values()]))
  }

  /** Election safety. */
  led(term: number, id: number): Reign {
    const known = this.#reigns.get(term)
    const reign = known ?? new Reign(term, id)
    if (known === undefined) this.#noteVoters(reign)
    if (reign.leader !== id)
      this.#fail('election safety', `term ${term} has two leaders: ${reign.leader}, ${id}`)
    this.#reigns.set(term, reign)
    return reign
  }

  /** A leader says so itself, anew whenever its members change: alone it may commit without a word to anybody. */
  leads(term: number, id: number): void {
    this.#noteVoters(this.led(term, id))
  }

  sent(m: Message): void {
    if (m.type === 'vote') this.#voted(m.from, m.term, m.from)
    if (m.type === 'voteResponse' && !m.reject) this.#voted(m.from, m.term, m.to)
    if ('commitTerm' in m && m.commitTerm > 0) this.#commit(m.commit, m.commitTerm, m.term)
    if (m.type === 'appendResponse' && !m.reject) this.#acknowledged(m.from, m.term, m.index)
    if (m.type === 'append') {
      const reign = this.led(m.term, m.from)
      this.#holds(m.term, reign, m.prevIndex, m.prevTerm)
      let previousTerm = m.prevTerm
      for (const entry of m.entries) {
        this.#matches(entry, previousTerm)
        this.#holds(m.term, reign, entry.index, entry.term)
        if (entry.kind === 'config') this.#changes(m.term, reign, entry, m.commit)
        previousTerm = entry.term
      }
      // Not from heartbeats: theirs is cut to what the receiver holds, so it may name any entry before the last committed.
      this.#announced(m.from, m.term, m.commit)
    }
  }

  /** One vote a term, also across a restart: what is on the wire must be on the disk. */
  #voted(voter: number, term: number, candidate: number): void {
    const key = `${voter} ${term}`
    const other = this.#votes.get(key)
    if (other !== undefined && other !== candidate)
      this.#fail(
        'one vote a term',
        `member ${voter} voted in term ${term} for ${other} and for ${candidate}`,
      )
    this.#votes.set(key, candidate)
  }

  /** Log matching: index and term name an entry and, by induction, all before it. */
  #matches(entry: Entry, previousTerm: number): void {
    const key = `${entry.index} ${entry.term}`
    const known = this.#entries.get(key)
    if (known === undefined) this.#entries.set(key, { entry, previousTerm })
    else if (
      known.previousTerm !== previousTerm ||
      (known.entry !== entry && Buffer.compare(known.entry.data, entry.data) !== 0)
    )
      this.#fail('log matching', `two entries of term ${entry.term} at ${entry.index}`)
  }

  /** A leader proposes no change of membership before the one before it is committed (raft thesis §4.1). */
  #changes(term: number, reign: Reign, entry: Entry, commit: number): void {
    reign.changes.add(entry.index)
    if (entry.term !== term) return
    for (const other of reign.changes)
      if (other > commit && other < entry.index)
        this.#fail(
          'one change at a time',
          `leader ${reign.leader} of term ${term} changes the members at ${other} and at ${entry.index}, committed is ${commit}`,
        )
  }

  /** Leader completeness: what was committed in an earlier term is in the log of every later leader. */
  #holds(term: number, reign: Reign, index: number, entryTerm: number): void {
    reign.log[index] = entryTerm
    const known = this.#committed[index]
    if (known !== undefined && known.knownIn < term && known.term !== entryTerm)
      this.#fail(
        'leader completeness',
        `leader ${reign.leader} of term ${term} has term ${entryTerm} at ${index}, where term ${known.term} was committed`,
      )
  }

  #acknowledged(from: number, term: number, index: number): void {
    const acks = this.#reigns.get(term)?.acks
    acks?.set(from, Math.max(acks.get(from) ?? 0, index))
  }

  /** An entry of the leader's own term can only be committed by a majority of voters that hold it. */
  #announced(leader: number, term: number, commit: number): void {
    const reign = this.led(term, leader)
    if (commit <= reign.announced) return
    reign.announced = commit
    const voters = this.#noteVoters(reign)
    const entryTerm = reign.log[commit]
    if (entryTerm === undefined) return
    if (entryTerm === term && !reign.hasQuorum(commit))
      this.#fail(
        'commit by counting',
        `leader ${leader} of term ${term} committed ${commit} with ${JSON.stringify([...reign.acks])} of ${voters.join(' and ')}`,
      )
    // raft.pdf §5.4.2, figure 8: those of earlier terms are not committed by counting.
    const known = this.#committed[commit] !== undefined || commit <= BOOTSTRAP_INDEX
    if (entryTerm < term && !known && !this.#mayBeOld(term, commit))
      this.#fail(
        'commit by counting',
        `leader ${leader} of term ${term} committed ${commit} of term ${entryTerm}`,
      )
    this.#commit(commit, entryTerm, term)
  }

  #mayBeOld(term: number, index: number): boolean {
    return [...this.#reigns].some(([t, reign]) => t < term && reign.mayHaveCommitted(index))
  }

  #noteVoters(reign: Reign): Groups {
    const groups = this.#groupsOf(reign.leader)
    if (groups.flat().length > 0) reign.voterSets.set(groups.join(' and '), groups)
    return groups
  }

  /** Committed with all before it: walks back to what was known. `knownIn` is no earlier than the term that committed it. */
  #commit(index: number, term: number, knownIn: number): void {
    let entryTerm: number | undefined = term
    for (let at = index; at > 0 && entryTerm !== undefined; at--) {
      const known = this.#committed[at]
      if (known !== undefined && known.term !== entryTerm)
        this.#fail(
          'state machine safety',
          `terms ${known.term} and ${entryTerm} were both committed at ${at}`,
        )
      if (known !== undefined && known.knownIn <= knownIn) return
      this.#committed[at] = { term: entryTerm, knownIn }
      entryTerm = this.#entries.get(`${at} ${entryTerm}`)?.previousTerm
    }
  }
}
