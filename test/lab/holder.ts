// A host's power. A holder process owns the host's mount, UTS and network namespaces: while it lives
// the host is on, and its /run outlives engine restarts; once it and all else in the host is killed,
// the kernel takes mounts and devices away, as a power cut would.
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { hostCgroupFile } from './cgroups.ts'
import { LabError } from './errors.ts'
import type { HostLayout } from './layout.ts'
import { type ProcessId, identify, isRunning, netnsOf } from './processes.ts'
import { waitFor } from './wait.ts'

export interface Holder extends ProcessId {
  readonly netns: string
}

export interface SpawnOptions {
  /** Standard output and error are appended to this file. */
  readonly logFile: string
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Working directory, in the host. @default this process's */
  readonly cwd?: string
}

const START_TIMEOUT_MS = 20_000

/** Joins a cgroup ($0), then becomes the given command: same pid all along. */
const JOIN = 'echo $$ > "$0" && exec "$@"'

/**
 * Runs in the new namespaces. The fresh sysfs shows the host's own devices in /sys/class/net; the
 * cgroup trees, which a fresh sysfs hides, are carried over for the engine. /etc/docker is the host's
 * own because engines that share its key.json report one and the same id.
 */
const BOOT = `set -e
dir=$1 name=$2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
if mount -t sysfs sysfs /sys 2>/dev/null; then mount --move /run/cgroup /sys/fs/cgroup; else umount -R /run/cgroup; fi
rmdir /run/cgroup
mkdir -p "$dir/etc/docker" /etc/docker
mount --bind "$dir/etc/docker" /etc/docker
for file in hosts hostname; do
  if [ -f "$dir/etc/$file" ] && [ -f "/etc/$file" ]; then mount --bind "$dir/etc/$file" "/etc/$file"; fi
done
hostname "$name"
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo ready
exec sleep infinity >/dev/null 2>&1`

/**
 * Starts a host's holder and waits until its namespaces are set up.
 *
 * @throws {LabError} with what the kernel refused
 */
export async function powerOn(host: HostLayout): Promise<Holder> {
  const inside = ['sh', '-c', BOOT, 'boot', host.dir, host.name]
  const argv = [JOIN, hostCgroupFile(host.cgroup), 'unshare', '-m', '-u', '-n', '--', ...inside]
  const child = spawn('sh', ['-c', ...argv], { ...detached(), env: hostEnv() })
  // Both end when the script either fails or becomes `sleep`.
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const id = child.pid === undefined ? undefined : identify(child.pid)
  const netns = id && netnsOf(id.pid)
  if (!stdout.includes('ready') || id === undefined || netns === undefined) {
    throw new LabError(`host ${host.name} cannot be set up: ${stderr.trim()}; the lab needs root`)
  }
  child.unref()
  const holder = { ...id, netns }
  writeFileSync(holderFile(host), JSON.stringify(holder))
  return holder
}

function detached(): { detached: true; stdio: ['ignore', 'pipe', 'pipe'] } {
  return { detached: true, stdio: ['ignore', 'pipe', 'pipe'] }
}

/** The holder as last recorded, running or not. */
export function lastHolder(host: HostLayout): Holder | undefined {
  try {
    return JSON.parse(readFileSync(holderFile(host), 'utf8')) as Holder
  } catch {
    return undefined
  }
}

/** The living holder of a host; undefined when the host is off. */
export function holderOf(host: HostLayout): Holder | undefined {
  const holder = lastHolder(host)
  return holder !== undefined && isRunning(holder) ? holder : undefined
}

export function forgetHolder(host: HostLayout): void {
  rmSync(holderFile(host), { force: true })
}

/** @throws {LabError} when the host is off */
export function needPower(host: HostLayout): Holder {
  const holder = holderOf(host)
  if (holder !== undefined) return holder
  throw new LabError(`host ${host.name} is off; start it with: npm run lab -- start ${host.name}`)
}

/**
 * The command that runs `argv` inside a host: its cgroup, mounts, name and network.
 *
 * @throws {LabError} when the host is off
 */
export function enter(host: HostLayout, argv: readonly string[], cwd = process.cwd()): string[] {
  const holder = needPower(host)
  const inside = ['sh', '-c', 'cd "$0" && exec "$@"', cwd, ...argv]
  const namespaces = ['nsenter', '-t', String(holder.pid), '-m', '-u', '-n', '--', ...inside]
  return ['sh', '-c', JOIN, hostCgroupFile(host.cgroup), ...namespaces]
}

/**
 * Starts a long-running process in a host. The pid is the command's own, in a session of its own.
 *
 * @throws {LabError} when it cannot be started or ends at once
 */
export async function spawnInHost(
  host: HostLayout,
  argv: readonly string[],
  options: SpawnOptions,
): Promise<ProcessId> {
  const [file, ...args] = enter(host, argv, options.cwd)
  const log = openSync(options.logFile, 'a')
  const child = spawn(file as string, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: hostEnv(options.env),
  })
  closeSync(log)
  let ended: string | undefined
  child.on('error', error => (ended = error.message))
  child.on('exit', (code, signal) => (ended ??= `ended with ${code ?? signal}`))
  await waitFor(() => ended !== undefined || isInside(child.pid, host), START_TIMEOUT_MS, 5)
  const id = child.pid === undefined ? undefined : identify(child.pid)
  if (ended !== undefined || id === undefined) {
    throw new LabError(
      `${argv[0]} on ${host.name} ${ended ?? 'ended at once'}: ${tail(options.logFile)}`,
    )
  }
  child.unref()
  return id
}

/** Environment for commands in a host: the engine and the agent look for tools in the sbin directories. */
export function hostEnv(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const own = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('DOCKER_'),
  )
  const path = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`
  return { ...Object.fromEntries(own), PATH: path, ...env }
}

/** The last lines of a log file, for an error message. */
export function tail(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-8).join('\n')
  } catch {
    return `(no ${file})`
  }
}

/** Whether the wrappers around a started command have become the command itself. */
function isInside(pid: number | undefined, host: HostLayout): boolean {
  if (pid === undefined || netnsOf(pid) !== holderOf(host)?.netns) return false
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    // A process that is ending has no words any more, but for a moment still a namespace.
    const isWrapper = command.startsWith('nsenter\0') || command.startsWith('sh\0-c\0cd "$0"')
    return command !== '' && !isWrapper
  } catch {
    return false
  }
}

function holderFile(host: HostLayout): string {
  return join(host.dir, 'holder.json')
}
