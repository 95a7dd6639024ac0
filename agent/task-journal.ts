import type { Task } from '../proto/index.ts'
import { messageOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Storage } from './storage.ts'

/** Writes tasks to disk behind the loops that change them: one write a task at a time, always of its newest state. */
export class TaskJournal {
  readonly #storage: Storage
  readonly #log: Log
  readonly #wanted = new Map<string, Task | 'removed'>()
  readonly #writing = new Map<string, Promise<void>>()

  constructor(storage: Storage, log: Log) {
    this.#storage = storage
    this.#log = log
  }

  /**
   * Resolves when the task, or something newer of it, is on disk. A disk that refuses is logged: an unwritten task is
   * adopted by its container's labels once a manager has named it.
   */
  save(task: Task): Promise<void> {
    return this.#want(task.id, task)
  }

  remove(taskId: string): Promise<void> {
    return this.#want(taskId, 'removed')
  }

  /** Resolves when nothing waits to be written. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing.values())
  }

  #want(id: string, wanted: Task | 'removed'): Promise<void> {
    this.#wanted.set(id, wanted)
    const running = this.#writing.get(id)
    if (running) return running
    const writing = this.#write(id)
    this.#writing.set(id, writing)
    return writing
  }

  async #write(id: string): Promise<void> {
    for (;;) {
      const wanted = this.#wanted.get(id)
      if (wanted === undefined) {
        this.#writing.delete(id)
        return
      }
      this.#wanted.delete(id)
      try {
        if (wanted === 'removed') await this.#storage.removeTask(id)
        else await this.#storage.saveTask(wanted)
      } catch (error) {
        this.#log.error('task cannot be written to disk', { task_id: id, error: messageOf(error) })
      }
    }
  }
}
