// Three Raft members, each in a process of its own, as the benchmark drives them.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../support/cluster.ts'
import { testCluster } from '../../daemon/rpc/fixture.ts'
import { Child } from './child.ts'
import type { Driven } from './drive.ts'
import type { Counts, Question } from './member.ts'

const IDS = [1, 2, 3]

export class Members {
  readonly #children: readonly Child[]
  readonly #clients: readonly string[]

  private constructor(children: readonly Child[], clients: readonly string[]) {
    this.#children = children
    this.#clients = clients
  }

  static async up(dir: string): Promise<Members> {
    const ca = await testCluster()
    const children = await Promise.all(IDS.map(() => Child.start('member.ts')))
    const ask = <T>(child: Child, question: Question): Promise<T> => child.ask<T>(question)
    const listening = await Promise.all(
      children.map(async (child, i) =>
        ask<{ peers: string; clients: string }>(child, {
          ask: 'listen',
          id: IDS[i] ?? 0,
          identity: await ca.node('manager'),
        }),
      ),
    )
    const members = listening.map(({ peers }, i) => ({
      id: IDS[i] ?? 0,
      address: peers,
      learner: false,
    }))
    await Promise.all(
      children.map((child, i) => {
        const own = join(dir, `member-${i}`)
        mkdirSync(own, { recursive: true })
        return ask(child, { ask: 'open', dir: own, members })
      }),
    )
    const up = new Members(
      children,
      listening.map(({ clients }) => clients),
    )
    await until(
      () => up.leader(),
      30_000,
      () => 'no member leads',
    )
    return up
  }

  /** The number of the member that leads. */
  async leader(): Promise<{ child: Child; clients: string } | undefined> {
    const all = await this.counts()
    const index = all.findIndex(({ leads }) => leads)
    const [child, clients] = [this.#children[index], this.#clients[index]]
    return child && clients ? { child, clients } : undefined
  }

  counts(): Promise<readonly Counts[]> {
    return Promise.all(this.#children.map(child => child.ask<Counts>({ ask: 'counts' })))
  }

  /** Proposers in the leader's own process. */
  async driveLeader(
    proposers: number,
    seconds: number,
  ): Promise<Driven & { readonly cpuUsPerEntry: number }> {
    const leader = await this.leader()
    if (!leader) throw new Error('no member leads')
    return leader.child.ask({ ask: 'drive', proposers, seconds })
  }

  async down(): Promise<void> {
    await Promise.all(this.#children.map(child => child.end()))
  }
}
