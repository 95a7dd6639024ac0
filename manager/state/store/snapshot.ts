// A snapshot is one StoreSnapshot message. Protobuf joins repeated fields of concatenated messages, so it can be
// encoded in slices, and a manager with 100,000 tasks stays responsive while it writes one.
import protobuf from 'protobufjs/minimal.js'
import { StatusError, messageOf } from '../../../runtime/errors.ts'
import { codec } from '../../../proto/codec.ts'
import { type StoreSnapshot, v1 } from '../../../proto/index.ts'
import { KINDS } from './kinds.ts'
import { shareParts } from './share.ts'
import { TableSet } from './tables.ts'
import { TaskReader } from './task-reader.ts'
import type { Kind, StoreObject, Tables } from './types.ts'

const { Reader } = protobuf

const FORMAT = 1
/** Bytes copied between two pauses. */
const COPY_BYTES = 1024 * 1024
/** Objects encoded between two pauses: a millisecond or two of work. What may be large goes a few at a time. */
const SLICE_OBJECTS = 250
const SLICE_LARGE_OBJECTS = 4
const LARGE: ReadonlySet<Kind> = new Set<Kind>(['secret', 'config'])

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

const CODECS = {
  cluster: codec(v1.Cluster),
  node: codec(v1.Node),
  service: codec(v1.Service),
  task: codec(v1.Task),
  network: codec(v1.Network),
  secret: codec(v1.Secret),
  config: codec(v1.Config),
  volume: codec(v1.Volume),
  container: codec(v1.ContainerWorkload),
} as const satisfies Record<Kind, unknown>

/** Field numbers of StoreSnapshot; the kinds follow in the order of KINDS. */
const FORMAT_FIELD = 1
const VERSION_FIELD = 2
const FIRST_OBJECT_FIELD = 3
const LENGTH_DELIMITED = 2

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

/** A capture as the parts of one StoreSnapshot, a slice of its objects each. */
export function* snapshotParts(captured: Capture): Generator<Uint8Array, void, undefined> {
  yield encodePart({ format: FORMAT, version: captured.version })
  for (const kind of KINDS) {
    const objects = captured.objects[kind]
    const slice = LARGE.has(kind) ? SLICE_LARGE_OBJECTS : SLICE_OBJECTS
    for (let at = 0; at < objects.length; at += slice)
      yield encodePart({ [FIELDS[kind]]: objects.slice(at, at + slice) })
  }
}

/** Encodes a capture; `pause` is awaited between slices, so that other work can run. */
export async function encodeSnapshot(
  captured: Capture,
  pause: () => Promise<void> | void = () => undefined,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for (const part of snapshotParts(captured)) {
    parts.push(part)
    length += part.length
    await pause()
  }
  // Joined piece by piece too: the first touch of tens of megabytes takes longer than a heartbeat may wait.
  const whole = Buffer.allocUnsafeSlow(length)
  let at = 0
  let copied = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
    copied += part.length
    if (copied < COPY_BYTES) continue
    copied = 0
    await pause()
  }
  return whole
}

/** What an object takes in the log and in a snapshot, near enough. */
export function objectBytes(kind: Kind, object: StoreObject): number {
  return CODECS[kind].encode(object as never).length
}

/** @throws StatusError DataLoss on malformed bytes, FailedPrecondition on a format of a later release */
export function decodeSnapshot(bytes: Uint8Array): {
  readonly tables: TableSet
  readonly version: number
} {
  try {
    return readSnapshot(bytes)
  } catch (error) {
    if (error instanceof StatusError) throw error
    const cause = messageOf(error)
    throw new StatusError('DataLoss', `the snapshot is malformed: ${cause}`, { cause: error })
  }
}

/** One object at a time: decoded at once, 100,000 tasks would for a while take three times the memory they need. */
function readSnapshot(bytes: Uint8Array): { tables: TableSet; version: number } {
  const tables = new TableSet()
  const tasks = new TaskReader()
  const reader = Reader.create(bytes)
  let format = 0
  let version = 0
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    const [field, wireType] = [tag >>> 3, tag & 7]
    const kind = KINDS[field - FIRST_OBJECT_FIELD]
    if (field === FORMAT_FIELD) checkFormat((format = reader.uint32()))
    else if (field === VERSION_FIELD) version = Number(reader.int64())
    else if (kind === undefined || wireType !== LENGTH_DELIMITED) reader.skipType(wireType)
    else if (kind === 'task') readObject(tables, kind, tasks.decode(reader.bytes()))
    else readObject(tables, kind, CODECS[kind].decode(reader.bytes()) as StoreObject)
  }
  checkFormat(format)
  return { tables, version }
}

function readObject(tables: TableSet, kind: Kind, object: StoreObject): void {
  tables.put(kind, shareParts(tables.resembling(kind, object), object))
}

function checkFormat(format: number): void {
  if (format === FORMAT) return
  throw new StatusError(
    'FailedPrecondition',
    `the snapshot has format ${format} and this release reads ${FORMAT}; upgrade this manager`,
  )
}

function encodePart(part: Partial<StoreSnapshot>): Uint8Array {
  return snapshots.encode(part as StoreSnapshot)
}
