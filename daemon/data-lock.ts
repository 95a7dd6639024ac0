import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, ftruncateSync } from 'node:fs'
import { join } from 'node:path'
import { StatusError } from '../runtime/errors.ts'

/** The directory is another process's: flock(1) says so with this code. */
const TAKEN = 1

/**
 * Makes this process the only one that works on a data directory, until it ends however it ends: the kernel's lock
 * (flock(2)) on the file `lock` in it, which also says who holds it.
 *
 * Node has no call for it. flock(1) locks the open file it inherits from us, and the lock stays with that file, which
 * is ours.
 *
 * @param who what the process is, for whoever finds the directory taken
 * @returns gives the directory back before the process ends
 * @throws StatusError FailedPrecondition naming the process that has it; Unavailable when there is no flock(1)
 */
export async function lockDataDir(dataDir: string, who: string): Promise<() => void> {
  const path = join(dataDir, 'lock')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  // A plain descriptor: a FileHandle is closed, and the lock lost, when nobody refers to it any more.
  const file = openSync(path, 'a+', 0o600)
  try {
    await flock(file, dataDir, path)
  } catch (error) {
    closeSync(file)
    throw error
  }
  ftruncateSync(file)
  writeFileSync(file, `${process.pid} ${who}\n`)
  return () => closeSync(file)
}

async function flock(file: number, dataDir: string, path: string): Promise<void> {
  const code = await new Promise<number | null>((resolve, reject) => {
    const child = spawn('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', file] })
    child.once('error', reject)
    child.once('exit', resolve)
  }).catch((cause: unknown) => {
    throw new StatusError(
      'Unavailable',
      `${dataDir} cannot be locked: flock (package util-linux) is not on this host`,
      { cause },
    )
  })
  if (code === 0) return
  if (code !== TAKEN)
    throw new StatusError('Unavailable', `${path} cannot be locked: flock ended with ${code}`)
  const [pid = '', ...words] = readFileSync(path, 'utf8').trim().split(' ')
  const holder = pid === '' ? 'another process' : `process ${pid} (${words.join(' ')})`
  throw new StatusError(
    'FailedPrecondition',
    `${dataDir} is in use by ${holder}: stop it first, or choose another directory with --data-dir`,
  )
}
