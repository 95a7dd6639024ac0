import { join } from 'node:path'
import { StatusError } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'

/** Where this node is: the address it told the cluster, and the managers it entered by. */
export interface Place {
  readonly address: string
  readonly managers: readonly string[]
}

const file = (dataDir: string): string => join(dataDir, 'place.json')

export function writePlace(fs: Fs, dataDir: string, place: Place): Promise<void> {
  return fs.write(file(dataDir), JSON.stringify(place))
}

export function removePlace(fs: Fs, dataDir: string): Promise<void> {
  return fs.remove(file(dataDir))
}

/** @throws StatusError DataLoss naming the file when it is missing or damaged */
export async function readPlace(fs: Fs, dataDir: string): Promise<Place> {
  const bytes = await fs.read(file(dataDir))
  try {
    const { address, managers } = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Place>
    if (typeof address === 'string' && isTexts(managers)) return { address, managers }
  } catch {
    // Said below, with the remedy.
  }
  throw new StatusError(
    'DataLoss',
    `${file(dataDir)} is missing or damaged: it holds this node's address; restore it, or leave with: skein swarm leave --force, and join again`,
  )
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string')
}
