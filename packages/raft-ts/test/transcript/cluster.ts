// Members, the messages between them, and what must hold whatever a script does.
import type { Entry, Message } from '../../src/types.ts'
import { entryText, MESSAGE_WORDS, messageText, messageWord } from './format.ts'
import type { Member } from './member.ts'

export type Filter = (m: Message) => boolean

export class Cluster {
  readonly members = new Map<number, Member>()
  /** On the wire, oldest first. */
  queue: Message[] = []
  /** What the wires lose from now on. */
  losses: Filter[] = []
  lines: string[] = []
  /** Messages and writes are told, not only what came of them. */
  verbose = true
  readonly #leaders = new Map<number, number>()
  readonly #applied = new Map<number, string>()
  readonly #floors = new Map<number, { life: object; term: number; commit: number }>()

  member(id: number): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`there is no member ${id}`)
    return member
  }

  running(ids: readonly number[] = []): Member[] {
    const all = [...this.members.values()].toSorted((a, b) => a.id - b.id)
    return all.filter(m => m.up && (ids.length === 0 || ids.includes(m.id)))
  }

  readonly say = (line: string): void => {
    // Deeds of the machine are told in detail only; "N is ..." and "N has ..." always.
    if (this.verbose || /^\d+ (?:is|has) /.test(line)) this.lines.push(line)
  }

  readonly post = (m: Message): void => {
    const lost = this.losses.some(loses => loses(m)) || this.members.get(m.to)?.up !== true
    this.say(`  ${messageText(m)}${lost ? ' (lost)' : ''}`)
    if (!lost) this.queue.push(m)
  }

  /** State machine safety (raft.pdf figure 3): nobody ever applies another entry at the same index. */
  readonly onApply = (entry: Entry): void => {
    const text = entryText(entry)
    const known = this.#applied.get(entry.index) ?? text
    if (known !== text) throw new Error(`unsafe: ${text} applied where another applied ${known}`)
    this.#applied.set(entry.index, text)
  }

  deliver(messages: readonly Message[]): void {
    for (const m of messages) if (this.members.get(m.to)?.up === true) this.member(m.to).step(m)
  }

  /** Everybody in turn says what there is to say, then all of it is delivered, until nobody says anything. */
  stabilize(ids: readonly number[], filter: Filter): void {
    const among: Filter = m =>
      filter(m) && (ids.length === 0 || (ids.includes(m.from) && ids.includes(m.to)))
    for (let round = 0; round < 200; round++) {
      const said = this.running(ids).filter(member => member.ready())
      const messages = this.queue.filter(among)
      this.queue = this.queue.filter(m => !among(m))
      if (said.length === 0 && messages.length === 0) return
      this.deliver(messages)
      this.check()
    }
    throw new Error('the cluster does not come to rest')
  }

  /** Election safety (raft.pdf figure 3), and that terms and commit indexes never fall. */
  check(): void {
    for (const { id, raft } of this.members.values()) {
      const { role, term, log } = raft.state
      if (role === 'leader') {
        const known = this.#leaders.get(term) ?? id
        if (known !== id) throw new Error(`unsafe: ${known} and ${id} both lead in term ${term}`)
        this.#leaders.set(term, id)
      }
      const floor = this.#floors.get(id)
      if (floor?.life === raft && (term < floor.term || log.committed < floor.commit))
        throw new Error(`unsafe: term or commit index of ${id} fell`)
      this.#floors.set(id, { life: raft, term, commit: log.committed })
    }
  }
}

/** `to=2 from=1,3 type=append,append-ok`: all of what is given must fit. */
export function filterOf(options: ReadonlyMap<string, string>): Filter {
  const fits = (name: string, value: string): boolean =>
    options.get(name)?.split(',').includes(value) ?? true
  const wrong = options
    .get('type')
    ?.split(',')
    .find(word => !MESSAGE_WORDS.includes(word))
  if (wrong !== undefined) throw new Error(`there is no message "${wrong}"`)
  return m => fits('to', `${m.to}`) && fits('from', `${m.from}`) && fits('type', messageWord(m))
}
