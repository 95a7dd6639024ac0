import type { Task } from '../../proto/index.ts'
import { StatusError, messageOf } from '../../runtime/errors.ts'
import { Loop } from '../../runtime/loop.ts'
import type { Random } from '../../runtime/random.ts'
import { macOf } from '../../services/net/ip.ts'
import { nameTables } from './dns/answer.ts'
import { taskResolvConf } from './dns/resolv-conf.ts'
import { NETWORK_ID_LABEL } from './engine-network.ts'
import { NetworkPass, type PassDeps, type PassResult, type ReadyNetwork } from './pass.ts'
import { gatewayOf } from './plan.ts'
import type { NetworkState, Networks, TaskNetworking } from './types.ts'

/** Looks for drift this often. */
const PERIOD_MS = 5_000
const DEBOUNCE_MS = 10
const RETRY_MS = 1_000
const STARTED_TIMEOUT_MS = 5_000
const NO_NETWORKING: TaskNetworking = { attachments: [], dns: [], resolvConf: undefined }

export interface OverlayNetworksDeps extends PassDeps {
  readonly random: Random
}

/**
 * The node's overlays: takes the endpoint tables, keeps kernel, engine and name server at what they say. Stopping it leaves
 * everything in place: traffic does not need the agent.
 */
export class OverlayNetworks implements Networks {
  readonly #deps: OverlayNetworksDeps
  readonly #pass: NetworkPass
  readonly #loop: Loop
  #state: NetworkState | undefined
  /** Counts updates: revisions start over with each session. */
  #generation = 0
  #done: { readonly generation: number; readonly result: PassResult } | undefined
  #appliedRevision = 0
  #failure: string | undefined
  #toldProblems = ''
  #stopped = false
  readonly #waiting = new Set<() => void>()

  constructor(deps: OverlayNetworksDeps) {
    const { clock, random, log } = deps
    this.#deps = deps
    this.#pass = new NetworkPass(deps)
    this.#loop = new Loop({
      name: 'network',
      clock,
      random,
      log,
      debounceMs: DEBOUNCE_MS,
      everyMs: PERIOD_MS,
      pass: () => this.#runPass(),
    })
  }

  update(state: NetworkState): void {
    const { dns, firewall } = this.#deps
    const before = addressesOf(this.#state)
    const now = addressesOf(state)
    firewall.gone([...before].filter(address => !now.has(address)))
    for (const address of now) firewall.returned(address)
    this.#state = state
    this.#generation += 1
    // Names change at once: a task that drains must not be found while the kernel is being programmed.
    dns.setTables(nameTables(state.nodeId, state.networks.values()))
    this.#loop.trigger()
  }

  async prepare(task: Task, timeoutMs: number): Promise<TaskNetworking> {
    const { clock } = this.#deps
    const wanted = task.networks.filter(({ address }) => address !== '')
    if (wanted.length === 0) return NO_NETWORKING
    const ids = wanted.map(({ networkId }) => networkId)
    const untilMs = clock.monotonic() + timeoutMs
    const generation = this.#generation
    for (;;) {
      if (this.#stopped) throw new StatusError('Cancelled', 'the agent is stopping')
      const ready = this.#readyNetworks(ids, generation)
      if (ready !== undefined && (await this.#engineHas(ready)))
        return this.#networking(task, ready)
      const leftMs = untilMs - clock.monotonic()
      if (leftMs <= 0) throw this.#unready(task, ids, timeoutMs)
      if (ready !== undefined) this.#loop.trigger()
      await this.#nextPass(leftMs)
    }
  }

  async started(task: Task): Promise<void> {
    const isBalanced = task.networks.some(
      ({ networkId }) => this.#done?.result.ready.get(networkId)?.plan.balanced === true,
    )
    if (!isBalanced || this.#stopped) return
    this.#loop.trigger()
    await this.#nextPass(STARTED_TIMEOUT_MS)
  }

  applied(): { readonly revision: number; readonly problems: readonly string[] } {
    const problems = this.#done?.result.problems ?? []
    return {
      revision: this.#appliedRevision,
      problems: this.#failure === undefined ? problems : [this.#failure, ...problems],
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#loop.stop()
    await this.#deps.dns.stop()
    this.#wake()
  }

  async #runPass(): Promise<void> {
    const state = this.#state
    const generation = this.#generation
    if (state === undefined) return
    try {
      const result = await this.#pass.run(state)
      this.#failure = undefined
      this.#done = { generation, result }
      if (result.programmed) this.#appliedRevision = state.revision
      if (result.retry) this.#loop.triggerIn(RETRY_MS)
    } catch (error) {
      this.#failure = `network: ${messageOf(error)}`
      throw error
    } finally {
      this.#tellProblems()
      this.#wake()
    }
  }

  /** Once for each new set of problems, not once a pass. */
  #tellProblems(): void {
    const { problems } = this.applied()
    const told = JSON.stringify(problems)
    if (told === this.#toldProblems) return
    this.#toldProblems = told
    if (problems.length > 0)
      this.#deps.log.warn('network: not all is as it should be', { problems })
    else this.#deps.log.info('network: all is as it should be')
  }

  /** @throws StatusError when one of them cannot be on this node */
  #readyNetworks(ids: readonly string[], generation: number): readonly ReadyNetwork[] | undefined {
    if (this.#done === undefined || this.#done.generation < generation) return undefined
    const ready: ReadyNetwork[] = []
    for (const id of ids) {
      const refusal = this.#done.result.refused.get(id)
      if (refusal !== undefined) throw refusal
      const network = this.#done.result.ready.get(id)
      if (network !== undefined) ready.push(network)
    }
    return ready.length === ids.length ? ready : undefined
  }

  /** People remove and prune networks; a container must not fail for that. */
  async #engineHas(ready: readonly ReadyNetwork[]): Promise<boolean> {
    try {
      const present = await this.#deps.engine.list()
      return ready.every(({ plan, engineNetwork }) =>
        present.some(
          have => have.name === engineNetwork && have.labels[NETWORK_ID_LABEL] === plan.id,
        ),
      )
    } catch {
      // The pass that follows asks again and reports it.
      return false
    }
  }

  #networking(task: Task, ready: readonly ReadyNetwork[]): TaskNetworking {
    const attachments = ready.map(({ plan, engineNetwork }) => {
      const { address = '', mac = '' } = task.networks.find(n => n.networkId === plan.id) ?? {}
      return { networkId: plan.id, engineNetwork, address, mac: mac === '' ? macOf(address) : mac }
    })
    const first = ready[0]
    const table = first && this.#state?.networks.get(first.plan.id)
    if (first === undefined || table === undefined) return { ...NO_NETWORKING, attachments }
    return {
      attachments,
      dns: [first.plan.gateway],
      resolvConf: taskResolvConf(table, first.plan.gateway),
    }
  }

  #unready(task: Task, ids: readonly string[], timeoutMs: number): StatusError {
    for (const id of ids) {
      const failed = this.#done?.result.failed.get(id)
      if (failed !== undefined) return failed
    }
    return new StatusError(
      'DeadlineExceeded',
      `networks of task ${task.id} were not ready within ${timeoutMs} ms: ${this.#reason(ids)}`,
    )
  }

  #reason(ids: readonly string[]): string {
    if (this.#failure !== undefined) return this.#failure
    for (const id of ids) {
      const table = this.#state?.networks.get(id)
      if (table === undefined)
        return `the managers have not sent network ${id} to node ${this.#deps.nodeName}`
      if (gatewayOf(table, this.#state?.nodeId ?? '') === undefined)
        return `network ${table.name} has no gateway address for node ${this.#deps.nodeName} yet`
    }
    return 'the kernel is still being programmed'
  }

  /** Resolves when a pass has ended, at the latest after `timeoutMs`. */
  #nextPass(timeoutMs: number): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        cancel()
        this.#waiting.delete(done)
        resolve()
      }
      const cancel = this.#deps.clock.after(timeoutMs, done)
      this.#waiting.add(done)
    })
  }

  #wake(): void {
    for (const done of this.#waiting) done()
  }
}

function addressesOf(state: NetworkState | undefined): Set<string> {
  const addresses = new Set<string>()
  for (const table of state?.networks.values() ?? [])
    for (const { address } of table.endpoints) addresses.add(address)
  return addresses
}
