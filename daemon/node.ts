// A node's life: of no cluster until it founds or joins one, and again when it leaves. One such change at a time.
import { join } from 'node:path'
import { networkInterfaces } from 'node:os'
import { Registry } from 'prom-client'
import {
  loadIdentity,
  removeIdentity,
  saveIdentity,
  type Identity,
} from '../agent/identity/identity.ts'
import { joinCluster } from '../agent/identity/join.ts'
import type { PlainOf } from '../proto/codec.ts'
import { NodeRole, type v1 } from '../proto/index.ts'
import { StatusError, messageOf } from '../runtime/errors.ts'
import { newId } from '../runtime/random.ts'
import { advertiseAddress } from './address.ts'
import { splitAddress } from './config.ts'
import { Membership, type NodeDeps } from './membership.ts'
import { forgetMember, memberState } from './member-state.ts'
import type { Restoration } from './restoring.ts'
import { readPlace, removePlace, writePlace, type Place } from './place.ts'
import { agentDir } from './working.ts'

type V1 = typeof v1
export type InitRequest = PlainOf<V1['InitRequest']>
export type JoinRequest = PlainOf<V1['JoinRequest']>
export type RecoverResponse = PlainOf<V1['RecoverResponse']>

const FOUNDING_LIMIT_MS = 20_000
const JOIN_LIMIT_MS = 60_000

export class SkeinNode {
  readonly #deps: NodeDeps
  #membership: Membership | undefined
  #error: string | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(deps: NodeDeps) {
    this.#deps = deps
  }

  /** The node's part in its cluster; undefined while it is of none. */
  get membership(): Membership | undefined {
    return this.#membership
  }

  /** Why the node cannot take part although it should; undefined when all is well. */
  get error(): string | undefined {
    return this.#error
  }

  /** Every series this process has now. */
  get registry(): Registry {
    const { processRegistry } = this.#deps
    return this.#membership
      ? Registry.merge([processRegistry, this.#membership.registry])
      : processRegistry
  }

  /** Takes up what the state directory says. What is damaged there leaves the node without a cluster, and says why. */
  start(): Promise<void> {
    return this.#exclusive(async () => {
      const { fs, config, log } = this.#deps
      try {
        const identity = await loadIdentity(fs, this.#identityDir())
        if (identity) await this.#begin(identity, await readPlace(fs, config.dataDir)).enter()
      } catch (error) {
        await this.#end()
        this.#error = messageOf(error)
        log.error('the node cannot take part in its cluster', { error: this.#error })
      }
    })
  }

  /** Ends everything but the containers. A leader hands over first. */
  stop(): Promise<void> {
    return this.#exclusive(() => this.#end())
  }

  /** Founds a cluster. @throws StatusError FailedPrecondition when the node is of one already */
  init(
    request: InitRequest,
  ): Promise<{ nodeId: string; clusterId: string; workerToken: string; address: string }> {
    return this.#exclusive(async () => {
      refuseUnsupported(request)
      this.#needNoCluster()
      const { config, clock, random } = this.#deps
      const host = advertiseAddress(request.advertiseAddress, networkInterfaces())
      const address = `${host}:${splitAddress(config.listen).port}`
      const [clusterId, nodeId] = [newId(random), newId(random)]
      await this.#forget()
      // Only a founder needs a CA of its own: nobody else loads what makes one.
      const { foundAuthority, foundingObjects } = await import('./founding.ts')
      const authority = await foundAuthority({ clusterId, nodeId, request, clock, random })
      const { rootCa, identity, workerToken } = authority
      await this.#settle(identity, { address: host, managers: [address] }, membership =>
        membership.enter(async ({ manager }) => {
          const { id: raftId } = manager.member.status()
          const nowMs = clock.now()
          const { expiresAtMs: certificateExpiresAtMs } = identity
          const facts = { clusterId, nodeId, raftId, address, rootCa, certificateExpiresAtMs }
          const { cluster, node } = foundingObjects({ ...facts, request, nowMs })
          await manager.found(tx => {
            tx.create('cluster', cluster)
            tx.create('node', node)
          }, FOUNDING_LIMIT_MS)
        }),
      )
      return { nodeId, clusterId, workerToken, address }
    })
  }

  /** Joins the cluster of a token. @throws StatusError as joinCluster(), or FailedPrecondition when of one already */
  join(request: JoinRequest): Promise<{ nodeId: string; role: NodeRole; manager: string }> {
    return this.#exclusive(async () => {
      this.#needNoCluster()
      const { config, log } = this.#deps
      const { port } = splitAddress(config.listen)
      const addresses = request.addresses.map(text =>
        /:\d+$/.test(text) ? text : `${text}:${port}`,
      )
      const host = advertiseAddress(request.advertiseAddress, networkInterfaces())
      const { token, availability } = request
      await this.#forget()
      const { identity, address } = await joinCluster({ addresses, token, availability, log })
      await this.#settle(identity, { address: host, managers: [address] }, async membership => {
        await membership.enter()
        await membership.untilTakingPart(JOIN_LIMIT_MS)
      })
      const role = identity.role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER
      return { nodeId: identity.nodeId, role, manager: address }
    })
  }

  /**
   * Makes this host the only manager of a cluster that a backup holds, with the addresses it has now.
   *
   * @throws StatusError FailedPrecondition when the node is of a cluster, or as readRestoration(); nothing has changed then
   */
  restore(
    backup: Uint8Array,
    advertised: string,
  ): Promise<{ restoration: Restoration; address: string }> {
    return this.#exclusive(async () => {
      this.#needNoCluster()
      const { config, fs, random } = this.#deps
      const host = advertiseAddress(advertised, networkInterfaces())
      const address = `${host}:${splitAddress(config.listen).port}`
      const { readRestoration, seedRestored } = await import('./restoring.ts')
      const restoration = await readRestoration(backup, this.#deps)
      await this.#forget()
      const place = { address: host, managers: [address] }
      await this.#settle(restoration.identity, place, async membership => {
        const { dataDir } = config
        const member = await memberState(fs, dataDir, random)
        await seedRestored(restoration, { member, address, dataDir }, this.#deps)
        await membership.enter()
        await membership.managing?.manager.untilLeading(FOUNDING_LIMIT_MS)
      })
      return { restoration, address }
    })
  }

  /**
   * Makes this manager the only one of its group, when a majority is gone for good. Without `confirm` it only looks.
   *
   * @throws StatusError FailedPrecondition with the reason, when there is a leader, or may be one, or another knows more
   */
  recover(options: {
    readonly confirm: boolean
    readonly force: boolean
  }): Promise<RecoverResponse> {
    return this.#exclusive(async () => {
      const membership = this.#membership
      if (!membership) throw notInCluster()
      const { managing } = membership
      if (!managing) {
        throw new StatusError(
          'FailedPrecondition',
          'this node is not a manager: it has nothing to recover from; run it on a manager that is left',
        )
      }
      const { clock, config } = this.#deps
      const { electionTimeoutMs } = config
      const { lookAtGroup } = await import('./recovering.ts')
      const seen = await lookAtGroup(managing, { clock, electionTimeoutMs, force: options.force })
      if (!options.confirm) return seen
      await membership.recover()
      return { ...seen, done: true }
    })
  }

  /** Leaves: containers go, and all that is known of the cluster. A manager must be told to with `force`. */
  leave(force: boolean): Promise<void> {
    return this.#exclusive(async () => {
      const membership = this.#membership
      if (!membership) return this.#leaveBroken(force)
      if (membership.managing && !force) {
        throw new StatusError(
          'FailedPrecondition',
          'this node is a manager: demote it first (skein node demote), or leave with --force; with the last manager the cluster itself is gone',
        )
      }
      await membership.sayGoodBye(force)
      await this.#end()
      await membership.working
        ?.removeContainers()
        .catch((error: unknown) =>
          this.#deps.log.warn('containers are left behind', { error: messageOf(error) }),
        )
      await this.#forget()
    })
  }

  async #leaveBroken(force: boolean): Promise<void> {
    if (this.#error === undefined) throw notInCluster()
    if (force) return this.#forget()
    throw new StatusError('FailedPrecondition', `${this.#error}; to leave all the same: --force`)
  }

  /** Enters with a new identity and keeps it; whatever fails on the way leaves nothing behind. */
  async #settle(
    identity: Identity,
    place: Place,
    enter: (membership: Membership) => Promise<void>,
  ): Promise<void> {
    const { fs, config } = this.#deps
    try {
      await enter(this.#begin(identity, place))
      await writePlace(fs, config.dataDir, place)
      await saveIdentity(fs, this.#identityDir(), identity)
    } catch (error) {
      await this.#end()
      await this.#forget()
      throw error
    }
  }

  #begin(identity: Identity, place: Place): Membership {
    const membership = new Membership({
      ...this.#deps,
      identity,
      place,
      identityDir: this.#identityDir(),
      exclusive: work => this.#exclusive(work),
    })
    this.#membership = membership
    this.#error = undefined
    return membership
  }

  async #end(): Promise<void> {
    const membership = this.#membership
    this.#membership = undefined
    await membership?.exit()
  }

  #needNoCluster(): void {
    if (!this.#membership && this.#error === undefined) return
    throw new StatusError(
      'FailedPrecondition',
      this.#error ??
        'this node is already part of a cluster; leave it first with: skein swarm leave',
    )
  }

  /** Removes what an earlier cluster, or an attempt that failed, left in the state directory. */
  async #forget(): Promise<void> {
    const { fs, config } = this.#deps
    this.#error = undefined
    await removeIdentity(fs, this.#identityDir())
    await forgetMember(fs, config.dataDir)
    await fs.remove(agentDir(config.dataDir))
    await removePlace(fs, config.dataDir)
  }

  #identityDir(): string {
    return join(this.#deps.config.dataDir, 'identity')
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

/** What every command that needs a cluster says on a node that is of none. */
export function notInCluster(): StatusError {
  return new StatusError(
    'FailedPrecondition',
    'this node is not part of a cluster; make one with: skein swarm init, or enter one with: skein swarm join',
  )
}

function refuseUnsupported({ autolock, forceNewCluster }: InitRequest): void {
  if (forceNewCluster) {
    throw new StatusError(
      'FailedPrecondition',
      'swarm init: there is no state here to start over from; on a manager that is left, use: skein cluster recover; with a backup: skein cluster restore FILE',
    )
  }
  if (!autolock) return
  throw new StatusError('Unimplemented', 'swarm init: --autolock is not supported by this version')
}
