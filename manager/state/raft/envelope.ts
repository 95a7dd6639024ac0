import { type Message, decodeMessage, encodeMessage } from 'raft-ts'
import type { PlainOf } from '../../../proto/codec.ts'
import type { v1 } from '../../../proto/index.ts'
import { StatusError, messageOf } from '../../../runtime/errors.ts'
import type { Outbox } from './outbox.ts'

/** What rides the streams between managers. */
export type RaftEnvelope = PlainOf<(typeof v1)['RaftEnvelope']>

/** No more messages are put into an envelope from here on; with one largest append it stays under gRPC's 4 MiB. */
const ENOUGH_BYTES = 512 * 1024

/** Packs the oldest of what waits in `outbox` into one envelope. `bytes` is its size, near enough. */
export function packEnvelope(
  clusterId: string,
  outbox: Outbox,
): { readonly envelope: RaftEnvelope; readonly bytes: number } {
  const messages: Uint8Array[] = []
  let bytes = 0
  for (
    let next = outbox.take();
    next !== undefined;
    next = bytes < ENOUGH_BYTES ? outbox.take() : undefined
  ) {
    const encoded = encodeMessage(next)
    messages.push(encoded)
    bytes += encoded.length
  }
  return { envelope: { clusterId, messages }, bytes }
}

/**
 * @throws StatusError FailedPrecondition when it comes from another cluster, InvalidArgument when a message is malformed
 */
export function unpackEnvelope(clusterId: string, envelope: RaftEnvelope): readonly Message[] {
  if (envelope.clusterId !== clusterId) {
    throw new StatusError(
      'FailedPrecondition',
      `this manager belongs to cluster ${clusterId}, the caller to ${envelope.clusterId || 'none'}; remove the caller from one of them`,
    )
  }
  try {
    return envelope.messages.map(bytes => decodeMessage(bytes))
  } catch (error) {
    throw new StatusError('InvalidArgument', `malformed raft message: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
