// A node's life: of no cluster until it founds or joins one; then the agent always, the manager while its role says so;
// of no cluster again when it leaves. Changes of that kind happen one at a time.
import { join } from 'node:path'
import { networkInterfaces } from 'node:os'
import { Registry, collectDefaultMetrics } from 'prom-client'
import {
  createKey,
  createRequest,
  identityFrom,
  loadIdentity,
  removeIdentity,
  saveIdentity,
  trustOf,
  type Identity,
} from '../agent/identity/identity.ts'
import { joinCluster } from '../agent/identity/join.ts'
import { desiredRole } from '../agent/identity/renewal.ts'
import { issueCertificate } from '../manager/ca/issue.ts'
import { createRootCa } from '../manager/ca/root.ts'
import { joinTokens } from '../manager/ca/token.ts'
import { stateMetrics, type StateMetrics } from '../manager/state/metrics.ts'
import { unary } from '../proto/call.ts'
import type { PlainOf } from '../proto/codec.ts'
import { NodeRole, type Node, type v1 } from '../proto/index.ts'
import { clientCredentials } from '../proto/tls.ts'
import { sleep, type Clock } from '../runtime/clock.ts'
import { StatusError, hasCode, messageOf } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import type { Log } from '../runtime/log.ts'
import { newId, type Random } from '../runtime/random.ts'
import { advertiseAddress } from './address.ts'
import { CertificateKeeper } from './certificate-keeper.ts'
import { splitAddress, type DaemonConfig } from './config.ts'
import { Dialer } from './dialer.ts'
import { foundingObjects } from './founding.ts'
import { Managing } from './managing.ts'
import { forgetMember, memberState } from './member-state.ts'
import { readPlace, removePlace, writePlace, type Place } from './place.ts'
import { Working, agentDir } from './working.ts'

type V1 = typeof v1
export type InitRequest = PlainOf<V1['InitRequest']>
export type JoinRequest = PlainOf<V1['JoinRequest']>

export interface NodeDeps {
  readonly config: DaemonConfig
  readonly clock: Clock
  readonly random: Random
  readonly fs: Fs
  readonly log: Log
  /** The process must die: its log cannot be trusted or written. */
  readonly onFatal: (error: Error) => void
}

const FOUNDING_LIMIT_MS = 20_000
const JOIN_RETRY_MS = 500
const JOIN_LIMIT_MS = 60_000

/** What runs while the node is of a cluster. */
interface Membership {
  identity: Identity
  readonly place: Place
  readonly registry: Registry
  readonly metrics: StateMetrics
  readonly dialer: Dialer
  readonly credentials: ReturnType<typeof clientCredentials>
  readonly keeper: CertificateKeeper
  readonly ended: AbortController
  working: Working | undefined
  managing: Managing | undefined
  /** The node's own object, as the managers last told. */
  node: Node | undefined
}

export class SkeinNode {
  readonly #deps: NodeDeps
  readonly #idle = new Registry()
  #membership: Membership | undefined
  #error: string | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(deps: NodeDeps) {
    this.#deps = deps
    collectDefaultMetrics({ register: this.#idle })
  }

  get membership(): Readonly<Membership> | undefined {
    return this.#membership
  }

  /** Why the node cannot take part although it should; undefined when all is well. */
  get error(): string | undefined {
    return this.#error
  }

  get registry(): Registry {
    return this.#membership?.registry ?? this.#idle
  }

  /** Takes up what the state directory says. A damaged identity leaves the node without a cluster, and says why. */
  start(): Promise<void> {
    return this.#exclusive(async () => {
      const { fs, config, log } = this.#deps
      try {
        const identity = await loadIdentity(fs, this.#identityDir())
        if (!identity) return
        const place = await readPlace(fs, config.dataDir)
        await this.#enter(identity, place, { bootstrap: false })
      } catch (error) {
        this.#error = messageOf(error)
        log.error('the node cannot take part in its cluster', { error: this.#error })
      }
    })
  }

  /** Ends everything but the containers. A leader hands over first. */
  stop(): Promise<void> {
    return this.#exclusive(() => this.#exit())
  }

  /** Founds a cluster. @throws StatusError FailedPrecondition when the node is of one already */
  init(
    request: InitRequest,
  ): Promise<{ nodeId: string; clusterId: string; workerToken: string; address: string }> {
    return this.#exclusive(async () => {
      this.#needNoCluster()
      if (request.autolock || request.forceNewCluster) {
        const option = request.autolock ? '--autolock' : '--force-new-cluster'
        throw new StatusError(
          'Unimplemented',
          `swarm init: ${option} is not supported by this version`,
        )
      }
      const { config, clock, random, fs } = this.#deps
      const host = advertiseAddress(request.advertiseAddress, networkInterfaces())
      const address = `${host}:${splitAddress(config.listen).port}`
      const [clusterId, nodeId] = [newId(random), newId(random)]
      await this.#forget()

      const rootCa = await createRootCa({ clusterId, nowMs: clock.now(), random })
      const keyPem = await createKey()
      const issued = await issueCertificate(rootCa, {
        csrPem: await createRequest(keyPem),
        nodeId,
        role: 'manager',
        clusterId,
        nowMs: clock.now(),
        validityMs: request.certificateValidityMs,
        random,
      })
      const { certificatePem } = issued
      const identity = identityFrom({ keyPem, certificatePem, rootPems: [rootCa.certificatePem] })
      const place = { address: host, managers: [address] }
      try {
        const membership = await this.#enter(identity, place, {
          bootstrap: true,
          found: async managing => {
            const { id: raftId } = managing.manager.member.status()
            const nowMs = clock.now()
            const founding = {
              clusterId,
              nodeId,
              raftId: raftId ?? 0,
              address,
              rootCa,
              request,
              nowMs,
            }
            const { cluster, node } = foundingObjects(founding)
            await managing.manager.found(tx => {
              tx.create('cluster', cluster)
              tx.create('node', node)
            }, FOUNDING_LIMIT_MS)
          },
        })
        await writePlace(fs, config.dataDir, place)
        await saveIdentity(fs, this.#identityDir(), membership.identity)
      } catch (error) {
        await this.#exit()
        await this.#forget()
        throw error
      }
      return { nodeId, clusterId, workerToken: joinTokens(rootCa).worker, address }
    })
  }

  /** Joins the cluster of a token. @throws StatusError as joinCluster(), or FailedPrecondition when of one already */
  join(request: JoinRequest): Promise<{ nodeId: string; role: NodeRole; manager: string }> {
    return this.#exclusive(async () => {
      this.#needNoCluster()
      const { config, fs, log } = this.#deps
      const { port } = splitAddress(config.listen)
      const addresses = request.addresses.map(text =>
        /:\d+$/.test(text) ? text : `${text}:${port}`,
      )
      const host = advertiseAddress(request.advertiseAddress, networkInterfaces())
      const { token, availability } = request
      await this.#forget()
      const joined = await joinCluster({ addresses, token, availability, log })
      const place = { address: host, managers: [joined.address] }
      try {
        await writePlace(fs, config.dataDir, place)
        await saveIdentity(fs, this.#identityDir(), joined.identity)
        await this.#enter(joined.identity, place, { bootstrap: false })
        await this.#untilTakingPart()
      } catch (error) {
        await this.#exit()
        await this.#forget()
        throw error
      }
      const role = joined.identity.role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER
      return { nodeId: joined.identity.nodeId, role, manager: joined.address }
    })
  }

  /** Leaves: containers go, and all that is known of the cluster. A manager must be told to with `force`. */
  leave(force: boolean): Promise<void> {
    return this.#exclusive(async () => {
      const membership = this.#membership
      if (!membership) {
        if (this.#error === undefined) throw notInCluster()
        if (!force)
          throw new StatusError(
            'FailedPrecondition',
            `${this.#error}; to leave all the same: --force`,
          )
        return this.#forget()
      }
      if (membership.managing && !force) {
        throw new StatusError(
          'FailedPrecondition',
          'this node is a manager: demote it first (skein node demote), or leave with --force; with the last manager the cluster itself is gone',
        )
      }
      await this.#sayGoodBye(membership, force)
      const { working } = membership
      await this.#exit()
      await working
        ?.removeContainers()
        .catch((error: unknown) =>
          this.#deps.log.warn('containers are left behind', { error: messageOf(error) }),
        )
      await this.#forget()
    })
  }

  async #sayGoodBye(membership: Membership, force: boolean): Promise<void> {
    const addresses = membership.working?.agent.status().managers ?? []
    const others = addresses.filter(address => address !== this.#ownAddress(membership))
    let failure: unknown
    for (const address of membership.managing
      ? [...others, this.#ownAddress(membership)]
      : addresses) {
      const client = membership.dialer.control(address)
      try {
        await unary(client, client.leaveCluster, { force }, { timeoutMs: 15_000 })
        return
      } catch (error) {
        failure = error
        if (!hasCode(error, 'Unavailable', 'DeadlineExceeded')) break
      }
    }
    if (force) {
      this.#deps.log.warn('left without telling the managers', { error: messageOf(failure) })
      return
    }
    throw new StatusError(
      'Unavailable',
      `no manager could be told (${messageOf(failure)}); to leave all the same: skein swarm leave --force`,
      { cause: failure },
    )
  }

  async #enter(
    identity: Identity,
    place: Place,
    options: {
      readonly bootstrap: boolean
      readonly found?: (managing: Managing) => Promise<void>
    },
  ): Promise<Membership> {
    const { clock, random, log } = this.#deps
    const registry = new Registry()
    collectDefaultMetrics({ register: registry })
    const credentials = clientCredentials(() => trustOf(membership.identity))
    const membership: Membership = {
      identity,
      place,
      registry,
      metrics: stateMetrics(registry),
      credentials,
      dialer: new Dialer(credentials),
      ended: new AbortController(),
      keeper: new CertificateKeeper({
        clock,
        random,
        log,
        registry,
        identity: () => membership.identity,
        managers: () => membership.working?.agent.status().managers ?? place.managers,
        renewed: renewed => this.#exclusive(() => this.#adopt(membership, renewed)),
      }),
      working: undefined,
      managing: undefined,
      node: undefined,
    }
    this.#membership = membership
    this.#error = undefined
    if (identity.role === 'manager') await this.#beManager(membership, options.bootstrap)
    if (membership.managing && options.found) await options.found(membership.managing)
    membership.working = new Working({
      ...this.#deps,
      registry,
      identity,
      dialer: membership.dialer,
      address: place.address,
      managers: membership.managing
        ? [this.#ownAddress(membership), ...place.managers]
        : place.managers,
      isManager: () => membership.managing !== undefined,
      onNode: node => this.#nodeChanged(membership, node),
      onRoots: () => membership.keeper.check(),
    })
    await membership.working.agent.start()
    membership.keeper.start()
    return membership
  }

  async #exit(): Promise<void> {
    const membership = this.#membership
    this.#membership = undefined
    if (!membership) return
    membership.ended.abort(new StatusError('Cancelled', 'the node stops'))
    // Not awaited: a renewal that runs waits for this very turn, and finds that it is not wanted any more.
    void membership.keeper.stop()
    await membership.working?.stop()
    await membership.managing?.stop()
    membership.dialer.close()
  }

  async #beManager(membership: Membership, bootstrap: boolean): Promise<void> {
    const { config, fs, random } = this.#deps
    membership.managing = await Managing.start({
      ...this.#deps,
      registry: membership.registry,
      metrics: membership.metrics,
      identity: () => membership.identity,
      clientCredentials: membership.credentials,
      dialer: membership.dialer,
      member: await memberState(fs, config.dataDir, random),
      address: this.#ownAddress(membership),
      bootstrap,
    })
    if (!bootstrap) void this.#enterGroup(membership, membership.managing)
  }

  /** Asks to be a member of the Raft group until it is; a member with this address needs nothing. */
  async #enterGroup(membership: Membership, managing: Managing): Promise<void> {
    const { clock, log } = this.#deps
    const address = this.#ownAddress(membership)
    const isIn = (): boolean => {
      const { id, members } = managing.manager.member.status()
      return members.some(
        member => member.id === id && member.address === address && !member.learner,
      )
    }
    while (!isIn() && !membership.ended.signal.aborted && membership.managing === managing) {
      const known = membership.working?.agent.status().managers ?? membership.place.managers
      for (const manager of known.filter(other => other !== address)) {
        const client = membership.dialer.raft(manager)
        const { id: raftId } = managing.manager.member.status()
        try {
          await unary(client, client.join, { raftId, address }, { timeoutMs: 40_000 })
          return
        } catch (error) {
          log.warn('not a member of the managers yet', { manager, error: messageOf(error) })
        }
      }
      await sleep(clock, JOIN_RETRY_MS, membership.ended.signal).catch(() => undefined)
    }
  }

  #nodeChanged(membership: Membership, node: Node): void {
    membership.node = node
    const wanted = desiredRole(node.spec?.role ?? NodeRole.WORKER)
    // A manager that is to be none waits until it is out of the group: before that its vote may be needed.
    const isDue =
      wanted !== membership.identity.role && (wanted === 'manager' || node.manager === null)
    membership.keeper.want(isDue ? wanted : membership.identity.role)
  }

  /** A new certificate: the same role goes on with it, another role changes what this node is. */
  async #adopt(membership: Membership, identity: Identity): Promise<void> {
    if (this.#membership !== membership) return
    const { fs, config, log } = this.#deps
    const before = membership.identity.role
    membership.identity = identity
    await saveIdentity(fs, this.#identityDir(), identity)
    membership.managing?.certificateChanged()
    if (identity.role === before) return
    log.info('the role of this node changed', { from: before, to: identity.role })
    if (identity.role === 'manager') await this.#beManager(membership, false)
    else {
      const { managing } = membership
      membership.managing = undefined
      await managing?.stop()
      await forgetMember(fs, config.dataDir)
    }
    membership.working?.agent.describe()
  }

  /** A joined node is of use once it has a session, and as a manager once it is in the group. */
  async #untilTakingPart(): Promise<void> {
    const { clock } = this.#deps
    const untilMs = clock.monotonic() + JOIN_LIMIT_MS
    for (;;) {
      const { working, managing } = this.#membership ?? {}
      const isMember =
        !managing || managing.manager.isLeader() || managing.manager.leaderAddress() !== undefined
      if (working?.agent.status().connected && isMember) return
      if (clock.monotonic() > untilMs) {
        throw new StatusError(
          'DeadlineExceeded',
          `the certificate was issued, but no session with a manager came about within ${JOIN_LIMIT_MS / 1_000} s; is port 2377 of every manager reachable from here? see the daemon's log`,
        )
      }
      await sleep(clock, 50)
    }
  }

  #ownAddress(membership: Membership): string {
    return `${membership.place.address}:${splitAddress(this.#deps.config.listen).port}`
  }

  #identityDir(): string {
    return join(this.#deps.config.dataDir, 'identity')
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
