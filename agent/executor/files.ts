import { posix } from 'node:path'
import type { PrivateFiles } from '../../runtime/private-files.ts'
import { StatusError, messageOf } from '../../runtime/errors.ts'
import type { SecretReference } from '../../proto/index.ts'
import type { FileMount } from './docker/convert.ts'

/** Mode of a file nobody gave one (Swarm row EX-14). */
const DEFAULT_MODE = 0o444
const ROOT = { uid: 0, gid: 0, mode: 0o644 }

/** One file of a task, decoded and expanded. */
export interface TaskFile {
  /** Absolute path in the container. */
  readonly target: string
  readonly data: Uint8Array | string
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/**
 * The files the agent puts into containers: secrets, configs, resolv.conf. They live in one directory a task on a tmpfs
 * and are bind-mounted one by one, so that a container sees its own and no disk ever does.
 */
export class TaskFiles {
  readonly #files: PrivateFiles
  readonly #dir: string

  constructor(files: PrivateFiles, dir: string) {
    this.#files = files
    this.#dir = dir
  }

  /** Writes the task's files; the answer says what to mount where. @throws StatusError when there is no tmpfs to be had */
  async write(taskId: string, files: readonly TaskFile[]): Promise<readonly FileMount[]> {
    if (files.length === 0) return []
    try {
      await this.#files.mount(this.#dir)
    } catch (error) {
      const message = `secrets and configs need a tmpfs at ${this.#dir}: ${messageOf(error)}`
      throw new StatusError('FailedPrecondition', message, { cause: error })
    }
    const mounts: FileMount[] = []
    for (const [index, file] of files.entries()) {
      const source = `${this.#dir}/${taskId}/${index}`
      await this.#files.write(source, file.data, file)
      mounts.push({ source, target: file.target })
    }
    return mounts
  }

  async wipe(taskId: string): Promise<void> {
    await this.#files.remove(`${this.#dir}/${taskId}`)
  }

  /** Wipes what tasks left behind that are not among `taskIds`. */
  async keepOnly(taskIds: ReadonlySet<string>): Promise<void> {
    for (const name of await this.#files.list(this.#dir)) {
      if (!taskIds.has(name)) await this.wipe(name)
    }
  }
}

/** A file for all to read, owned by root. */
export function plainFile(target: string, data: string): TaskFile {
  return { target, data, ...ROOT }
}

/**
 * A secret or config where its reference wants it; relative names are below `base`, and none climbs out of it.
 *
 * @throws StatusError InvalidArgument for an owner that is no number
 */
export function referencedFile(
  file: SecretReference['file'],
  name: string,
  base: string,
  data: Uint8Array,
): TaskFile {
  const wanted = file?.name || name
  const target = wanted.startsWith('/')
    ? posix.normalize(wanted)
    : posix.join(base, posix.normalize(`/${wanted}`))
  return {
    target,
    data,
    uid: ownerNumber(file?.uid, name),
    gid: ownerNumber(file?.gid, name),
    mode: file?.mode || DEFAULT_MODE,
  }
}

function ownerNumber(text: string | undefined, name: string): number {
  if (!text) return 0
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new StatusError('InvalidArgument', `${name}: owner ${text} is not a numeric id`)
}
