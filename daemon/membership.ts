// A node's part in one cluster, from the moment it enters until it exits: the agent always, the manager while the
// certificate says so. Role and certificate change while it runs.
import { Registry } from 'prom-client'
import { saveIdentity, trustOf, type Identity } from '../agent/identity/identity.ts'
import { desiredRole, renewIdentity } from '../agent/identity/renewal.ts'
import type { Commands } from '../agent/network/commands.ts'
import { stateMetrics, type StateMetrics } from '../manager/state/metrics.ts'
import { unary } from '../proto/call.ts'
import { NodeRole, type Node } from '../proto/index.ts'
import { clientCredentials } from '../proto/tls.ts'
import { sleep, type Clock } from '../runtime/clock.ts'
import { StatusError, hasCode, messageOf } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import type { Log } from '../runtime/log.ts'
import { Loop } from '../runtime/loop.ts'
import type { Random } from '../runtime/random.ts'
import { CertificateKeeper } from './certificate-keeper.ts'
import { splitAddress, type DaemonConfig } from './config.ts'
import { Dialer } from './dialer.ts'
import type { Managing, ManagingOptions } from './managing.ts'
import { forgetMember, MemberKeys, memberState } from './member-state.ts'
import type { Place } from './place.ts'
import { Working } from './working.ts'

export interface NodeDeps {
  readonly config: DaemonConfig
  readonly clock: Clock
  readonly random: Random
  readonly fs: Fs
  readonly log: Log
  /** The host's network tools. */
  readonly commands: Commands
  /** Series that outlive a part in a cluster: of the process, and of gRPC on every listener. */
  readonly processRegistry: Registry
  /** The process must die: its log cannot be trusted or written. */
  readonly onFatal: (error: Error) => void
}

export interface MembershipOptions extends NodeDeps {
  readonly identity: Identity
  readonly place: Place
  readonly identityDir: string
  /** Runs changes of what the node is one at a time, together with those the user asks for. */
  readonly exclusive: (work: () => Promise<void>) => Promise<void>
}

const GROUP_LOOK_MS = 500
const JOIN_CALL_MS = 40_000
const LEAVE_CALL_MS = 15_000
const LEAD_LIMIT_MS = 20_000

export class Membership {
  readonly registry = new Registry()
  readonly #options: MembershipOptions
  readonly #metrics: StateMetrics
  readonly #credentials: ReturnType<typeof clientCredentials>
  readonly #dialer: Dialer
  readonly #keeper: CertificateKeeper
  readonly #groupLoop: Loop
  readonly #ended = new AbortController()
  #identity: Identity
  #working: Working | undefined
  #managing: Managing | undefined
  #node: Node | undefined

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#identity = options.identity
    this.#metrics = stateMetrics(this.registry)
    this.#credentials = clientCredentials(() => trustOf(this.#identity))
    this.#dialer = new Dialer(this.#credentials)
    this.#groupLoop = new Loop({
      ...options,
      name: 'raft group',
      everyMs: GROUP_LOOK_MS,
      pass: () => this.#keepInGroup(),
    })
    this.#keeper = new CertificateKeeper({
      ...options,
      registry: this.registry,
      identity: () => this.#identity,
      managers: () => this.managers(),
      renew: renewIdentity,
      renewed: renewed => options.exclusive(() => this.#adopt(renewed)),
    })
  }

  get identity(): Identity {
    return this.#identity
  }

  get place(): Place {
    return this.#options.place
  }

  /** The manager half; undefined while the node is a worker. */
  get managing(): Managing | undefined {
    return this.#managing
  }

  get working(): Working | undefined {
    return this.#working
  }

  /** The node's own object, as the managers last told. */
  get node(): Node | undefined {
    return this.#node
  }

  /** host:port at which this node listens, or would, as a manager. */
  get ownAddress(): string {
    return `${this.place.address}:${splitAddress(this.#options.config.listen).port}`
  }

  managers(): readonly string[] {
    return this.#working?.agent.status().managers ?? this.place.managers
  }

  /**
   * Starts to take part.
   * @param found writes the first objects of a new cluster, which this node then leads alone
   */
  async enter(found?: (managing: Managing) => Promise<void>): Promise<void> {
    if (this.#identity.role === 'manager') await this.#beManager(found !== undefined)
    if (this.#managing && found) await found(this.#managing)
    const { managers } = this.place
    this.#working = new Working({
      ...this.#options,
      registry: this.registry,
      dialer: this.#dialer,
      address: this.place.address,
      managers: this.#managing ? [this.ownAddress, ...managers] : managers,
      isManager: () => this.#managing !== undefined,
      onNode: node => this.#nodeChanged(node),
      onRoots: () => this.#keeper.check(),
    })
    await this.#working.agent.start()
    this.#keeper.start()
  }

  /** Ends everything but the containers. A leader hands over first. */
  async exit(): Promise<void> {
    this.#ended.abort(new StatusError('Cancelled', 'the node stops'))
    // Not awaited: what runs in them waits for the turn this is, and finds that it is not wanted any more.
    void this.#keeper.stop()
    void this.#groupLoop.stop()
    await this.#working?.stop()
    await this.#managing?.stop()
    this.#dialer.close()
  }

  /** Resolves once the node has a session, and as a manager is of the group. @throws StatusError DeadlineExceeded */
  async untilTakingPart(limitMs: number): Promise<void> {
    const { clock } = this.#options
    const untilMs = clock.monotonic() + limitMs
    for (;;) {
      const manager = this.#managing?.manager
      const isMember = !manager || manager.isLeader() || manager.leaderAddress() !== undefined
      if (this.#working?.agent.status().connected && isMember) return
      if (clock.monotonic() > untilMs) {
        throw new StatusError(
          'DeadlineExceeded',
          `the certificate was issued, but no session with a manager came about within ${limitMs / 1_000} s; is the managers' port reachable from here, and this node's from there? see the daemon's log`,
        )
      }
      await sleep(clock, 50)
    }
  }

  /** Tells the managers that this node leaves. @throws StatusError Unavailable when none hears it and `force` is not given */
  async sayGoodBye(force: boolean): Promise<void> {
    const others = this.managers().filter(address => address !== this.ownAddress)
    let failure: unknown
    for (const address of this.#managing ? [...others, this.ownAddress] : others) {
      const client = this.#dialer.control(address)
      try {
        await unary(client, client.leaveCluster, { force }, { timeoutMs: LEAVE_CALL_MS })
        return
      } catch (error) {
        failure = error
        if (!hasCode(error, 'Unavailable', 'DeadlineExceeded')) break
      }
    }
    if (!force) {
      throw new StatusError(
        'Unavailable',
        `no manager could be told (${messageOf(failure)}); to leave all the same: skein swarm leave --force`,
        { cause: failure },
      )
    }
    this.#options.log.warn('left without telling the managers', { error: messageOf(failure) })
  }

  /**
   * Makes this manager the only one of its group and waits until it leads. The agent and its containers go on meanwhile.
   * @throws StatusError as RaftMember.recover(); it then takes part as before
   */
  async recover(): Promise<void> {
    const { Managing } = await import('./managing.ts')
    await this.#managing?.stop()
    this.#managing = undefined
    try {
      const recovered = await Managing.recover(await this.#managingOptions(false))
      this.#options.log.warn('this manager was made the only one of its group', {
        last_index: recovered.lastIndex,
        commit_index: recovered.commitIndex,
        lost: recovered.lost.map(member => member.address),
      })
    } finally {
      await this.#beManager(false)
    }
    await this.managing?.manager.untilLeading(LEAD_LIMIT_MS)
  }

  async #beManager(bootstrap: boolean): Promise<void> {
    // A worker never loads what managers are made of: that is a good part of a daemon's memory.
    const { Managing } = await import('./managing.ts')
    this.#managing = await Managing.start(await this.#managingOptions(bootstrap))
    if (!bootstrap) this.#groupLoop.trigger()
  }

  async #managingOptions(bootstrap: boolean): Promise<ManagingOptions> {
    const { config, fs, random } = this.#options
    const member = await memberState(fs, config.dataDir, random)
    return {
      ...this.#options,
      registry: this.registry,
      metrics: this.#metrics,
      identity: () => this.#identity,
      clientCredentials: this.#credentials,
      raftId: member.raftId,
      keys: new MemberKeys({ fs, dataDir: config.dataDir, random }, member),
      address: this.ownAddress,
      bootstrap,
    }
  }

  /**
   * One look at this manager's place in the Raft group: it asks to be let in until it is, under its present address. A
   * member that was taken out and is to be a manager again starts anew: ids never come back.
   */
  async #keepInGroup(): Promise<void> {
    const managing = this.#managing
    if (!managing) return
    const { id: raftId, members, removed } = managing.manager.member.status()
    const isWanted = this.#node?.spec?.role !== NodeRole.WORKER
    if (removed) {
      if (isWanted) await this.#options.exclusive(() => this.#startAnew(managing))
      return
    }
    const address = this.ownAddress
    const self = members.find(member => member.id === raftId)
    if (!isWanted || (self?.address === address && !self.learner)) return
    await this.#askToJoin(raftId, address)
  }

  async #askToJoin(raftId: number, address: string): Promise<void> {
    const { signal } = this.#ended
    for (const manager of this.managers().filter(other => other !== address)) {
      const client = this.#dialer.raft(manager)
      try {
        await unary(client, client.join, { raftId, address }, { timeoutMs: JOIN_CALL_MS, signal })
        return
      } catch (error) {
        if (signal.aborted) return
        this.#options.log.warn('not a member of the managers yet', {
          manager,
          error: messageOf(error),
        })
      }
    }
  }

  async #startAnew(managing: Managing): Promise<void> {
    if (this.#ended.signal.aborted || this.#managing !== managing) return
    this.#options.log.info('this manager was taken out of the group and enters it again')
    await this.#stopManaging()
    await this.#beManager(false)
  }

  async #stopManaging(): Promise<void> {
    const managing = this.#managing
    this.#managing = undefined
    await managing?.stop()
    await forgetMember(this.#options.fs, this.#options.config.dataDir)
  }

  #nodeChanged(node: Node): void {
    this.#node = node
    const wanted = desiredRole(node.spec?.role ?? NodeRole.WORKER)
    // A manager that is to be none waits until it is out of the group: before that its vote may be needed.
    const isDue = wanted === 'manager' || node.manager === null
    this.#keeper.want(isDue ? wanted : this.#identity.role)
    this.#groupLoop.trigger()
  }

  /** A new certificate: the same role goes on with it, another role changes what this node is. */
  async #adopt(identity: Identity): Promise<void> {
    if (this.#ended.signal.aborted) return
    const { fs, log, identityDir } = this.#options
    const before = this.#identity.role
    this.#identity = identity
    await saveIdentity(fs, identityDir, identity)
    this.#managing?.certificateChanged()
    this.#dialer.close()
    if (identity.role === before) return
    log.info('the role of this node changed', { from: before, to: identity.role })
    if (identity.role === 'manager') await this.#beManager(false)
    else await this.#stopManaging()
    this.#working?.agent.describe()
  }
}
