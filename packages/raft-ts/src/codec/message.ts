// One byte of version, with version 2 the cluster's id, one byte of type, then the fields in a fixed order. Both ends check
// sizes, so a transport may carry the bytes without looking into them.
import { RaftError } from '../errors.ts'
import type { ForwardRefusal, Message } from '../types.ts'
import { ByteReader, ByteWriter, malformed } from './bytes.ts'
import { readEntry, readSnapshotMeta, writeEntry, writerFor, writeSnapshotMeta } from './entry.ts'

const VERSION = 1
const VERSION_WITH_CLUSTER = 2

/** No message is larger than this on the wire. Appends and snapshot chunks stay far below. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

const TYPES = [
  'vote',
  'voteResponse',
  'preVote',
  'preVoteResponse',
  'append',
  'appendResponse',
  'heartbeat',
  'heartbeatResponse',
  'snapshot',
  'snapshotChunk',
  'snapshotChunkResponse',
  'timeoutNow',
  'readIndex',
  'readIndexResponse',
  'removed',
  'forward',
  'forwardResponse',
] as const satisfies readonly Message['type'][]

const FORWARD_REFUSALS: readonly ForwardRefusal[] = [
  'none',
  'notLeader',
  'transferring',
  'full',
  'pending',
  'tooLarge',
  'stranger',
  'off',
]

/**
 * @param clusterId goes with the message, so that whoever decodes it can tell that it is for another cluster; not empty
 * @throws RaftError `TooLarge` above `MAX_MESSAGE_BYTES`, `Refused` when a number is no unsigned integer below 2^53
 */
export function encodeMessage(message: Message, clusterId?: string): Uint8Array {
  const writer = message.type === 'append' ? writerFor(message.entries) : new ByteWriter()
  writer.byte(clusterId === undefined ? VERSION : VERSION_WITH_CLUSTER)
  if (clusterId !== undefined) writer.string(clusterId)
  writer.byte(TYPES.indexOf(message.type))
  writer.uint(message.from)
  writer.uint(message.to)
  writer.uint(message.term)
  writeBody(writer, message)
  if (writer.length > MAX_MESSAGE_BYTES)
    throw new RaftError(
      'TooLarge',
      `a raft ${message.type} of ${writer.length} bytes exceeds ${MAX_MESSAGE_BYTES}`,
    )
  return writer.finish()
}

/**
 * @param clusterId when given, the message must name it
 * @throws RaftError `Corrupt` on anything `encodeMessage` would not have written, `TooLarge` above the limit, `Refused` when
 * it is of another cluster or names none
 */
export function decodeMessage(bytes: Uint8Array, clusterId?: string): Message {
  if (bytes.length > MAX_MESSAGE_BYTES)
    throw new RaftError(
      'TooLarge',
      `a raft message of ${bytes.length} bytes exceeds ${MAX_MESSAGE_BYTES}`,
    )
  const reader = new ByteReader(bytes)
  const version = reader.byte()
  if (version !== VERSION && version !== VERSION_WITH_CLUSTER)
    throw malformed(
      `message version ${version}, known are ${VERSION} and ${VERSION_WITH_CLUSTER}; bring both members to the same release`,
    )
  checkCluster(version === VERSION_WITH_CLUSTER ? reader.string() : undefined, clusterId)
  const type = TYPES[reader.byte()]
  if (type === undefined) throw malformed('unknown type of message')
  const message = readBody(reader, type, {
    from: reader.uint(),
    to: reader.uint(),
    term: reader.uint(),
  })
  reader.end()
  return message
}

function checkCluster(named: string | undefined, own: string | undefined): void {
  if (own === undefined || named === own) return
  throw new RaftError(
    'Refused',
    `this member belongs to cluster ${own}, the message to ${named ?? 'none'}; remove the sender from one of them`,
  )
}

function writeBody(writer: ByteWriter, m: Message): void {
  switch (m.type) {
    case 'vote':
    case 'preVote':
      writer.uint(m.lastIndex)
      writer.uint(m.lastTerm)
      writer.byte(m.transfer ? 1 : 0)
      writer.uint(m.commit)
      writer.uint(m.commitTerm)
      return
    case 'voteResponse':
    case 'preVoteResponse':
      writer.byte(m.reject ? 1 : 0)
      writer.uint(m.commit)
      writer.uint(m.commitTerm)
      return
    case 'append':
      writer.uint(m.prevIndex)
      writer.uint(m.prevTerm)
      writer.uint(m.commit)
      writer.uint(m.entries.length)
      for (const entry of m.entries) writeEntry(writer, entry)
      return
    case 'appendResponse':
      writer.uint(m.index)
      writer.byte(m.reject ? 1 : 0)
      writer.uint(m.hintIndex)
      writer.uint(m.hintTerm)
      return
    case 'heartbeat':
      writer.uint(m.commit)
      writer.uint(m.round)
      return
    case 'heartbeatResponse':
      writer.uint(m.round)
      return
    case 'snapshot':
      writeSnapshotMeta(writer, m.snapshot.meta)
      writer.bytes(m.snapshot.data)
      return
    case 'snapshotChunk':
      writer.uint(m.index)
      writer.uint(m.offset)
      writer.uint(m.total)
      writer.bytes(m.data)
      writer.bytes(m.hash ?? new Uint8Array(0))
      return
    case 'snapshotChunkResponse':
      writer.uint(m.index)
      writer.uint(m.offset)
      return
    case 'readIndex':
      writer.uint(m.context)
      return
    case 'readIndexResponse':
      writer.uint(m.context)
      writer.uint(m.index)
      return
    case 'forward':
      writer.uint(m.id)
      writer.bytes(m.data)
      return
    case 'forwardResponse':
      writer.uint(m.id)
      writer.uint(m.index)
      writer.byte(FORWARD_REFUSALS.indexOf(m.refused))
      return
    case 'timeoutNow':
    case 'removed':
      return
  }
}

function readBody(
  reader: ByteReader,
  type: Message['type'],
  envelope: { from: number; to: number; term: number },
): Message {
  switch (type) {
    case 'vote':
    case 'preVote':
      return {
        type,
        ...envelope,
        lastIndex: reader.uint(),
        lastTerm: reader.uint(),
        transfer: reader.bool(),
        commit: reader.uint(),
        commitTerm: reader.uint(),
      }
    case 'voteResponse':
    case 'preVoteResponse':
      return {
        type,
        ...envelope,
        reject: reader.bool(),
        commit: reader.uint(),
        commitTerm: reader.uint(),
      }
    case 'append': {
      const prevIndex = reader.uint()
      const prevTerm = reader.uint()
      const commit = reader.uint()
      const entries = Array.from({ length: reader.count(4) }, () => readEntry(reader))
      for (const [i, entry] of entries.entries())
        if (entry.index !== prevIndex + 1 + i) throw malformed('entries do not follow each other')
      return { type, ...envelope, prevIndex, prevTerm, commit, entries }
    }
    case 'appendResponse':
      return {
        type,
        ...envelope,
        index: reader.uint(),
        reject: reader.bool(),
        hintIndex: reader.uint(),
        hintTerm: reader.uint(),
      }
    case 'heartbeat':
      return { type, ...envelope, commit: reader.uint(), round: reader.uint() }
    case 'heartbeatResponse':
      return { type, ...envelope, round: reader.uint() }
    case 'snapshot':
      return {
        type,
        ...envelope,
        snapshot: { meta: readSnapshotMeta(reader), data: reader.bytes() },
      }
    case 'snapshotChunk': {
      const chunk = {
        index: reader.uint(),
        offset: reader.uint(),
        total: reader.uint(),
        data: reader.bytes(),
      }
      // The release before had no hash: its snapshots are refused, but with a reason.
      const hash = reader.remaining > 0 ? reader.bytes() : new Uint8Array(0)
      return { type, ...envelope, ...chunk, ...(hash.length > 0 && { hash }) }
    }
    case 'snapshotChunkResponse':
      return { type, ...envelope, index: reader.uint(), offset: reader.uint() }
    case 'readIndex':
      return { type, ...envelope, context: reader.uint() }
    case 'readIndexResponse':
      return { type, ...envelope, context: reader.uint(), index: reader.uint() }
    case 'forward':
      return { type, ...envelope, id: reader.uint(), data: reader.bytes() }
    case 'forwardResponse': {
      const id = reader.uint()
      const index = reader.uint()
      const refused = FORWARD_REFUSALS[reader.byte()]
      if (refused === undefined) throw malformed('unknown refusal of a forwarded proposal')
      return { type, ...envelope, id, index, refused }
    }
    case 'timeoutNow':
    case 'removed':
      return { type, ...envelope }
  }
}
