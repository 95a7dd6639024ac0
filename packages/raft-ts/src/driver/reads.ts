import { RaftError } from '../errors.ts'

interface Reader {
  readonly deadlineMs: number
  readonly resolve: (index: number) => void
  readonly reject: (error: RaftError) => void
}

/**
 * Linearizable reads of this node. At most one question is out; readers that come meanwhile share the next, since an
 * answer only covers reads that began before the question.
 */
export class Reads {
  readonly #ask: (context: number) => boolean
  readonly #retryMs: number
  #context: number
  #queued: Reader[] = []
  #asked: { context: number; readers: Reader[]; atMs: number } | undefined
  /** Confirmed, waiting for the state machine; ordered by index within a leader's term, but not relied upon. */
  #confirmed: { index: number; readers: Reader[] }[] = []

  /** @param firstContext random, so that an answer to a question from before a restart cannot be mistaken for a new one */
  constructor(firstContext: number, retryMs: number, ask: (context: number) => boolean) {
    this.#context = firstContext
    this.#retryMs = retryMs
    this.#ask = ask
  }

  get size(): number {
    let size = this.#queued.length + (this.#asked?.readers.length ?? 0)
    for (const { readers } of this.#confirmed) size += readers.length
    return size
  }

  wait(deadlineMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#queued.push({ deadlineMs, resolve, reject })
    })
  }

  /** Asks when there is something to ask and nothing is out; asks again when an answer is overdue. */
  poll(nowMs: number): void {
    if (this.#asked !== undefined) {
      if (nowMs - this.#asked.atMs < this.#retryMs) return
      this.#queued.unshift(...this.#asked.readers)
      this.#asked = undefined
    }
    if (this.#queued.length === 0) return
    const context = ++this.#context
    if (!this.#ask(context)) return
    this.#asked = { context, readers: this.#queued, atMs: nowMs }
    this.#queued = []
  }

  answered(context: number, index: number): void {
    if (this.#asked?.context !== context) return
    this.#confirmed.push({ index, readers: this.#asked.readers })
    this.#asked = undefined
  }

  applied(index: number): void {
    if (this.#confirmed.length === 0) return
    this.#confirmed = this.#confirmed.filter(read => {
      if (read.index > index) return true
      for (const reader of read.readers) reader.resolve(read.index)
      return false
    })
  }

  expire(nowMs: number): void {
    const alive = (reader: Reader): boolean => {
      if (reader.deadlineMs > nowMs) return true
      reader.reject(new RaftError('Timeout', 'no leader confirmed the read in time'))
      return false
    }
    this.#queued = this.#queued.filter(alive)
    if (this.#asked !== undefined) this.#asked.readers = this.#asked.readers.filter(alive)
    for (const read of this.#confirmed) read.readers = read.readers.filter(alive)
  }

  failAll(error: () => RaftError): void {
    const groups = [
      this.#queued,
      this.#asked?.readers ?? [],
      ...this.#confirmed.map(c => c.readers),
    ]
    this.#queued = []
    this.#asked = undefined
    this.#confirmed = []
    for (const reader of groups.flat()) reader.reject(error())
  }
}
