// A host's Docker Engine: how it is started, asked and stopped.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { LabError } from './errors.ts'
import { hostEnv, holderOf, spawnInHost, tail } from './holder.ts'
import type { HostLayout, LabRecord } from './layout.ts'
import { type ProcessId, identify, isRunning, signal } from './processes.ts'
import { run, runOk } from './run.ts'
import { waitFor } from './wait.ts'

const READY_TIMEOUT_MS = 90_000
const STOP_TIMEOUT_MS = 60_000
const PING_TIMEOUT_MS = 2_000

export function dockerSocket(host: HostLayout): string {
  return join(host.dir, 'docker.sock')
}

/** The engine's command line. Inside the host it listens at its usual place, /run/docker.sock, too. */
export function dockerdArgv(host: HostLayout, record: LabRecord): readonly string[] {
  return [
    'dockerd',
    `--data-root=${join(host.dir, 'data')}`,
    '--exec-root=/run/docker',
    '--pidfile=/run/docker.pid',
    `--host=unix://${dockerSocket(host)}`,
    '--host=unix:///run/docker.sock',
    // With runc's own cgroup driver, systemd or not, this is where the lab finds the containers.
    '--exec-opt=native.cgroupdriver=cgroupfs',
    `--cgroup-parent=/${host.cgroup}`,
    `--storage-driver=${record.storageDriver}`,
    `--insecure-registry=${record.subnet}.0/24`,
    ...(record.liveRestore ? ['--live-restore'] : []),
  ]
}

/**
 * Starts the engine unless it runs, and waits until it answers.
 *
 * @throws {LabError} with the end of its log when it does not come up within 90 s
 */
export async function startEngine(host: HostLayout, record: LabRecord): Promise<void> {
  if (engineProcess(host) === undefined) {
    dropStalePidFiles(host)
    mkdirSync(join(host.dir, 'data'), { recursive: true })
    const started = await spawnInHost(host, dockerdArgv(host, record), {
      logFile: logFile(host),
      env: { DOCKER_SERVICE_PREFER_OFFLINE_IMAGE: '1' },
      cwd: '/',
    })
    writeFileSync(engineFile(host), JSON.stringify(started))
  }
  const up = await waitFor(
    async () => engineProcess(host) === undefined || (await answers(host)),
    READY_TIMEOUT_MS,
    50,
  )
  if (!up || engineProcess(host) === undefined) {
    throw new LabError(`the engine of ${host.name} does not come up: ${tail(logFile(host))}`)
  }
}

/**
 * Ends the engine alone; containers live on when it runs with live-restore.
 *
 * @throws {LabError} when it is still there after 60 s
 */
export async function stopEngine(host: HostLayout, how: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const engine = engineProcess(host)
  if (engine === undefined) return
  // The kernel kills containerd with its parent, a moment later; a new engine must not meet it dying.
  const family = [engine, containerdProcess(host)].filter(id => id !== undefined)
  signal(engine, how)
  if (await waitFor(() => !family.some(isRunning), STOP_TIMEOUT_MS)) return
  const pids = family.filter(isRunning).map(id => id.pid)
  throw new LabError(`the engine of ${host.name} (pid ${pids.join(', ')}) ignores ${how}`)
}

/**
 * Pid files a killed engine leaves behind: with its pid in use again dockerd refuses to start, and
 * with containerd not reaped yet it waits for an answer from the dead.
 */
function dropStalePidFiles(host: HostLayout): void {
  rmSync(join(runDir(host), 'docker.pid'), { force: true })
  if (containerdProcess(host) === undefined) rmSync(containerdPidFile(host), { force: true })
}

function containerdProcess(host: HostLayout): ProcessId | undefined {
  try {
    return identify(Number(readFileSync(containerdPidFile(host), 'utf8')))
  } catch {
    return undefined
  }
}

function containerdPidFile(host: HostLayout): string {
  return join(runDir(host), 'docker/containerd/containerd.pid')
}

/** The host's own /run, seen from outside. */
function runDir(host: HostLayout): string {
  return `/proc/${holderOf(host)?.pid}/root/run`
}

/** The running engine's process; undefined when it is down. */
export function engineProcess(host: HostLayout): ProcessId | undefined {
  try {
    const id = JSON.parse(readFileSync(engineFile(host), 'utf8')) as ProcessId
    return isRunning(id) ? id : undefined
  } catch {
    return undefined
  }
}

/** Whether the engine answers a ping. */
export function answers(host: HostLayout): Promise<boolean> {
  return new Promise(resolve => {
    const ping = request(
      { socketPath: dockerSocket(host), path: '/_ping', timeout: PING_TIMEOUT_MS },
      response => {
        response.resume()
        resolve(response.statusCode === 200)
      },
    )
    ping.on('timeout', () => ping.destroy())
    ping.on('error', () => resolve(false))
    ping.on('close', () => resolve(false))
    ping.end()
  })
}

/** Runs the docker CLI against a host's engine; see `run` for what it throws. */
export async function docker(host: HostLayout, args: readonly string[]): Promise<string> {
  const argv = ['docker', '-H', `unix://${dockerSocket(host)}`, ...args]
  return (await runOk(argv, { timeoutMs: 300_000, env: hostEnv() })).trimEnd()
}

/** overlay2 where this machine's disk can carry it, vfs otherwise (an overlay on an overlay is refused). */
export async function pickStorageDriver(dir: string): Promise<'overlay2' | 'vfs'> {
  const script = `set -e; cd "$0"; mkdir lower upper work merged
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged; touch merged/file`
  const probe = join(dir, 'probe')
  mkdirSync(probe, { recursive: true })
  const { code } = await run(['unshare', '-m', 'sh', '-c', script, probe])
  rmSync(probe, { recursive: true, force: true })
  return code === 0 ? 'overlay2' : 'vfs'
}

function logFile(host: HostLayout): string {
  return join(host.dir, 'dockerd.log')
}

function engineFile(host: HostLayout): string {
  return join(host.dir, 'engine.json')
}
