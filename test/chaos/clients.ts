// Clients that write and read registers, and put things into a set, through the control API of any manager, and write down
// what they did and were told. A register is a label of a config; the set is the configs whose names begin with "set-".
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js'
import { setTimeout as sleep } from 'node:timers/promises'
import { unary } from '../../proto/call.ts'
import { type Random, below } from '../../runtime/random.ts'
import { StatusError } from '../../runtime/errors.ts'
import type { KeyedOperation } from '../support/linearizability.ts'
import type { Control, Managers } from './managers.ts'

const LABEL = 'value'
const DATA = new Uint8Array([120])
const TIMEOUT_MS = 4_000
const CONNECT_MS = 200
/** The checker's work grows with what goes on at a time on one key: few keys, left behind after a while. */
const LIVE_KEYS = 3
const OPERATIONS_A_KEY = 250
const PAUSE_MS = 25
/** A trailer that only a manager sets: its refusal is one, and not the end of a connection. */
const ANSWERED = 'skein-answered'

export class Clients {
  readonly history: KeyedOperation[] = []
  /** Members of the set whose creation was acknowledged. */
  readonly acknowledged: string[] = []
  readonly codes = new Map<string, number>()
  readonly #managers: Managers
  readonly #random: Random
  readonly #nowMs: () => number
  readonly #keys: { name: string; operations: number }[] = []
  #made = 0
  #over = false

  constructor(managers: Managers, random: Random, nowMs: () => number) {
    this.#managers = managers
    this.#random = random
    this.#nowMs = nowMs
  }

  /** Runs `count` clients until `stop`. */
  async run(count: number): Promise<void> {
    for (let i = 0; i < LIVE_KEYS; i++) await this.#newKey(i)
    await Promise.all(Array.from({ length: count }, (_, client) => this.#client(client)))
  }

  stop(): void {
    this.#over = true
  }

  get answered(): number {
    return this.history.filter(o => o.returnedMs !== undefined).length
  }

  /** Reads every register there ever was once more, so that the history also says what is left. */
  async readAll(control: Control): Promise<void> {
    for (const key of new Set(this.history.map(o => o.key))) {
      const invokedMs = this.#nowMs()
      const value = await read(control, String(key))
      this.history.push({
        client: 'last',
        kind: 'read',
        key,
        value,
        invokedMs,
        returnedMs: this.#nowMs(),
      })
    }
  }

  async #client(client: number): Promise<void> {
    for (let n = 0; !this.#over; n++) {
      const hosts = this.#managers.hosts
      const host = hosts[below(this.#random, hosts.length)]
      if (!host) return
      const control = this.#managers.control(host)
      const dice = this.#random.next()
      // What was never sent is no operation; the next one may go to a host that is there.
      if (!(await connected(control))) this.#count('not connected')
      else if (dice < 0.1) await this.#add(control, `set-${client}-${n}`)
      else await this.#operate(control, client, dice < 0.55 ? `${client}-${n}` : undefined)
      await sleep(this.#random.next() * PAUSE_MS)
    }
  }

  /** A write of `value`, or a read when there is none. */
  async #operate(control: Control, client: number, value: string | undefined): Promise<void> {
    const slot = below(this.#random, LIVE_KEYS)
    const key = this.#keys[slot]
    if (!key) return
    if (++key.operations > OPERATIONS_A_KEY) await this.#newKey(slot)
    const kind = value === undefined ? 'read' : 'write'
    const about = { client, kind, key: key.name, value, invokedMs: this.#nowMs() } as const
    try {
      if (value === undefined) {
        const seen = await read(control, key.name)
        this.history.push({ ...about, value: seen, returnedMs: this.#nowMs() })
      } else {
        await write(control, key.name, value)
        this.history.push({ ...about, returnedMs: this.#nowMs() })
      }
      this.#count('OK')
    } catch (error) {
      this.#count(error instanceof StatusError ? error.code : 'not a status')
      if (kind === 'write' && !isRefusal(error))
        this.history.push({ ...about, returnedMs: undefined })
    }
  }

  async #add(control: Control, name: string): Promise<void> {
    try {
      const spec = { annotations: { name }, data: DATA }
      await unary(control, control.createConfig, { spec }, { timeoutMs: TIMEOUT_MS })
      this.acknowledged.push(name)
      this.#count('OK')
    } catch (error) {
      this.#count(error instanceof StatusError ? error.code : 'not a status')
    }
  }

  /** Puts a fresh register in the place of one that has been used enough; tried until it is there. */
  async #newKey(slot: number): Promise<void> {
    const name = `register-${++this.#made}`
    this.#keys[slot] = { name, operations: 0 }
    const spec = { annotations: { name }, data: DATA }
    for (let tries = 0; !this.#over; tries++) {
      const host = this.#managers.hosts[tries % this.#managers.hosts.length]
      if (!host) return
      const control = this.#managers.control(host)
      try {
        await unary(control, control.createConfig, { spec }, { timeoutMs: TIMEOUT_MS })
        return
      } catch (error) {
        if (error instanceof StatusError && error.code === 'AlreadyExists') return
        await sleep(100)
      }
    }
  }

  #count(code: string): void {
    this.codes.set(code, (this.codes.get(code) ?? 0) + 1)
  }
}

function connected(control: Control): Promise<boolean> {
  return new Promise(resolve => {
    control.waitForReady(Date.now() + CONNECT_MS, error => resolve(error === undefined))
  })
}

async function read(control: Control, key: string): Promise<string | undefined> {
  const { config } = await unary(control, control.getConfig, { id: key }, { timeoutMs: TIMEOUT_MS })
  return config?.spec?.annotations?.labels[LABEL]
}

async function write(control: Control, key: string, value: string): Promise<void> {
  const spec = { annotations: { name: key, labels: { [LABEL]: value } }, data: DATA }
  await unary(
    control,
    control.updateConfig,
    { id: key, specVersion: 0, spec },
    { timeoutMs: TIMEOUT_MS },
  )
}

/** A manager's word that nothing was written; everything else leaves that open. */
export function isRefusal(error: unknown): boolean {
  const cause = (error as StatusError).cause as ServiceError | undefined
  if (!(error instanceof StatusError) || cause?.metadata === undefined) return false
  if (cause.metadata.get(ANSWERED).length === 0) return false
  // A failed precondition: the daemon is up, and its manager is not yet.
  const { UNAVAILABLE, NOT_FOUND, FAILED_PRECONDITION } = grpcStatus
  return [UNAVAILABLE, NOT_FOUND, FAILED_PRECONDITION].includes(cause.code)
}
