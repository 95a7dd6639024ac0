// Finding and ending the processes of a host. A pid alone is never trusted: the kernel reuses it.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { cgroupMembers, thawCgroup } from './cgroups.ts'
import { LabError } from './errors.ts'
import { waitFor } from './wait.ts'

export interface ProcessId {
  readonly pid: number
  /** Start time in clock ticks after boot: with it, a pid names one process for good. */
  readonly startTicks: number
}

interface ProcessInfo extends ProcessId {
  readonly parent: number
  readonly netns: string | undefined
}

const KILL_TIMEOUT_MS = 15_000

/** Identifies a running process; undefined when there is none, or only its zombie. */
export function identify(pid: number): ProcessId | undefined {
  const info = readProcess(pid)
  return info && { pid: info.pid, startTicks: info.startTicks }
}

export function isRunning(id: ProcessId): boolean {
  return identify(id.pid)?.startTicks === id.startTicks
}

/** The network namespace a process is in, as `net:[inode]`; undefined when it is gone. */
export function netnsOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return undefined
  }
}

/** Sends a signal unless the process has ended already. */
export function signal(id: ProcessId, name: NodeJS.Signals): void {
  if (!isRunning(id)) return
  try {
    process.kill(id.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * The processes of a host: those in its cgroup, those in its network namespace, and all their
 * descendants, which finds a container that asked for another cgroup parent as well.
 */
export function hostProcesses(cgroup: string, netns: string | undefined): readonly ProcessId[] {
  const all = listProcesses()
  const found = new Set(cgroupMembers(cgroup))
  if (netns !== undefined) {
    for (const info of all) if (info.netns === netns) found.add(info.pid)
  }
  for (let size = -1; size !== found.size; ) {
    size = found.size
    for (const info of all) if (found.has(info.parent)) found.add(info.pid)
  }
  found.delete(process.pid)
  return all.filter(info => found.has(info.pid))
}

/**
 * Kills every process of a host and waits until the last one is gone.
 *
 * @throws {LabError} naming the survivors when some outlive 15 s of SIGKILL
 */
export async function killHostProcesses(cgroup: string, netns: string | undefined): Promise<void> {
  const gone = await waitFor(() => {
    const left = hostProcesses(cgroup, netns)
    for (const id of left) signal(id, 'SIGKILL')
    // A paused container ignores SIGKILL until it is thawed (cgroup v1).
    if (left.length > 0) thawCgroup(cgroup)
    return left.length === 0
  }, KILL_TIMEOUT_MS)
  if (gone) return
  const pids = hostProcesses(cgroup, netns).map(id => id.pid)
  throw new LabError(
    `processes ${pids.join(', ')} of ${cgroup} survive SIGKILL; look at /proc/PID/stack`,
  )
}

/** Resident memory of a set of processes, each page counted where it is mapped. */
export function residentBytes(ids: readonly ProcessId[]): number {
  let pages = 0
  for (const { pid } of ids) {
    try {
      pages += Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    } catch {
      // Ended between being listed and being read: it holds nothing.
    }
  }
  return pages * 4096
}

function listProcesses(): readonly ProcessInfo[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => readProcess(Number(name)))
    .filter(info => info !== undefined)
}

function readProcess(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command's name stands in brackets and may hold anything, so read from the last bracket on.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, parent] = fields
    if (state === undefined || state === 'Z' || state === 'X') return undefined
    return { pid, parent: Number(parent), startTicks: Number(fields[19]), netns: netnsOf(pid) }
  } catch {
    return undefined
  }
}
