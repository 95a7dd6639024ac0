import { RaftError } from '../errors.ts'

interface Waiter<T> {
  readonly term: number
  readonly deadlineMs: number
  readonly resolve: (value: T) => void
  readonly reject: (error: RaftError) => void
}

/** Proposals in the log, by index, that wait to be applied. */
export class PendingProposals<T> {
  #waiters = new Map<number, Waiter<T>>()
  #earliestMs = Number.POSITIVE_INFINITY

  get size(): number {
    return this.#waiters.size
  }

  /** Rejects with `Timeout` (the outcome is unknown then) or `OutcomeUnknown` on abort. */
  wait(index: number, term: number, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#earliestMs = Math.min(this.#earliestMs, deadlineMs)
      if (signal === undefined) {
        this.#waiters.set(index, { term, deadlineMs, resolve, reject })
        return
      }
      const abort = (): void => {
        this.#waiters.delete(index)
        reject(
          new RaftError(
            'OutcomeUnknown',
            `the wait for entry ${index} was aborted; it may still commit`,
          ),
        )
      }
      const release = (): void => signal.removeEventListener('abort', abort)
      signal.addEventListener('abort', abort, { once: true })
      this.#waiters.set(index, {
        term,
        deadlineMs,
        resolve: value => {
          release()
          resolve(value)
        },
        reject: error => {
          release()
          reject(error)
        },
      })
    })
  }

  applied(index: number, term: number, value: T): void {
    const waiter = this.#waiters.get(index)
    if (waiter === undefined) return
    this.#waiters.delete(index)
    if (waiter.term === term) waiter.resolve(value)
    else
      waiter.reject(
        new RaftError('OutcomeUnknown', `entry ${index} was replaced by another leader's`),
      )
  }

  refused(index: number, error: RaftError): void {
    const waiter = this.#waiters.get(index)
    this.#waiters.delete(index)
    waiter?.reject(error)
  }

  expire(nowMs: number): void {
    if (nowMs < this.#earliestMs) return
    this.#earliestMs = Number.POSITIVE_INFINITY
    for (const [index, waiter] of this.#waiters) {
      if (waiter.deadlineMs <= nowMs) {
        this.#waiters.delete(index)
        waiter.reject(
          new RaftError('Timeout', `entry ${index} was not applied in time; it may still commit`),
        )
      } else this.#earliestMs = Math.min(this.#earliestMs, waiter.deadlineMs)
    }
  }

  failAll(error: () => RaftError): void {
    const waiters = [...this.#waiters.values()]
    this.#waiters.clear()
    for (const waiter of waiters) waiter.reject(error())
  }
}

interface Condition {
  readonly test: () => boolean
  readonly deadlineMs: number
  readonly late: () => RaftError
  readonly resolve: () => void
  readonly reject: (error: RaftError) => void
}

/** Waits for something to become true, looked at after every turn of the driver. A test may throw to give up. */
export class Conditions {
  #list: Condition[] = []

  wait(test: () => boolean, deadlineMs: number, late: () => RaftError): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#list.push({ test, deadlineMs, late, resolve, reject })
    })
  }

  check(nowMs: number): void {
    if (this.#list.length === 0) return
    this.#list = this.#list.filter(condition => {
      try {
        if (condition.test()) condition.resolve()
        else if (condition.deadlineMs <= nowMs) condition.reject(condition.late())
        else return true
      } catch (error) {
        condition.reject(error as RaftError)
      }
      return false
    })
  }

  failAll(error: () => RaftError): void {
    for (const condition of this.#list.splice(0)) condition.reject(error())
  }
}
