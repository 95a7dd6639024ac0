import { spawn } from 'node:child_process'
import { StatusError } from '../../runtime/errors.ts'

const MAX_OUTPUT_BYTES = 64 * 2 ** 20

export interface CommandResult {
  /** Exit code; 128 + n when a signal ended it is never given: that is an error. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the host's network tools. The one way in which the agent changes the kernel. */
export interface Commands {
  /**
   * Runs `argv` without a shell, gives it `input`, and kills it after `timeoutMs`.
   * @throws StatusError NotFound when there is no such program, DeadlineExceeded, ResourceExhausted on endless output
   */
  run(argv: readonly string[], input: string | undefined, timeoutMs: number): Promise<CommandResult>
}

/** The host's own programs, found on PATH; messages in English whatever the host's language. */
export const hostCommands: Commands = {
  run: (argv, input, timeoutMs) =>
    new Promise((resolve, reject) => {
      const [program = '', ...args] = argv
      const child = spawn(program, args, {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
      })
      const stdout: Buffer[] = []
      const stderr: Buffer[] = []
      let bytes = 0
      const collect =
        (into: Buffer[]) =>
        (chunk: Buffer): void => {
          bytes += chunk.length
          if (bytes <= MAX_OUTPUT_BYTES) into.push(chunk)
          else child.kill('SIGKILL')
        }
      child.stdout.on('data', collect(stdout))
      child.stderr.on('data', collect(stderr))
      // A program that ends without reading its input is judged by its exit code.
      child.stdin.on('error', () => undefined)
      child.on('error', (error: NodeJS.ErrnoException) => {
        const code = error.code === 'ENOENT' ? 'NotFound' : 'Internal'
        const remedy =
          error.code === 'ENOENT' ? `${program} is not installed on this host` : error.message
        reject(new StatusError(code, remedy, { cause: error }))
      })
      child.on('close', (code, signal) => {
        if (bytes > MAX_OUTPUT_BYTES)
          reject(
            new StatusError(
              'ResourceExhausted',
              `${program} printed more than ${MAX_OUTPUT_BYTES} bytes`,
            ),
          )
        else if (code === null)
          reject(
            new StatusError(
              'DeadlineExceeded',
              `${program} was ended by ${signal} (limit ${timeoutMs} ms)`,
            ),
          )
        else resolve({ code, stdout: text(stdout), stderr: text(stderr) })
      })
      child.stdin.end(input ?? '')
    }),
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8')
}
