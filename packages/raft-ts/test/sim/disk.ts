// A member's disk and what befalls it: slowness, stalls, no space left, a failing sync, and death in the middle of any call.
import { MemoryFs } from '../../src/index.ts'

/** How a member dies: the process alone, or the machine, with all, some or nothing left of what was not synced. */
export type Death = 'kill' | 'all' | 'some' | 'nothing'

export interface DiskDeps {
  readonly random: () => number
  /** The longest a write or a sync takes at present. */
  maxMs(): number
  after(delayMs: number, fn: () => void): void
  nowMs(): number
  /** The call that was counted down to is about to be made: the member dies before it takes effect. */
  onFatalCall(death: Death): void
  onRename(path: string): void
}

export class Disk {
  readonly fs: MemoryFs
  readonly #deps: DiskDeps
  #deadline: { calls: number; death: Death } | undefined
  #stalledUntilMs = 0
  /** No space left: nothing grows. */
  full = false
  /** The next sync fails, once. */
  failing = false

  constructor(deps: DiskDeps) {
    this.#deps = deps
    this.fs = new MemoryFs({ before: (operation, path) => this.#before(operation, path) })
  }

  /** The member dies at its `calls`-th call from now, in place of it. */
  dieAt(calls: number, death: Death): void {
    this.#deadline = { calls, death }
  }

  stall(durationMs: number): void {
    this.#stalledUntilMs = this.#deps.nowMs() + durationMs
  }

  heal(): void {
    this.full = false
    this.failing = false
    this.#stalledUntilMs = 0
    this.#deadline = undefined
  }

  die(death: Death): void {
    this.#deadline = undefined
    this.failing = false
    if (death === 'kill') this.fs.kill()
    else if (death === 'all') this.fs.crash(() => 1 - Number.EPSILON)
    else if (death === 'nothing') this.fs.crash()
    else this.fs.crash(this.#deps.random)
  }

  #before(operation: string, path: string): Promise<void> | void {
    if (operation === 'rename') this.#deps.onRename(path)
    if (this.#deadline !== undefined && --this.#deadline.calls < 0) {
      this.#deps.onFatalCall(this.#deadline.death)
      return
    }
    if (operation !== 'write' && operation !== 'sync') return
    return this.#write(operation, path)
  }

  async #write(operation: 'write' | 'sync', path: string): Promise<void> {
    const stallMs = Math.max(0, this.#stalledUntilMs - this.#deps.nowMs())
    const delayMs = this.#deps.random() * this.#deps.maxMs() + stallMs
    await new Promise<void>(resolve => this.#deps.after(delayMs, resolve))
    if (operation === 'write' && this.full)
      throw new Error(`ENOSPC: no space left on device, write '${path}'`)
    if (operation === 'sync' && this.failing) {
      this.failing = false
      throw new Error(`EIO: i/o error, fsync '${path}'`)
    }
  }
}

/** In the reason of a member that stops because its disk fails it. */
export const DISK_FAULT = /ENOSPC|EIO/
