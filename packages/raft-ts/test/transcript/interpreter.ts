// Runs the lines of a script on a cluster: finds the word, reads the arguments, checks what must hold.
import { encodeChange, NOBODY } from '../../src/core/membership.ts'
import type { Entry, Membership } from '../../src/types.ts'
import { Cluster, filterOf } from './cluster.ts'
import { type Call, COMMANDS, TICK_MS } from './commands.ts'
import { Member, type Settings } from './member.ts'

export const DEFAULTS: Settings = {
  heartbeatMs: TICK_MS,
  electionTimeoutMs: 100,
  preVote: true,
  checkQuorum: true,
  maxInflight: 16,
  maxInflightBytes: 1e6,
  maxBatchBytes: 1e6,
  maxUncommittedBytes: 1e6,
}
const OPTION_NAMES: Record<string, keyof Settings> = {
  'pre-vote': 'preVote',
  'check-quorum': 'checkQuorum',
  'lease-ms': 'leaseMs',
  'max-inflight': 'maxInflight',
  'max-inflight-bytes': 'maxInflightBytes',
  'max-batch-bytes': 'maxBatchBytes',
  'max-uncommitted-bytes': 'maxUncommittedBytes',
}

/** A word with `=` that is none of these is a slip of the pen, and would silently filter nothing. */
const KNOWN = /^(?:to|from|type|limit|nth|tail|learners|term|commit|prev|last|log\d+)$/

/** Runs scripts; `run` is one command line. */
export class Interpreter {
  readonly cluster = new Cluster()
  #settings = DEFAULTS

  /** @returns what the command printed */
  run(line: string): readonly string[] {
    const { cluster } = this
    const [first = '', ...rest] = line.split(' ')
    if (first === 'quiet') {
      this.run(rest.join(' '))
      return []
    }
    const options = new Map<string, string>()
    for (const [name = '', value] of rest.map(word => word.split('=')))
      if (value !== undefined) {
        if (!KNOWN.test(name) && !(name in OPTION_NAMES))
          throw new Error(`there is no option "${name}"`)
        options.set(name, value)
      }
    const words = rest.filter(word => !word.includes('='))
    const call = { cluster, words, numbers: words.map(Number), options, filter: filterOf(options) }
    cluster.lines = []
    if (first === 'members') this.#members(call)
    else if (first === 'bootstrap') this.#bootstrap(call)
    else if (first === 'joiner') this.#add(call.numbers[0] ?? 0, NOBODY, [], call)
    else {
      const command = COMMANDS[first]
      if (command === undefined) throw new Error(`there is no command "${first}"`)
      command(call)
    }
    for (const member of cluster.running()) member.observe()
    cluster.check()
    return cluster.lines
  }

  /** `members 1 2 3 [learners=3] [log2=1,1,2] [pre-vote=off] ...`: a cluster that is there already, logs by their terms. */
  #members(call: Call): void {
    const changed = Object.entries(OPTION_NAMES).flatMap(([name, key]) => {
      const value = call.options.get(name)
      if (value === undefined) return []
      return [[key, value === 'on' || value === 'off' ? value === 'on' : Number(value)]]
    })
    this.#settings = { ...DEFAULTS, ...Object.fromEntries(changed) }
    const learners = call.options.get('learners')?.split(',').map(Number) ?? []
    const members = call.numbers.map(id => ({ id, address: '', learner: learners.includes(id) }))
    for (const { id } of members) {
      const terms = call.options.get(`log${id}`)?.split(',').map(Number) ?? []
      this.#add(id, { members, removed: [] }, terms.map(entryOf), call)
    }
  }

  /** `bootstrap 1 2 3`: as a cluster begins in earnest, with its members in a first entry that everybody holds. */
  #bootstrap(call: Call): void {
    const members = call.numbers.map(id => ({ id, address: '', learner: false }))
    const data = encodeChange({ kind: 'bootstrap', members })
    const options = new Map([...call.options, ['commit', '1']])
    for (const { id } of members)
      this.#add(id, NOBODY, [{ index: 1, term: 1, kind: 'config', data }], { ...call, options })
  }

  #add(
    id: number,
    membership: Membership,
    entries: readonly Entry[],
    { cluster, options }: Call,
  ): void {
    const term = Number(options.get('term') ?? entries.at(-1)?.term ?? 0)
    const member = new Member(
      id,
      this.#settings,
      {
        hardState: { term, vote: 0, commit: Number(options.get('commit') ?? 0) },
        base: { index: 0, term: 0, membership },
        entries,
      },
      cluster,
    )
    cluster.members.set(id, member)
  }
}

/** The third entry, of term 2, reads "c2". */
function entryOf(term: number, i: number): Entry {
  const text = `${'abcdefghijklmnopqrstuvwxyz'[i]}${term}`
  return { index: i + 1, term, kind: 'normal', data: new TextEncoder().encode(text) }
}
