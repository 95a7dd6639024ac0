import { Counter, Gauge, type Registry } from 'prom-client'
import type { Identity } from '../agent/identity/identity.ts'
import { planRenewal } from '../agent/identity/renewal.ts'
import type { Clock } from '../runtime/clock.ts'
import { messageOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { Loop } from '../runtime/loop.ts'
import type { Random } from '../runtime/random.ts'

export interface CertificateKeeperDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly registry: Registry
  readonly identity: () => Identity
  /** host:port of managers to ask. */
  readonly managers: () => readonly string[]
  /** Asks the managers for a new certificate. @throws StatusError when none gives one */
  readonly renew: (identity: Identity, managers: readonly string[]) => Promise<Identity>
  readonly renewed: (identity: Identity) => Promise<void>
}

/** Longest sleep between two looks at the clock: wall time may jump. */
const LOOK_MS = 3_600_000
/** Before another try when the answer still has the old role: the leader has yet to learn of the new one. */
const ROLE_RETRY_MS = 1_000

/** Renews the node's certificate in time, and at once when the node's role is to change. */
export class CertificateKeeper {
  readonly #deps: CertificateKeeperDeps
  readonly #loop: Loop
  readonly #jitter: number
  readonly #renewals: Counter<'result'>
  #wanted: Identity['role'] | undefined

  constructor(deps: CertificateKeeperDeps) {
    this.#deps = deps
    this.#jitter = deps.random.next()
    this.#loop = new Loop({ ...deps, name: 'certificate', pass: () => this.#pass() })
    this.#renewals = new Counter({
      name: 'skein_certificate_renewals_total',
      help: "Renewals of this node's certificate",
      labelNames: ['result'],
      registers: [deps.registry],
    })
    for (const result of ['ok', 'failed']) this.#renewals.inc({ result }, 0)
    new Gauge({
      name: 'skein_certificate_expiry_timestamp_seconds',
      help: "Expiry of this node's certificate",
      registers: [deps.registry],
      collect() {
        this.set(deps.identity().expiresAtMs / 1_000)
      },
    })
  }

  start(): void {
    this.#loop.trigger()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /** The role the node is to have. */
  want(role: Identity['role']): void {
    if (role === this.#wanted) return
    this.#wanted = role
    this.#loop.trigger()
  }

  /** Looks now. */
  check(): void {
    this.#loop.trigger()
  }

  async #pass(): Promise<void> {
    const { clock, log, managers, renew, renewed } = this.#deps
    const identity = this.#deps.identity()
    const plan = planRenewal(identity, clock.now(), this.#jitter, this.#wanted)
    switch (plan.kind) {
      case 'wait':
        return this.#loop.triggerIn(Math.min(plan.dueInMs, LOOK_MS))
      case 'expired':
        log.error(plan.message)
        return this.#loop.triggerIn(LOOK_MS)
      case 'renew':
        log.info('renewing the certificate', { reason: plan.reason })
        try {
          const answer = await renew(identity, managers())
          await renewed(answer)
          this.#renewals.inc({ result: 'ok' })
          const isAsWanted = (this.#wanted ?? answer.role) === answer.role
          return this.#loop.triggerIn(isAsWanted ? 0 : ROLE_RETRY_MS)
        } catch (error) {
          this.#renewals.inc({ result: 'failed' })
          log.warn('the certificate was not renewed', { error: messageOf(error) })
          throw error
        }
    }
  }
}
