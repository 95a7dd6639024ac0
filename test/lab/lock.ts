import { linkSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { LabError } from './errors.ts'
import { type ProcessId, identify, isRunning } from './processes.ts'
import { waitFor } from './wait.ts'

const LOCK_TIMEOUT_MS = 180_000

/**
 * Runs `work` while holding an exclusive lock file. A lock whose owner is dead is taken over.
 *
 * @throws {LabError} when a living process keeps the lock for 3 minutes
 */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const mine = identify(process.pid)
  if (mine === undefined) throw new LabError('/proc is not readable; the lab needs it')
  mkdirSync(dirname(file), { recursive: true })
  const taken = await waitFor(() => take(file, mine), LOCK_TIMEOUT_MS, 50)
  if (!taken) {
    throw new LabError(`${file} is held by process ${owner(file)?.pid}; wait for it or end it`)
  }
  try {
    return await work()
  } finally {
    unlinkSync(file)
  }
}

/** Links a finished file into place, so that nobody ever reads a lock without its owner. */
function take(file: string, mine: ProcessId): boolean {
  const draft = `${file}.${mine.pid}.${Math.random().toString(36).slice(2)}`
  writeFileSync(draft, JSON.stringify(mine))
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    dropStale(file)
    return false
  } finally {
    unlinkSync(draft)
  }
}

function dropStale(file: string): void {
  const holder = owner(file)
  if (holder === undefined || isRunning(holder)) return
  const aside = `${file}.stale.${process.pid}`
  try {
    renameSync(file, aside)
    // Somebody else may have dropped the stale lock first and taken a fresh one: give that back.
    const moved = owner(aside)
    if (moved !== undefined && isRunning(moved)) linkSync(aside, file)
    unlinkSync(aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function owner(file: string): ProcessId | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessId
  } catch {
    return undefined
  }
}
