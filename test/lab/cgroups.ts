// A host's cgroup, under version 1 (one tree per controller), version 2, or both at once.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LabError } from './errors.ts'
import { waitFor } from './wait.ts'

interface Hierarchy {
  readonly mountPoint: string
  readonly version: 1 | 2
  readonly controllers: readonly string[]
}

/** One tree of these is enough to hold a host's own processes; containers are placed in all by runc. */
const HOME_CONTROLLERS = ['pids', 'freezer', 'name=systemd']
const REMOVE_TIMEOUT_MS = 10_000

/**
 * Makes a place for a host's own processes (engine, daemons), beside its containers' groups: under
 * version 2 a group with children may hold no process itself.
 *
 * @returns the file to write a pid into
 * @throws {LabError} when this machine has no cgroup mounted
 */
export function hostCgroupFile(group: string): string {
  const all = hierarchies()
  const home =
    HOME_CONTROLLERS.map(name => all.find(h => h.controllers.includes(name))).find(h => h) ??
    all.find(h => h.version === 2)
  if (home === undefined) throw new LabError('no cgroup is mounted; mount one at /sys/fs/cgroup')
  const dir = join(home.mountPoint, group, 'system')
  mkdirSync(dir, { recursive: true })
  return join(dir, 'cgroup.procs')
}

/** Pids of every process in a group or below it, in any hierarchy. */
export function cgroupMembers(group: string): readonly number[] {
  const pids = new Set<number>()
  for (const dir of groupDirs(group)) {
    for (const line of readLines(join(dir, 'cgroup.procs'))) pids.add(Number(line))
  }
  return [...pids]
}

/** Lets paused containers run again, so that they can be killed. */
export function thawCgroup(group: string): void {
  for (const dir of groupDirs(group)) {
    writeIfPresent(join(dir, 'freezer.state'), 'THAWED')
    writeIfPresent(join(dir, 'cgroup.freeze'), '0')
  }
}

/**
 * Removes a group with all below it. The kernel refuses for a moment after the last process ended.
 *
 * @throws {LabError} when a group is still in use after 10 s
 */
export async function removeCgroup(group: string): Promise<void> {
  let busy = ''
  const gone = await waitFor(() => {
    busy = ''
    for (const dir of groupDirs(group).toReversed()) {
      try {
        rmdirSync(dir)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') busy = dir
      }
    }
    return busy === ''
  }, REMOVE_TIMEOUT_MS)
  if (!gone) throw new LabError(`cgroup ${busy} is still in use; see ${busy}/cgroup.procs`)
}

/** The group's directories, parents before children. */
function groupDirs(group: string): readonly string[] {
  return hierarchies().flatMap(({ mountPoint }) => tree(join(mountPoint, group)))
}

function tree(dir: string): readonly string[] {
  if (!existsSync(dir)) return []
  try {
    const children = readdirSync(dir, { withFileTypes: true }).filter(entry => entry.isDirectory())
    return [dir, ...children.flatMap(child => tree(join(dir, child.name)))]
  } catch {
    return [dir]
  }
}

function hierarchies(): readonly Hierarchy[] {
  const found: Hierarchy[] = []
  for (const line of readLines('/proc/self/mounts')) {
    const [, mountPoint, type, options] = line.split(' ')
    if (mountPoint === undefined || options === undefined) continue
    if (type === 'cgroup') found.push({ mountPoint, version: 1, controllers: options.split(',') })
    if (type === 'cgroup2') found.push({ mountPoint, version: 2, controllers: [] })
  }
  return found
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

function writeIfPresent(file: string, text: string): void {
  if (!existsSync(file)) return
  try {
    writeFileSync(file, text)
  } catch {
    // The group went away meanwhile, and its processes with it.
  }
}
