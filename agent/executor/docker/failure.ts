// Why a container or an engine call failed, in words a user can act on. Pure.
import type Dockerode from 'dockerode'
import type { ContainerStatus } from '../../../proto/index.ts'
import { type Code, StatusError } from '../../../runtime/errors.ts'
import type { Observation } from '../types.ts'

/** Log lines kept of a container that failed, and how much of each. */
export const LAST_LINES = 20
const MAX_LINE_CHARACTERS = 2_048
const MIB = 1_048_576

/** Linux' signals by number, 1 first. */
const SIGNALS =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'
    .split(' ')
    .map(name => `SIG${name}`)

type Inspect = Pick<Dockerode.ContainerInspectInfo, 'Id' | 'State'> & {
  readonly HostConfig: { readonly Memory?: number | undefined }
}

/** An inspected container as the status managers see; `lastLines` only of one that failed. */
export function containerStatus(inspect: Inspect, lastLines: readonly string[]): ContainerStatus {
  const { State: state } = inspect
  return {
    containerId: inspect.Id,
    pid: state.Pid,
    exitCode: state.ExitCode,
    oomKilled: state.OOMKilled,
    signal: phaseOf(state.Status) === 'exited' ? (signalOf(state.ExitCode) ?? '') : '',
    lastLogLines: lastLines.slice(-LAST_LINES).map(line => line.slice(0, MAX_LINE_CHARACTERS)),
    health: healthOf(inspect),
  }
}

/** The engine's word for a container's state as one of ours. */
export function phaseOf(status: string): 'created' | 'running' | 'exited' {
  if (status === 'created') return 'created'
  return status === 'exited' || status === 'dead' || status === 'removing' ? 'exited' : 'running'
}

/** The health of a container; empty when none is checked. */
export function healthOf(inspect: Inspect): Observation['health'] {
  const status = inspect.State.Health?.Status
  return status === 'starting' || status === 'healthy' || status === 'unhealthy' ? status : ''
}

/** What the last failing probe said: `health check failed 3 times: connection refused`. */
export function healthFailure(inspect: Inspect): string {
  const health = inspect.State.Health
  const last = health?.Log.at(-1)
  const output =
    last?.Output.trim().slice(0, MAX_LINE_CHARACTERS) || `exit code ${last?.ExitCode ?? 1}`
  return `health check failed ${health?.FailingStreak ?? 0} times: ${output}`
}

/** Why an exited container did not end well; empty when it did. */
export function exitFailure(inspect: Inspect): string {
  const { ExitCode: exitCode, OOMKilled: oomKilled, Error: error } = inspect.State
  const said = error ? `: ${error}` : ''
  const signal = signalOf(exitCode)
  if (oomKilled) {
    const memory = `out of memory${limitText(inspect.HostConfig.Memory ?? 0)}`
    return signal === 'SIGKILL'
      ? `killed by SIGKILL: ${memory}`
      : `exited with code ${exitCode} after one of its processes was killed: ${memory}`
  }
  if (signal) return `killed by ${signal} (exit code ${exitCode})${said}`
  return exitCode === 0 && !error ? '' : `exited with code ${exitCode}${said}`
}

/** SIGKILL for 137; undefined for an exit code no signal made. */
export function signalOf(exitCode: number): string | undefined {
  return exitCode > 128 ? SIGNALS[exitCode - 129] : undefined
}

/** An image's error in the user's words. What is not said to be final is worth another try. */
export function pullFailure(image: string, error: StatusError): StatusError {
  const { message } = error
  const wrap = (code: Code, what: string): StatusError =>
    new StatusError(code, `image ${image} ${what}: ${message}`, { cause: error })
  if (/denied|unauthorized|authentication required/i.test(message)) {
    return wrap('PermissionDenied', 'not found or may not be pulled')
  }
  const gone = /not found|manifest unknown|no such image|no matching manifest/i.test(message)
  if (error.code === 'NotFound' || gone) return wrap('NotFound', 'not found')
  if (/invalid reference format|invalid tag/i.test(message) || error.code === 'InvalidArgument') {
    return wrap('InvalidArgument', 'is no image name')
  }
  return wrap('Unavailable', 'could not be pulled')
}

/** An error of create or start in the user's words. */
export function runFailure(image: string, error: StatusError): StatusError {
  const { message } = error
  const wrap = (code: Code, text: string): StatusError =>
    new StatusError(code, text, { cause: error })
  const port = busyPort(message)
  if (port !== undefined) {
    return wrap('FailedPrecondition', `port ${port} is already in use on this node: ${message}`)
  }
  if (/no such image/i.test(message))
    return wrap('NotFound', `image ${image} not found: ${message}`)
  return error
}

/** The host port an engine's message says is taken. */
function busyPort(message: string): string | undefined {
  if (!/port is already allocated|address already in use/i.test(message)) return undefined
  const bound =
    /(?:Bind for|listen \w+|host port(?: for)?|expose port)[^\d]*(?:[\d.]+|\[[\da-f:]*\]|:*):(\d+)/i
  return bound.exec(message)?.[1] ?? /:(\d+)/.exec(message)?.[1]
}

function limitText(memoryBytes: number): string {
  return memoryBytes > 0
    ? ` (limit ${Math.round((memoryBytes / MIB) * 10) / 10} MiB)`
    : ' (no limit of its own)'
}
