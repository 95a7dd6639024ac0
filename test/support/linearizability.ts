// Whether what clients saw of a register can be explained by a register that does one thing at a time, each between its
// call and its answer. After Wing and Gong, "Testing and verifying concurrent objects" (1993), with the memo of Lowe,
// "Testing for linearizability" (2017): a set of operations done and a value is never tried twice.

export type Value = string | number | undefined

/**
 * What one client did and was told. Times are of one clock, in milliseconds. A write that was surely refused does not
 * belong into a history; one whose fate is unknown does.
 */
export interface Operation {
  readonly client: string | number
  readonly kind: 'read' | 'write'
  /** Written, or what the read saw; undefined is a register never written. Values written should be unique. */
  readonly value: Value
  readonly invokedMs: number
  /** Undefined: no answer ever came. A write may then take effect at any time after its call, or never. */
  readonly returnedMs: number | undefined
}

export interface KeyedOperation extends Operation {
  readonly key: string | number
}

export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string }
  /** Too many orders to try within `maxSteps`. */
  | { readonly undecided: true }

export interface CheckOptions {
  /** What the register holds before the first write. Default undefined. */
  readonly initial?: Value
  /** Operations tried before the search is given up. Default 2,000,000: a few seconds. */
  readonly maxSteps?: number
}

/** Every key is a register of its own, so each is judged alone: linearizability is local (Herlihy and Wing 1990, theorem 1). */
export function checkRegisters(
  history: readonly KeyedOperation[],
  options: CheckOptions = {},
): Verdict {
  const byKey = new Map<string | number, KeyedOperation[]>()
  for (const operation of history) {
    const of = byKey.get(operation.key)
    if (of === undefined) byKey.set(operation.key, [operation])
    else of.push(operation)
  }
  let undecided = false
  for (const [key, operations] of byKey) {
    const verdict = checkRegister(operations, options)
    if ('undecided' in verdict) undecided = true
    else if (!verdict.ok) return { ok: false, reason: `key ${key}: ${verdict.reason}` }
  }
  return undecided ? { undecided: true } : { ok: true }
}

/**
 * Judges the history of one register. What ends at the very millisecond at which another begins counts as concurrent
 * with it, so a coarse clock never accuses anybody.
 */
export function checkRegister(
  history: readonly Operation[],
  { initial, maxSteps = 2_000_000 }: CheckOptions = {},
): Verdict {
  const seen = new Set<Value>([initial])
  for (const { kind, value } of history) if (kind === 'write') seen.add(value)
  const invented = history.find(o => answered(o) && o.kind === 'read' && !seen.has(o.value))
  if (invented !== undefined)
    return { ok: false, reason: `${describe(invented)}, which nobody wrote` }
  return new Search(relevant(history), initial, maxSteps).run()
}

/** Reads without an answer say nothing, and writes without one that nobody saw may as well never have happened. */
function relevant(history: readonly Operation[]): Operation[] {
  const read = new Set<Value>()
  for (const o of history) if (o.kind === 'read' && answered(o)) read.add(o.value)
  return history
    .filter(o => answered(o) || (o.kind === 'write' && read.has(o.value)))
    .toSorted((a, b) => a.invokedMs - b.invokedMs || end(a) - end(b))
}

/** One operation's call or answer, in a list from which operations that are placed are taken out. */
interface Mark {
  readonly operation: number
  readonly isCall: boolean
  previous: Mark | undefined
  next: Mark | undefined
}

/** Depth first over all orders that time allows. */
class Search {
  readonly #operations: readonly Operation[]
  readonly #calls: Mark[] = []
  readonly #answers: Mark[] = []
  readonly #head: Mark = { operation: -1, isCall: true, previous: undefined, next: undefined }
  readonly #placed: boolean[]
  readonly #tried = new Set<string>()
  readonly #order: { operation: number; before: Value }[] = []
  readonly #maxSteps: number
  #value: Value
  /** Operations up to here are all placed. */
  #base = 0
  #highest = -1
  #open: number
  #furthest: { placed: number; value: Value; stuck: Operation | undefined }

  constructor(operations: readonly Operation[], initial: Value, maxSteps: number) {
    this.#operations = operations
    this.#value = initial
    this.#maxSteps = maxSteps
    this.#placed = operations.map(() => false)
    this.#open = operations.filter(answered).length
    this.#furthest = { placed: -1, value: initial, stuck: undefined }
    this.#link()
  }

  run(): Verdict {
    let at = this.#head.next
    for (let steps = 0; this.#open > 0; steps++) {
      if (steps > this.#maxSteps) return { undecided: true }
      if (at?.isCall === true) {
        at = this.#place(at.operation) ? this.#head.next : at.next
        continue
      }
      // An answer: what it belongs to must be placed before anything that begins later. Take back the last choice.
      this.#noteStuck(at)
      const last = this.#order.pop()
      if (last === undefined) return { ok: false, reason: this.#reason() }
      this.#takeBack(last)
      at = this.#calls[last.operation]?.next
    }
    return { ok: true }
  }

  #link(): void {
    const times: { mark: Mark; atMs: number }[] = []
    for (const [operation, o] of this.#operations.entries()) {
      const mark = (isCall: boolean): Mark => ({
        operation,
        isCall,
        previous: undefined,
        next: undefined,
      })
      const [call, answer] = [mark(true), mark(false)]
      this.#calls.push(call)
      this.#answers.push(answer)
      times.push({ mark: call, atMs: o.invokedMs }, { mark: answer, atMs: end(o) })
    }
    const rank = (mark: Mark): number => (mark.isCall ? 0 : 1)
    times.sort((a, b) => (a.atMs === b.atMs ? rank(a.mark) - rank(b.mark) : a.atMs - b.atMs))
    let previous = this.#head
    for (const { mark } of times) {
      previous.next = mark
      mark.previous = previous
      previous = mark
    }
  }

  /** @returns false when the register's value forbids it here, or this has been tried */
  #place(operation: number): boolean {
    const o = this.#operations[operation] as Operation
    if (o.kind === 'read' && o.value !== this.#value) return false
    const before = this.#value
    const [base, highest] = [this.#base, this.#highest]
    this.#placed[operation] = true
    this.#value = o.kind === 'write' ? o.value : before
    this.#highest = Math.max(highest, operation)
    while (this.#placed[this.#base] === true) this.#base++
    const key = this.#key()
    if (this.#tried.has(key)) {
      this.#placed[operation] = false
      this.#value = before
      this.#base = base
      this.#highest = highest
      return false
    }
    this.#tried.add(key)
    this.#order.push({ operation, before })
    if (answered(o)) this.#open--
    unlink(this.#calls[operation] as Mark)
    unlink(this.#answers[operation] as Mark)
    return true
  }

  #takeBack({ operation, before }: { operation: number; before: Value }): void {
    this.#placed[operation] = false
    this.#value = before
    this.#base = Math.min(this.#base, operation)
    while (this.#highest >= 0 && this.#placed[this.#highest] !== true) this.#highest--
    if (answered(this.#operations[operation] as Operation)) this.#open++
    relink(this.#answers[operation] as Mark)
    relink(this.#calls[operation] as Mark)
  }

  /** The operations placed, as those beyond a full beginning, and the value. */
  #key(): string {
    let key = `${typeof this.#value} ${this.#value} ${this.#base}`
    for (let i = this.#base + 1; i <= this.#highest; i++)
      if (this.#placed[i] === true) key += ` ${i}`
    return key
  }

  #noteStuck(answer: Mark | undefined): void {
    if (this.#order.length <= this.#furthest.placed) return
    const stuck = answer === undefined ? undefined : this.#operations[answer.operation]
    this.#furthest = { placed: this.#order.length, value: this.#value, stuck }
  }

  #reason(): string {
    const { placed, value, stuck } = this.#furthest
    const what = stuck === undefined ? 'the rest' : describe(stuck)
    return `${placed} of ${this.#operations.length} operations can be put in an order that ends with ${JSON.stringify(value)}; then nothing explains that ${what}`
  }
}

function unlink(mark: Mark): void {
  if (mark.previous !== undefined) mark.previous.next = mark.next
  if (mark.next !== undefined) mark.next.previous = mark.previous
}

function relink(mark: Mark): void {
  if (mark.previous !== undefined) mark.previous.next = mark
  if (mark.next !== undefined) mark.next.previous = mark
}

function answered(o: Operation): boolean {
  return o.returnedMs !== undefined
}

function end(o: Operation): number {
  return o.returnedMs ?? Number.POSITIVE_INFINITY
}

function describe(o: Operation): string {
  const did = o.kind === 'read' ? 'read' : 'wrote'
  const until = o.returnedMs === undefined ? 'never answered' : `answered at ${o.returnedMs} ms`
  return `client ${o.client} ${did} ${JSON.stringify(o.value)}, asked at ${o.invokedMs} ms and ${until}`
}
