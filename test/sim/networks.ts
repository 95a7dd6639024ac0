// A node's network half without a kernel: it takes tables, and has them programmed a little later.
import type { Networks, NetworkState, TaskNetworking } from '../../agent/network/types.ts'
import type { Task } from '../../proto/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Random } from '../../runtime/random.ts'

const LAG_MS = 60

export class FakeNetworks implements Networks {
  readonly #clock: Clock
  readonly #random: Random
  /** What the managers last said. */
  state: NetworkState | undefined
  #revision = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  update(state: NetworkState): void {
    this.state = state
    this.#clock.after(this.#random.next() * LAG_MS, () => {
      this.#revision = Math.max(this.#revision, state.revision)
    })
  }

  async prepare(task: Task): Promise<TaskNetworking> {
    const attachments = task.networks.map(({ networkId, address, mac }) => {
      const engineNetwork = this.state?.networks.get(networkId)?.name ?? networkId
      return { networkId, engineNetwork, address, mac }
    })
    return { attachments, dns: [], resolvConf: undefined }
  }

  async started(): Promise<void> {}

  applied(): { readonly revision: number; readonly problems: readonly string[] } {
    return { revision: this.#revision, problems: [] }
  }

  async stop(): Promise<void> {}
}
