import { Metadata, type ChannelCredentials, type ClientOptions } from '@grpc/grpc-js'
import { clientDuplex } from '../../../proto/duplex.ts'
import { clientFor } from '../../../proto/grpc.ts'
import { v1 } from '../../../proto/index.ts'
import type { Duplex } from '../../../runtime/duplex.ts'
import type { RaftEnvelope } from './envelope.ts'

/** Raft notices a dead leader by its own clock; keep-alive is for connections that died without a word. */
const OPTIONS: ClientOptions = {
  // A channel of its own per dial: a shared one would make peers wait in gRPC's back-off instead of ours.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.keepalive_permit_without_calls': 1,
}

/** The `dial` of RaftMember.open() over gRPC. Credentials are asked for at each dial, so that renewed ones are used. */
export function raftDialer(
  credentials: () => ChannelCredentials,
  options: ClientOptions = {},
): (address: string) => Duplex<RaftEnvelope, RaftEnvelope> {
  return address => {
    const client = clientFor(v1.Raft, v1, address, credentials(), { ...OPTIONS, ...options })
    const call = client.messages(new Metadata())
    // However a call ends, its status comes.
    call.on('status', () => client.close())
    return clientDuplex<RaftEnvelope, RaftEnvelope>(call)
  }
}
