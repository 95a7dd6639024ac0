import { join } from 'node:path'
import {
  aesSealer,
  keyIdOf,
  pruned,
  rotated,
  type Sealer,
  unwrapKeys,
  wrapKeys,
} from '../manager/state/raft/sealer.ts'
import { StatusError } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import { newMemberId, type Random } from '../runtime/random.ts'

/** What a manager keeps beside its Raft log: who it is in the group, and the keys its log is sealed with. */
export interface MemberState {
  readonly raftId: number
  /** Seals what is written. */
  readonly dataKey: Uint8Array
  /** Open what they sealed before. */
  readonly formerKeys: readonly Uint8Array[]
}

/** Where the state of a member is kept, and how. */
export interface MemberFile {
  readonly fs: Fs
  readonly dataDir: string
  readonly random: Random
  /** Key-encrypting key, 32 bytes: with it the data keys are stored wrapped. Default: they are stored as they are. */
  readonly kek?: Uint8Array | undefined
}

const DATA_KEY_BYTES = 32

/** Directory of everything a manager keeps. */
export const managerDir = (dataDir: string): string => join(dataDir, 'manager')

/** Directory of its Raft log and snapshots. */
export const raftDir = (dataDir: string): string => join(managerDir(dataDir), 'raft')

const file = (dataDir: string): string => join(managerDir(dataDir), 'member.json')

/**
 * The member this node is, or a new one when it is none yet.
 *
 * @throws StatusError DataLoss when the file is damaged, FailedPrecondition when its keys are locked and `kek` does not open them
 */
export async function memberState(
  fs: Fs,
  dataDir: string,
  random: Random,
  kek?: Uint8Array,
): Promise<MemberState> {
  const place = { fs, dataDir, random, kek }
  const known = await existingMember(place)
  if (known) return known
  const raftId = newMemberId(random)
  const state = { raftId, dataKey: random.bytes(DATA_KEY_BYTES), formerKeys: [] }
  await writeMember(place, state)
  return state
}

/** The member this node is; undefined when it is none. @throws StatusError as memberState() */
export async function existingMember(place: MemberFile): Promise<MemberState | undefined> {
  const path = file(place.dataDir)
  const bytes = await place.fs.read(path)
  if (!bytes) return undefined
  const stored = parsed(bytes, path)
  const keys = { current: stored.dataKey, former: stored.formerKeys }
  if (stored.lockedWith === undefined) return withKeys(stored.raftId, keys, path)
  if (place.kek === undefined)
    throw new StatusError(
      'FailedPrecondition',
      `${path}: the manager's data keys are locked; the key that unlocks them is needed`,
    )
  return withKeys(stored.raftId, unwrapKeys(keys, place.kek, place.random), path)
}

/** Stores the member, its keys wrapped when there is a key for that. Also how that key is set, replaced and given up. */
export async function writeMember(place: MemberFile, state: MemberState): Promise<void> {
  const { fs, dataDir, random, kek } = place
  const plain = { current: state.dataKey, former: state.formerKeys }
  const { current, former } = kek === undefined ? plain : wrapKeys(plain, kek, random)
  const text = JSON.stringify({
    raftId: state.raftId,
    ...(kek && { lockedWith: keyIdOf(kek) }),
    dataKey: base64(current),
    formerKeys: former.map(base64),
  })
  await fs.write(file(dataDir), text)
}

/** A member's data keys in use: the sealer of its log, and the change of keys under it. One change at a time. */
export class MemberKeys {
  readonly sealer: Sealer
  readonly #place: MemberFile
  #state: MemberState

  constructor(place: MemberFile, state: MemberState) {
    this.#place = place
    this.#state = state
    this.sealer = aesSealer(state.dataKey, place.random, state.formerKeys)
  }

  /** What is written from now on is sealed with a new key, which is on disk before anything is. */
  async rotate(): Promise<void> {
    const { dataKey: current, formerKeys: former } = this.#state
    await this.#change(rotated({ current, former }, this.#place.random))
  }

  /** Gives up the former keys that neither log nor snapshot needs. @param inUse RaftMember.keysInUse() */
  async forgetUnused(inUse: ReadonlySet<string>): Promise<void> {
    const { dataKey: current, formerKeys: former } = this.#state
    const keys = pruned({ current, former }, inUse)
    if (keys.former.length < former.length) await this.#change(keys)
  }

  async #change(keys: { current: Uint8Array; former: readonly Uint8Array[] }): Promise<void> {
    const state = { ...this.#state, dataKey: keys.current, formerKeys: keys.former }
    await writeMember(this.#place, state)
    this.#state = state
    this.sealer.use(keys)
  }
}

/** Forgets the Raft log and who this node was in the group. */
export function forgetMember(fs: Fs, dataDir: string): Promise<void> {
  return fs.remove(managerDir(dataDir))
}

interface Stored extends MemberState {
  readonly lockedWith: string | undefined
}

function parsed(bytes: Uint8Array, path: string): Stored {
  try {
    const {
      raftId,
      lockedWith,
      dataKey,
      formerKeys = [],
    } = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Record<keyof Stored, unknown>>
    const isId = Number.isSafeInteger(raftId) && Number(raftId) > 0
    const isLock = lockedWith === undefined || typeof lockedWith === 'string'
    if (isId && isLock && Array.isArray(formerKeys))
      return {
        raftId: Number(raftId),
        lockedWith: lockedWith as string | undefined,
        dataKey: fromBase64(dataKey),
        formerKeys: formerKeys.map(fromBase64),
      }
  } catch {
    // Said below, with the remedy.
  }
  throw damaged(path)
}

function withKeys(
  raftId: number,
  { current, former }: { current: Uint8Array; former: readonly Uint8Array[] },
  path: string,
): MemberState {
  if ([current, ...former].some(key => key.length !== DATA_KEY_BYTES)) throw damaged(path)
  return { raftId, dataKey: current, formerKeys: former }
}

function damaged(path: string): StatusError {
  return new StatusError(
    'DataLoss',
    `${path} is damaged: without it the manager's log cannot be read; restore it from a backup, or on another manager demote and remove this node, then here: skein swarm leave --force, and join again`,
  )
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const fromBase64 = (text: unknown): Uint8Array => Buffer.from(String(text), 'base64')
