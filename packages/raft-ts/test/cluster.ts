// Nodes on virtual time and disks, for tests of what RaftNode promises.
import {
  MemoryFs,
  type Member,
  type Message,
  RaftNode,
  type RaftNodeOptions,
  VirtualClock,
} from '../src/index.ts'
import { Machine } from './sim/machine.ts'

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export class Cluster {
  readonly clock = new VirtualClock()
  readonly nodes = new Map<number, RaftNode>()
  readonly machines = new Map<number, Machine>()
  readonly disks = new Map<number, MemoryFs>()
  readonly fatal: Error[] = []
  readonly sent: Message[] = []
  /** Time in which every process stood still: timers and messages have waited, the clock has not. */
  stalledMs = 0
  drop: (m: Message) => boolean = () => false
  /** What the wire makes of a message. */
  alter: (m: Message) => Message = m => m

  async open(
    id: number,
    bootstrap?: readonly Member[],
    options: Partial<RaftNodeOptions> = {},
  ): Promise<RaftNode> {
    const disk = this.disks.get(id) ?? new MemoryFs()
    const machine = new Machine()
    this.disks.set(id, disk)
    this.machines.set(id, machine)
    const node = await RaftNode.open(
      {
        id,
        dir: 'data',
        fs: disk.mount(),
        clock: {
          monotonic: () => this.clock.monotonic() + this.stalledMs,
          after: (delayMs, fn) => this.clock.after(delayMs, fn),
        },
        random: () => 0.1 + id / 10,
        stateMachine: machine,
        send: messages => {
          this.sent.push(...messages)
          for (const m of messages)
            if (!this.drop(m)) this.clock.after(1, () => this.nodes.get(m.to)?.step(this.alter(m)))
        },
        onFatal: error => this.fatal.push(error),
        ...options,
      },
      bootstrap ? { bootstrap } : {},
    )
    this.nodes.set(id, node)
    return node
  }

  async start(ids: readonly number[], options: Partial<RaftNodeOptions> = {}): Promise<RaftNode> {
    const members = ids.map(id => ({ id, address: `host-${id}`, learner: false }))
    for (const id of ids) await this.open(id, members, options)
    await this.pass(20)
    const [first] = this.nodes.values()
    first?.campaign()
    await this.pass(50)
    return first as RaftNode
  }

  pass(ms: number): Promise<void> {
    return this.clock.advance(ms)
  }

  /** Lets time pass while a promise is open. */
  async during<T>(promise: Promise<T>, ms = 3000): Promise<T> {
    promise.catch(() => undefined)
    await this.pass(ms)
    return promise
  }
}
