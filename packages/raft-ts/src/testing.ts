// For simulations, of this package and of what is built on it: a disk that forgets what was not synced, and a clock that
// moves when told to.
import type { RaftFile, RaftFs } from './fs.ts'
import type { RaftClock } from './options.ts'

/** A disk writes whole sectors; in a write that the power fails in, any of them may be missing. */
const SECTOR_BYTES = 512

interface Unsynced {
  readonly position: number
  readonly length: number
  /** What was there, as far as there was anything, and the size of the file. */
  readonly before: Uint8Array
  readonly sizeBefore: number
}

/** What was never written, or with zeros, is not stored: pre-allocated files cost nothing until they are read. */
class Inode {
  #data: Uint8Array = new Uint8Array(0)
  #size = 0
  #unsynced: Unsynced[] = []

  /** Writes `bytes`, or as many zeros as a number says. */
  write(bytes: Uint8Array | number, position: number): void {
    const length = typeof bytes === 'number' ? bytes : bytes.length
    const before = this.#data.slice(position, position + length)
    this.#unsynced.push({ position, length, before, sizeBefore: this.#size })
    this.#size = Math.max(this.#size, position + length)
    if (typeof bytes === 'number') this.#data.fill(0, position, position + length)
    else this.#put(bytes, position)
  }

  /** How many writes there were up to now, for `sync`. */
  get mark(): readonly Unsynced[] {
    return this.#unsynced.slice()
  }

  sync(mark: readonly Unsynced[]): void {
    const synced = new Set(mark)
    this.#unsynced = this.#unsynced.filter(write => !synced.has(write))
  }

  /** Undoes what was not synced, but for some first writes and some part of the next. */
  crash(random: () => number): void {
    if (this.#unsynced.length === 0) return
    const all = this.contents()
    const writes = this.#unsynced
    this.#unsynced = []
    const whole = Math.floor(random() * (writes.length + 1))
    for (const write of writes.slice(whole).toReversed()) {
      const { position, before, length, sizeBefore } = write
      this.#data.fill(0, position + before.length, position + length)
      this.#data.set(before, position)
      this.#size = sizeBefore
    }
    const torn = writes[whole]
    if (torn !== undefined) this.#tear(torn, all, random)
  }

  contents(): Uint8Array {
    const all = new Uint8Array(this.#size)
    all.set(this.#data.subarray(0, this.#size))
    return all
  }

  /** What is left when nothing survives that was not synced. */
  durable(): Uint8Array {
    const all = this.contents()
    let size = this.#size
    for (const { position, before, length, sizeBefore } of this.#unsynced.toReversed()) {
      all.fill(0, position + before.length, position + length)
      all.set(before, position)
      size = sizeBefore
    }
    return all.slice(0, size)
  }

  /** Of the write as it was in `all`: its beginning, or its end, or any of its sectors. */
  #tear({ position, length }: Unsynced, all: Uint8Array, random: () => number): void {
    const kept = Math.floor(random() * (length + 1))
    const end = position + length
    const keep = (from: number, to: number): void => {
      if (to <= from) return
      this.#size = Math.max(this.#size, to)
      this.#put(all.subarray(from, to), from)
    }
    const way = random()
    if (way < 0.6 || kept === 0) return keep(position, position + kept)
    if (way < 0.8) return keep(ceilTo(end - kept, SECTOR_BYTES), end)
    for (let at = position; at < end; at = ceilTo(at + 1, SECTOR_BYTES))
      if (random() < kept / length) keep(at, Math.min(end, ceilTo(at + 1, SECTOR_BYTES)))
  }

  #put(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    if (end > this.#data.length) {
      const bigger = new Uint8Array(Math.max(end, this.#data.length * 2, 256))
      bigger.set(this.#data)
      this.#data = bigger
    }
    this.#data.set(bytes, position)
  }
}

function ceilTo(value: number, step: number): number {
  return Math.ceil(value / step) * step
}

export interface MemoryFsOptions {
  /** Awaited before each operation takes effect: latency, or a rejection to inject a fault. */
  readonly before?: (operation: keyof RaftFs | keyof RaftFile, path: string) => Promise<void> | void
  /** What `freeBytes` says. Default: more than anybody needs. */
  readonly freeBytes?: () => number
}

/**
 * A disk in memory. `crash` keeps of every file what was synced, some of the writes after, and of the next one its
 * beginning, its end or some of its sectors; of names, what `syncDir` made durable and a random prefix of the changes after.
 */
export class MemoryFs implements RaftFs {
  readonly #options: MemoryFsOptions
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  #journal: { dir: string; change: (names: Map<string, Inode>) => void }[] = []
  #dirs = new Set<string>()
  #life = 0

  constructor(options: MemoryFsOptions = {}) {
    this.#options = options
  }

  /**
   * Power fails. Files opened before are dead: their calls never settle, as nobody is left to see them.
   *
   * @param random decides how much of what was not synced survives; without it nothing does
   */
  crash(random: () => number = () => 0): void {
    this.#life++
    const kept = this.#journal.slice(0, Math.floor(random() * (this.#journal.length + 1)))
    for (const { change } of kept) change(this.#durableNames)
    this.#journal = []
    this.#names = new Map(this.#durableNames)
    for (const inode of new Set(this.#names.values())) inode.crash(random)
  }

  /** The process dies and the machine goes on: nothing is lost, but what was not synced still may be. */
  kill(): void {
    this.#life++
  }

  /** A disk of its own with what would be left here if power failed now and nothing but what was synced survived. */
  durable(): MemoryFs {
    const copy = new MemoryFs()
    for (const [path, inode] of this.#durableNames) copy.plant(path, inode.durable())
    for (const dir of this.#dirs) copy.#dirs.add(dir)
    return copy
  }

  /**
   * The disk as seen by one life of a process: after the next crash its calls never settle. Give each start of a node
   * its own, or what a killed one had begun goes on beside its successor.
   */
  mount(): RaftFs {
    const life = this.#life
    const alive =
      <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
      (...args: A): Promise<R> =>
        life === this.#life ? call(...args) : new Promise<never>(nothing)
    return {
      mkdir: alive(path => this.mkdir(path)),
      readdir: alive(path => this.readdir(path)),
      readFile: alive(path => this.readFile(path)),
      rename: alive((from, to) => this.rename(from, to)),
      remove: alive(path => this.remove(path)),
      syncDir: alive(path => this.syncDir(path)),
      open: alive((path, mode) => this.open(path, mode)),
      freeBytes: alive(path => this.freeBytes(path)),
    }
  }

  /** What is in a file now, synced or not; undefined when there is none. */
  peek(path: string): Uint8Array | undefined {
    return this.#names.get(path)?.contents()
  }

  /** Replaces a file's contents, durably: to plant damage. */
  plant(path: string, data: Uint8Array): void {
    const inode = new Inode()
    inode.write(data, 0)
    inode.sync(inode.mark)
    this.#names.set(path, inode)
    this.#durableNames.set(path, inode)
    this.#addDirs(path)
  }

  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  mkdir(path: string): Promise<void> {
    return this.#step('mkdir', path, () => this.#addDirs(`${path}/x`))
  }

  readdir(path: string): Promise<string[]> {
    return this.#step('readdir', path, () => {
      if (!this.#dirs.has(path)) throw new Error(`ENOENT: ${path}`)
      const prefix = `${path}/`
      return this.paths()
        .filter(p => p.startsWith(prefix))
        .map(p => p.slice(prefix.length))
        .filter(name => !name.includes('/'))
    })
  }

  readFile(path: string): Promise<Uint8Array> {
    return this.#step('readFile', path, () => this.#inode(path).contents())
  }

  rename(from: string, to: string): Promise<void> {
    return this.#step('rename', from, () => {
      const inode = this.#inode(from)
      this.#change(to, names => {
        names.delete(from)
        names.set(to, inode)
      })
    })
  }

  remove(path: string): Promise<void> {
    return this.#step('remove', path, () => this.#change(path, names => names.delete(path)))
  }

  syncDir(path: string): Promise<void> {
    return this.#step('syncDir', path, () => {
      // A journalling file system commits in order, so an older change elsewhere goes with it.
      const last = this.#journal.findLastIndex(j => j.dir === path)
      for (const { change } of this.#journal.splice(0, last + 1)) change(this.#durableNames)
    })
  }

  freeBytes(path: string): Promise<number> {
    return this.#step(
      'freeBytes',
      path,
      () => this.#options.freeBytes?.() ?? Number.MAX_SAFE_INTEGER,
    )
  }

  open(path: string, mode: 'create' | 'update'): Promise<RaftFile> {
    return this.#step('open', path, () => {
      const created = new Inode()
      if (mode === 'create') this.#change(path, names => names.set(path, created))
      return this.#handle(path, this.#inode(path))
    })
  }

  #handle(path: string, file: Inode): RaftFile {
    const life = this.#life
    return {
      write: (data, position) => {
        const copy = data.slice()
        return this.#step('write', path, () => file.write(copy, position), life)
      },
      zero: (from, to) => this.#step('zero', path, () => file.write(to - from, from), life),
      sync: () => {
        const { mark } = file
        return this.#step('sync', path, () => file.sync(mark), life)
      },
      close: () => this.#step('close', path, nothing, life),
    }
  }

  #change(path: string, change: (names: Map<string, Inode>) => void): void {
    change(this.#names)
    this.#journal.push({ dir: path.slice(0, path.lastIndexOf('/')), change })
    this.#addDirs(path)
  }

  #addDirs(path: string): void {
    const parts = path.split('/')
    for (let i = 1; i < parts.length; i++) this.#dirs.add(parts.slice(0, i).join('/'))
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path)
    if (inode === undefined) throw new Error(`ENOENT: ${path}`)
    return inode
  }

  /** An operation begun before a crash never ends, nor takes effect. */
  async #step<T>(
    operation: keyof RaftFs | keyof RaftFile,
    path: string,
    effect: () => T,
    life = this.#life,
  ): Promise<T> {
    await this.#options.before?.(operation, path)
    return life === this.#life ? effect() : new Promise<never>(nothing)
  }
}

interface Timer {
  readonly dueMs: number
  readonly sequence: number
  fn: () => void
}

/** A clock that moves only when told to; timers fire in the order of their due time, then of their setting. */
export class VirtualClock implements RaftClock {
  #nowMs = 0
  #sequence = 0
  #timers: Timer[] = []

  monotonic(): number {
    return this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), sequence: this.#sequence++, fn }
    this.#timers.push(timer)
    this.#rise(this.#timers.length - 1)
    return () => {
      timer.fn = nothing
    }
  }

  /** When the next timer is due, undefined when there is none. */
  nextMs(): number | undefined {
    return this.#timers[0]?.dueMs
  }

  /** Moves to the next timer and fires it. @returns false when there is none up to `untilMs` */
  fireNext(untilMs = Number.POSITIVE_INFINITY): boolean {
    const next = this.#timers[0]
    if (next === undefined || next.dueMs > untilMs) return false
    const last = this.#timers.pop() as Timer
    if (this.#timers.length > 0) {
      this.#timers[0] = last
      this.#sink()
    }
    this.#nowMs = Math.max(this.#nowMs, next.dueMs)
    next.fn()
    return true
  }

  /** Moves on by `ms`, firing what is due, and lets promises settle between timers. */
  async advance(ms: number, settle: () => Promise<void> = settled): Promise<void> {
    const untilMs = this.#nowMs + ms
    await settle()
    while (this.fireNext(untilMs)) await settle()
    this.#nowMs = untilMs
  }

  #before(a: number, b: number): boolean {
    const x = this.#timers[a]
    const y = this.#timers[b]
    if (x === undefined || y === undefined) return false
    return x.dueMs < y.dueMs || (x.dueMs === y.dueMs && x.sequence < y.sequence)
  }

  #swap(a: number, b: number): void {
    const timers = this.#timers
    const held = timers[a]
    const other = timers[b]
    if (held === undefined || other === undefined) return
    timers[a] = other
    timers[b] = held
  }

  #rise(from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(at, parent)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #sink(): void {
    let at = 0
    for (;;) {
      let least = at
      if (this.#before(2 * at + 1, least)) least = 2 * at + 1
      if (this.#before(2 * at + 2, least)) least = 2 * at + 2
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }
}

/** Long enough for every chain of promises in the driver that waits for nothing but a `MemoryFs` without latency. */
async function settled(): Promise<void> {
  for (let i = 0; i < 64; i++) await Promise.resolve()
}

function nothing(): void {}
