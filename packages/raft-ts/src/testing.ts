// For simulations, of this package and of what is built on it: a disk that forgets what was not synced, and a clock that
// moves when told to.
import type { RaftFile, RaftFs } from './fs.ts'
import type { RaftClock } from './options.ts'

class Inode {
  data: Uint8Array = new Uint8Array(0)
  size = 0
  durableSize = 0

  append(bytes: Uint8Array): void {
    if (this.size + bytes.length > this.data.length) {
      const bigger = new Uint8Array(Math.max(this.size + bytes.length, this.data.length * 2, 256))
      bigger.set(this.data.subarray(0, this.size))
      this.data = bigger
    }
    this.data.set(bytes, this.size)
    this.size += bytes.length
  }

  contents(): Uint8Array {
    return this.data.slice(0, this.size)
  }
}

export interface MemoryFsOptions {
  /** Awaited before each operation takes effect: latency, or a rejection to inject a fault. */
  readonly before?: (operation: keyof RaftFs | keyof RaftFile, path: string) => Promise<void> | void
}

/**
 * A disk in memory. `crash` keeps of every file what was synced and a random part of what was written after; of names,
 * what `syncDir` made durable and a random prefix of the changes after.
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
    for (const inode of new Set(this.#names.values())) {
      inode.size = inode.durableSize + Math.floor(random() * (inode.size - inode.durableSize + 1))
      inode.durableSize = inode.size
    }
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
      truncate: alive((path, size) => this.truncate(path, size)),
    }
  }

  /** What is in a file now, synced or not; undefined when there is none. */
  peek(path: string): Uint8Array | undefined {
    return this.#names.get(path)?.contents()
  }

  /** Replaces a file's contents, durably: to plant damage. */
  plant(path: string, data: Uint8Array): void {
    const inode = new Inode()
    inode.append(data)
    inode.durableSize = inode.size
    this.#names.set(path, inode)
    this.#durableNames.set(path, inode)
    this.#addDirs(path)
  }

  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  async mkdir(path: string): Promise<void> {
    await this.#step('mkdir', path)
    this.#addDirs(`${path}/x`)
  }

  async readdir(path: string): Promise<string[]> {
    await this.#step('readdir', path)
    if (!this.#dirs.has(path)) throw new Error(`ENOENT: ${path}`)
    const prefix = `${path}/`
    return this.paths()
      .filter(p => p.startsWith(prefix))
      .map(p => p.slice(prefix.length))
      .filter(name => !name.includes('/'))
  }

  async readFile(path: string): Promise<Uint8Array> {
    await this.#step('readFile', path)
    return this.#inode(path).contents()
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step('rename', from)
    const inode = this.#inode(from)
    this.#change(to, names => {
      names.delete(from)
      names.set(to, inode)
    })
  }

  async remove(path: string): Promise<void> {
    await this.#step('remove', path)
    this.#change(path, names => names.delete(path))
  }

  async syncDir(path: string): Promise<void> {
    await this.#step('syncDir', path)
    // A journalling file system commits in order, so an older change elsewhere goes with it.
    const last = this.#journal.findLastIndex(j => j.dir === path)
    for (const { change } of this.#journal.splice(0, last + 1)) change(this.#durableNames)
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.#step('truncate', path)
    const inode = this.#inode(path)
    inode.size = Math.min(inode.size, size)
    inode.durableSize = Math.min(inode.durableSize, size)
  }

  async open(path: string, mode: 'append' | 'create'): Promise<RaftFile> {
    await this.#step('open', path)
    let inode = this.#names.get(path)
    if (inode === undefined || mode === 'create') {
      const created = new Inode()
      this.#change(path, names => names.set(path, created))
      inode = created
    }
    const file = inode
    const life = this.#life
    return {
      write: async data => {
        const copy = data.slice()
        await this.#step('write', path, life)
        file.append(copy)
      },
      sync: async () => {
        const { size } = file
        await this.#step('sync', path, life)
        file.durableSize = Math.max(file.durableSize, Math.min(size, file.size))
      },
      close: () => this.#step('close', path, life),
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

  /** An operation begun before a crash never ends. */
  async #step(
    operation: keyof RaftFs | keyof RaftFile,
    path: string,
    life = this.#life,
  ): Promise<void> {
    await this.#options.before?.(operation, path)
    if (life !== this.#life) await new Promise<never>(nothing)
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
