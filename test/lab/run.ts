import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { LabError } from './errors.ts'

export interface RunOptions {
  /** Limit on the whole run, in milliseconds. @default 60_000 */
  readonly timeoutMs?: number
  /** Written to standard input, which is empty otherwise. */
  readonly input?: string
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** What errors call the command. @default its words */
  readonly title?: string
}

export interface RunResult {
  /** The exit code; 128 plus the signal's number when a signal ended it. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const DEFAULT_TIMEOUT_MS = 60_000
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024

/**
 * Runs a command to its end, in a session of its own so that a timeout ends its children too.
 *
 * @throws {LabError} when it cannot be started, exceeds `timeoutMs`, or writes more than 64 MiB
 */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file, ...args] = argv
  if (file === undefined) throw new LabError('an empty command cannot be run')
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      detached: true,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    let size = 0
    let failure: LabError | undefined
    const giveUp = (reason: string): void => {
      failure ??= new LabError(`${options.title ?? argv.join(' ')}: ${reason}`)
      endSession(child.pid)
    }
    const timer = setTimeout(() => giveUp(`not finished after ${timeoutMs} ms; stopped`), timeoutMs)
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      size += chunk.length
      if (size > OUTPUT_LIMIT_BYTES) giveUp(`more than ${OUTPUT_LIMIT_BYTES} bytes of output`)
      else into.push(chunk)
    }
    child.stdout.on('data', collect(stdout))
    child.stderr.on('data', collect(stderr))
    // A command that never reads its input closes the pipe; its exit code is the answer then.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
    child.on('error', error => {
      clearTimeout(timer)
      reject(new LabError(`${file} cannot be run: ${error.message}`, { cause: error }))
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (failure !== undefined) return reject(failure)
      resolve({
        code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      })
    })
  })
}

/**
 * Runs a command that is expected to succeed and returns its standard output.
 *
 * @throws {LabError} with the command's standard error when the exit code is not 0
 */
export async function runOk(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options)
  if (result.code === 0) return result.stdout
  const said = (result.stderr.trim() || result.stdout.trim()).slice(-4000)
  throw new LabError(`${argv.join(' ')} ended with ${result.code}: ${said}`)
}

function endSession(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Already gone: then its 'close' event is on its way.
  }
}
