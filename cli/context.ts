import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import type { Api } from './connection.ts'
import type { Paint } from './output/color.ts'

/** Where a command writes: a stream, as far as a command needs it. */
export interface Sink {
  write(text: string): void
  readonly isTty: boolean
  /** Width in characters; 80 when it is no terminal. */
  readonly columns: number
}

export type ProgressMode = 'auto' | 'tty' | 'plain' | 'quiet'

/** Everything a command takes from outside, so that it runs in a test as it does in a terminal. */
export interface Context {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  /** Aborted by Ctrl-C. */
  readonly interrupt: AbortSignal
  readonly progress: ProgressMode
  readonly paint: Paint
  readonly version: string
  /** Reads a file whole; `-` is standard input. Rejects with a Failure that names the file. */
  readFile(path: string): Promise<Uint8Array>
  /** Reads a file whole, for readers that cannot wait. Throws a Failure that names the file. */
  readonly readFileSync: (path: string) => Uint8Array
  /**
   * Writes a file that its owner alone may read: a temporary one, synced, renamed. Rejects with a Failure that names the
   * file, or as `chunks` does; what was there before stays then.
   */
  writePrivateFile(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void>
  /** Asks on the terminal and reads a line; undefined when there is none. */
  ask(question: string): Promise<string | undefined>
  /** The daemon's API. Connects on the first call. Rejects with a Failure when no daemon answers. */
  connect(): Promise<Api>
}

/** What a command module exports: its commander command, bound to the context. */
export type CommandFactory = (context: Context) => import('commander').Command
