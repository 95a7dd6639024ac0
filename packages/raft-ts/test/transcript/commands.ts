// The words of a script. Each does one thing to the cluster and leaves what it printed in `cluster.lines`.
import type { Change, MemberChange } from '../../src/core/membership.ts'
import type { Message } from '../../src/types.ts'
import type { Cluster, Filter } from './cluster.ts'
import { logText, messageText, progressText, statusText } from './format.ts'
import type { Member } from './member.ts'

export const TICK_MS = 10

export interface Call {
  readonly cluster: Cluster
  /** Ids, as a rule. */
  readonly numbers: readonly number[]
  readonly words: readonly string[]
  readonly options: ReadonlyMap<string, string>
  readonly filter: Filter
}

export const COMMANDS: Readonly<Record<string, (call: Call) => void>> = {
  // What an application or a timer asks of a core.
  campaign: call => self(call).raft.campaign(),
  propose: call => {
    for (const word of call.words.slice(1))
      tell(call, self(call).raft.propose(new TextEncoder().encode(word)))
  },
  /** A proposal of so many bytes. */
  'propose-bytes': call => tell(call, self(call).raft.propose(new Uint8Array(other(call)))),
  change: call => tell(call, self(call).raft.proposeChange(changeOf(call))),
  read: call => answer(call, self(call).raft.readIndex(other(call))),
  transfer: call => answer(call, self(call).raft.transferTo(other(call))),
  'forget-leader': call => self(call).raft.forgetLeader(),
  unreachable: call => self(call).raft.reportUnreachable(other(call)),
  'snapshot-report': call =>
    self(call).raft.reportSnapshot(other(call), call.words.includes('delivered')),
  compact: call => self(call).compact(other(call), Number(call.options.get('tail') ?? 0)),

  // Time. Nothing is delivered by `tick`; `run` lets everything happen and tells only what changed.
  tick: call => {
    for (let at = 0; at < other(call); at += TICK_MS) self(call).raft.tick(TICK_MS)
  },
  run: ({ cluster, numbers, filter }) => {
    const [durationMs = 0, ...ids] = numbers
    const lines: string[] = []
    for (let at = TICK_MS; at <= durationMs; at += TICK_MS) {
      cluster.lines = []
      cluster.verbose = false
      for (const member of cluster.running(ids)) member.raft.tick(TICK_MS)
      for (const member of cluster.running()) member.observe()
      cluster.stabilize([], filter)
      cluster.verbose = true
      lines.push(...cluster.lines.map(line => `+${at} ms: ${line}`))
    }
    cluster.lines = lines
  },
  /** `patience 2 0.5`: the timeouts that 2 draws from now on are this far into their range. */
  patience: call => {
    self(call).chance = Number(call.words[1])
    self(call).raft.state.resetTimer()
  },

  // Disk, state machine, wires.
  ready: call => void self(call).ready(),
  'slow-disk': call => {
    self(call).slowDisk = call.words[1] !== 'off'
    if (!self(call).slowDisk) while (self(call).finishWrite());
  },
  'slow-apply': call => {
    self(call).slowApply = call.words[1] !== 'off'
    if (!self(call).slowApply) while (self(call).applyNext());
  },
  'write-done': call => void self(call).finishWrite(),
  'apply-done': call => void self(call).applyNext(),
  crash: call => self(call).crash(),
  restart: call => {
    self(call).restart()
    call.cluster.say(statusText(self(call).raft.state))
  },
  stabilize: ({ cluster, numbers, filter }) => cluster.stabilize(numbers, filter),
  deliver: call => {
    for (const m of take(call)) {
      call.cluster.say(messageText(m))
      call.cluster.deliver([m])
    }
  },
  /** `send-append 1 3 prev=1 last=2`: what the leader might have sent at some time, with its commit index of now. */
  'send-append': call => {
    const { log, term } = self(call).raft.state
    const prevIndex = Number(call.options.get('prev'))
    const to = Number(call.options.get('last'))
    call.cluster.post({
      type: 'append',
      from: self(call).id,
      to: other(call),
      term,
      prevIndex,
      prevTerm: log.termAt(prevIndex) ?? 0,
      commit: log.committed,
      entries: log.slice(prevIndex + 1, to, Number.POSITIVE_INFINITY),
    })
  },
  /** The same message arrives again later. */
  duplicate: ({ cluster, filter, options }) =>
    void cluster.queue.push(...chosen(cluster, filter, options)),
  drop: call => {
    for (const m of take(call)) call.cluster.say(`${messageText(m)} (lost)`)
  },
  /** `cut 1 2`: nothing passes between these and the others. */
  cut: ({ cluster, numbers }) => {
    cluster.losses.push(m => numbers.includes(m.from) !== numbers.includes(m.to))
  },
  /** `block type=append to=3`: such messages are lost from now on. */
  block: ({ cluster, filter }) => void cluster.losses.push(filter),
  heal: ({ cluster }) => {
    cluster.losses = []
  },

  // What there is to see.
  status: ({ cluster, numbers }) => {
    for (const member of cluster.running(numbers)) cluster.say(statusText(member.raft.state))
  },
  log: ({ cluster, numbers }) => {
    for (const member of cluster.running(numbers)) cluster.say(logText(member.raft.state))
  },
  progress: call => {
    for (const [id, p] of self(call).raft.state.progress)
      if (id !== self(call).id) call.cluster.say(progressText(id, p))
  },
  messages: ({ cluster }) => {
    for (const m of cluster.queue) cluster.say(messageText(m))
  },
}

function self({ cluster, numbers }: Call): Member {
  return cluster.member(numbers[0] ?? 0)
}

function other({ numbers }: Call): number {
  const number = numbers[1]
  if (number === undefined || Number.isNaN(number)) throw new Error('a number is missing')
  return number
}

/** Of what fits: all, the first `limit=` so many, or the one that is `nth=`, counted round and round. */
function chosen(
  cluster: Cluster,
  filter: Filter,
  options: ReadonlyMap<string, string>,
): readonly Message[] {
  const fitting = cluster.queue.filter(filter)
  const nth = options.get('nth')
  if (nth !== undefined) return fitting.slice(Number(nth) % fitting.length).slice(0, 1)
  return fitting.slice(0, Number(options.get('limit') ?? Number.POSITIVE_INFINITY))
}

function take({ cluster, filter, options }: Call): readonly Message[] {
  const messages = chosen(cluster, filter, options)
  for (const m of messages) cluster.queue.splice(cluster.queue.indexOf(m), 1)
  return messages
}

function answer({ cluster }: Call, accepted: boolean): void {
  if (!accepted) cluster.say('refused')
}

function tell({ cluster }: Call, outcome: { refused: string } | { index: number }): void {
  if ('refused' in outcome) cluster.say(`refused: ${outcome.refused}`)
}

/** `change 1 add 4 learner`; several at once behind `joint`, or `enter` when the end is to be asked for with `leave`. */
function changeOf({ words }: Call): Change {
  const [, kind = '', ...rest] = words
  if (kind === 'leave') return { kind: 'leaveJoint' }
  if (kind !== 'joint' && kind !== 'enter') return stepOf([kind, ...rest])
  const steps = rest.join(' ').split(', ')
  return {
    kind: 'enterJoint',
    autoLeave: kind === 'joint',
    changes: steps.map(step => stepOf(step.split(' '))),
  }
}

function stepOf([kind = '', id = '', role]: readonly string[]): MemberChange {
  if (kind === 'add')
    return { kind, member: { id: Number(id), address: '', learner: role === 'learner' } }
  if (kind === 'promote' || kind === 'demote' || kind === 'remove') return { kind, id: Number(id) }
  throw new Error(`there is no change "${kind}"`)
}
