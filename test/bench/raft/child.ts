// Processes of a benchmark: forked, asked by messages, one question at a time.
import { build } from 'esbuild'
import { type ChildProcess, fork } from 'node:child_process'
import { basename, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')

export class Child {
  readonly #process: ChildProcess
  readonly #gone: Promise<never>

  private constructor(path: string) {
    this.#process = fork(path, { execArgv: process.execArgv.filter(isForAll) })
    this.#gone = new Promise((_, reject) => {
      this.#process.once('exit', code => reject(new Error(`${path} ended with ${code}`)))
    })
    this.#gone.catch(() => undefined)
  }

  /**
   * Starts a process of this directory, as the product is run: as plain JavaScript. What tsx makes of a source calls a
   * helper at each closure, which would be measured too.
   */
  static async start(name: string): Promise<Child> {
    const outfile = join(ROOT, 'dist', 'bench', `${basename(name, '.ts')}.mjs`)
    await build({
      entryPoints: [join(import.meta.dirname, name)],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      packages: 'external',
      alias: { 'raft-ts': join(ROOT, 'packages/raft-ts/src/index.ts') },
      sourcemap: 'linked',
    })
    return new Child(outfile)
  }

  /** Asks and waits for the answer. @throws when the process ends instead, or answers with an error */
  async ask<T>(question: object): Promise<T> {
    const answer = new Promise<{ error?: string; value: T }>(resolve => {
      this.#process.once('message', message => resolve(message as { value: T }))
    })
    this.#process.send(question)
    const { error, value } = await Promise.race([answer, this.#gone])
    if (error !== undefined) throw new Error(error)
    return value
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#gone.catch(() => undefined)
  }
}

/** Of this process's own options, those that are not about running TypeScript; a profiler's for one. */
function isForAll(option: string): boolean {
  return /^--(cpu-prof|heap-prof|max-|v8-pool)/.test(option)
}

/** The other end: answers each question by `answer`. */
export function serveParent<Q>(answer: (question: Q) => Promise<unknown>): void {
  process.on('message', question => {
    answer(question as Q).then(
      value => process.send?.({ value }),
      (error: Error) => process.send?.({ error: error.stack ?? error.message }),
    )
  })
  process.on('disconnect', () => process.exit(0))
}
