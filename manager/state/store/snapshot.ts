// A snapshot is one StoreSnapshot message. Protobuf joins repeated fields of concatenated messages, so it can be
// encoded in slices, and a manager with 100,000 tasks stays responsive while it writes one.
import { StatusError, messageOf } from '../../../runtime/errors.ts'
import { codec } from '../../../proto/codec.ts'
import { type StoreSnapshot, v1 } from '../../../proto/index.ts'
import { KINDS } from './kinds.ts'
import { shareParts } from './share.ts'
import { TableSet } from './tables.ts'
import type { Kind, StoreObject, Tables } from './types.ts'

const FORMAT = 1
const SLICE_OBJECTS = 500

const FIELDS = {
  cluster: 'clusters',
  node: 'nodes',
  service: 'services',
  task: 'tasks',
  network: 'networks',
  secret: 'secrets',
  config: 'configs',
  volume: 'volumes',
  container: 'containers',
} as const satisfies Record<Kind, keyof StoreSnapshot>

const snapshots = codec(v1.StoreSnapshot)

/** The state at one version. Taking it copies references alone; the objects are immutable. */
export interface Capture {
  readonly version: number
  readonly objects: { readonly [K in Kind]: readonly Tables[K][] }
}

export function capture(tables: TableSet, version: number): Capture {
  const objects = Object.fromEntries(KINDS.map(kind => [kind, tables.of(kind).list()]))
  return { version, objects: objects as unknown as Capture['objects'] }
}

/** Encodes a capture; `pause` is awaited between slices, so that other work can run. */
export async function encodeSnapshot(
  captured: Capture,
  pause: () => Promise<void> | void = () => undefined,
): Promise<Uint8Array> {
  const parts = [encodePart({ format: FORMAT, version: captured.version })]
  for (const kind of KINDS) {
    const objects = captured.objects[kind]
    for (let at = 0; at < objects.length; at += SLICE_OBJECTS) {
      parts.push(encodePart({ [FIELDS[kind]]: objects.slice(at, at + SLICE_OBJECTS) }))
      await pause()
    }
  }
  return Buffer.concat(parts)
}

/** @throws StatusError DataLoss on malformed bytes, FailedPrecondition on a format of a later release */
export function decodeSnapshot(bytes: Uint8Array): {
  readonly tables: TableSet
  readonly version: number
} {
  const snapshot = parse(bytes)
  if (snapshot.format !== FORMAT) {
    throw new StatusError(
      'FailedPrecondition',
      `the snapshot has format ${snapshot.format} and this release reads ${FORMAT}; upgrade this manager`,
    )
  }
  const tables = new TableSet()
  for (const kind of KINDS) {
    const objects: readonly StoreObject[] = snapshot[FIELDS[kind]]
    for (const object of objects) {
      tables.put(kind, shareParts(tables.resembling(kind, object), object))
    }
  }
  return { tables, version: snapshot.version }
}

function parse(bytes: Uint8Array): StoreSnapshot {
  try {
    return snapshots.decode(bytes)
  } catch (error) {
    throw new StatusError('DataLoss', `the snapshot is malformed: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function encodePart(part: Partial<StoreSnapshot>): Uint8Array {
  return snapshots.encode(part as StoreSnapshot)
}
