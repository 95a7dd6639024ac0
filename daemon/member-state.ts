import { join } from 'node:path'
import { StatusError } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import { newMemberId, type Random } from '../runtime/random.ts'

/** What a manager keeps beside its Raft log: who it is in the group, and the key its log is sealed with. */
export interface MemberState {
  readonly raftId: number
  readonly dataKey: Uint8Array
}

const DATA_KEY_BYTES = 32

/** Directory of everything a manager keeps. */
export const managerDir = (dataDir: string): string => join(dataDir, 'manager')

/** Directory of its Raft log and snapshots. */
export const raftDir = (dataDir: string): string => join(managerDir(dataDir), 'raft')

const file = (dataDir: string): string => join(managerDir(dataDir), 'member.json')

/** The member this node is, or a new one when it is none yet. @throws StatusError DataLoss when the file is damaged */
export async function memberState(fs: Fs, dataDir: string, random: Random): Promise<MemberState> {
  const known = await existingMember(fs, dataDir)
  if (known) return known
  const state = { raftId: newMemberId(random), dataKey: random.bytes(DATA_KEY_BYTES) }
  const dataKey = Buffer.from(state.dataKey).toString('base64')
  await fs.write(file(dataDir), JSON.stringify({ raftId: state.raftId, dataKey }))
  return state
}

/** The member this node is; undefined when it is none. @throws StatusError DataLoss when the file is damaged */
export async function existingMember(fs: Fs, dataDir: string): Promise<MemberState | undefined> {
  const bytes = await fs.read(file(dataDir))
  return bytes && parsed(bytes, file(dataDir))
}

/** Forgets the Raft log and who this node was in the group. */
export function forgetMember(fs: Fs, dataDir: string): Promise<void> {
  return fs.remove(managerDir(dataDir))
}

function parsed(bytes: Uint8Array, path: string): MemberState {
  try {
    const { raftId, dataKey } = JSON.parse(new TextDecoder().decode(bytes)) as {
      raftId: unknown
      dataKey: unknown
    }
    const key = Buffer.from(String(dataKey), 'base64')
    if (Number.isSafeInteger(raftId) && Number(raftId) > 0 && key.length === DATA_KEY_BYTES) {
      return { raftId: Number(raftId), dataKey: key }
    }
  } catch {
    // Said below, with the remedy.
  }
  throw new StatusError(
    'DataLoss',
    `${path} is damaged: without it the manager's log cannot be read; restore it from a backup, or on another manager demote and remove this node, then here: skein swarm leave --force, and join again`,
  )
}
