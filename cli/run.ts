import { CommanderError } from 'commander'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import type { Api } from './connection.ts'
import type { Context, Sink } from './context.ts'
import { Exit, Failure, failureText, toFailure, usage } from './failure.ts'
import { type Globals, readGlobals } from './globals.ts'
import { paint, wantsColor } from './output/color.ts'
import { programFor, refuseUnknown } from './program.ts'

/** What the process hands in. */
export interface Outside {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  readonly interrupt: AbortSignal
  readonly version: string
  readFile(path: string): Promise<Uint8Array>
  readonly readFileSync: (path: string) => Uint8Array
  writePrivateFile(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void>
  ask(question: string): Promise<string | undefined>
  connect(host: string): Promise<Api>
}

/** Runs one command line. @returns the exit code; never rejects */
export async function run(argv: readonly string[], outside: Outside): Promise<number> {
  let api: Promise<Api> | undefined
  let globals: Globals | undefined
  try {
    globals = readGlobals(argv, outside.env)
    const { host, rest } = globals
    const context: Context = {
      ...outside,
      progress: globals.progress,
      paint: paint(wantsColor(globals.color, outside.env, outside.stderr.isTty)),
      connect: () => (api ??= outside.connect(host)),
    }
    refuseUnknown(rest)
    const { program, words } = await programFor(context, rest)
    await program.parseAsync([...words], { from: 'user' })
    return Exit.DONE
  } catch (thrown) {
    const failure = failureOf(thrown)
    if (failure === undefined) return Exit.DONE
    // Who pressed Ctrl-C knows: only what goes on in the background is worth a word.
    const isBare = failure.exit === Exit.INTERRUPTED && failure.next.length === 0
    if (!isBare) outside.stderr.write(failureText(failure))
    if (globals?.debug === true) outside.stderr.write(`${traceOf(thrown)}\n`)
    return outside.interrupt.aborted ? Exit.INTERRUPTED : failure.exit
  } finally {
    await api?.then(open => open.close()).catch(() => undefined)
  }
}

/** commander throws for --help and --version too: those are no failures. */
function failureOf(thrown: unknown): Failure | undefined {
  if (!(thrown instanceof CommanderError)) return toFailure(thrown)
  if (thrown.exitCode === 0) return undefined
  const [first = '', ...more] = thrown.message.replace(/^error: /, '').split('\n')
  return usage(first, ...more.map(line => line.replace(/^\((.*)\)$/, '$1')))
}

function traceOf(thrown: unknown): string {
  const lines: string[] = []
  for (let error = thrown; error instanceof Error; error = error.cause) {
    lines.push(error.stack ?? error.message)
  }
  return lines.join('\ncaused by ')
}
