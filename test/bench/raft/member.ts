// One Raft member in a process of its own: raft-ts with records sealed as a manager seals them, the managers' transport
// over gRPC with mutual TLS, a state machine that only counts, and a KV.Put of etcd's for clients.
import * as grpc from '@grpc/grpc-js'
import { Registry } from 'prom-client'
import { type Member, type RaftFs, RaftNode, nodeFs } from 'raft-ts'
import { type Identity, trustOf } from '../../../agent/identity/identity.ts'
import { ReplaceableCredentials } from '../../../daemon/rpc/credentials.ts'
import { certificateIdentifier } from '../../../daemon/rpc/peer.ts'
import { addService, createRpcServer } from '../../../daemon/rpc/server.ts'
import { raftDialer } from '../../../manager/state/raft/dial.ts'
import { aesSealer } from '../../../manager/state/raft/sealer.ts'
import { RaftTransport } from '../../../manager/state/raft/transport.ts'
import type { HandlersOf } from '../../../proto/service.ts'
import { clientCredentials } from '../../../proto/tls.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { StatusError } from '../../../runtime/errors.ts'
import { silentLog } from '../../../runtime/log.ts'
import { systemRandom } from '../../../runtime/random.ts'
import { serveParent } from './child.ts'
import { type Driven, drive } from './drive.ts'
import { type PutRequest, type PutResponse, VALUE_BYTES, putMethod } from './kv.ts'

export type Question =
  | { readonly ask: 'listen'; readonly id: number; readonly identity: Identity }
  | { readonly ask: 'open'; readonly dir: string; readonly members: readonly Member[] }
  | { readonly ask: 'drive'; readonly proposers: number; readonly seconds: number }
  | { readonly ask: 'lead' | 'counts' }

export interface Counts {
  readonly cpuUs: number
  readonly records: number
  readonly syncs: number
  readonly applied: number
  readonly leads: boolean
}

/** As etcd 3.4's own default. */
const SNAPSHOT_ENTRIES = 100_000

const counts = { records: 0, syncs: 0, applied: 0 }
let identity: Identity
let id = 0
let node: RaftNode | undefined
let transport: RaftTransport | undefined
const payload = systemRandom.bytes(VALUE_BYTES)

serveParent<Question>(async question => {
  switch (question.ask) {
    case 'listen':
      identity = question.identity
      id = question.id
      return listen()
    case 'open':
      return open(question.dir, question.members)
    case 'lead':
      node?.campaign()
      return
    case 'counts':
      return now()
    case 'drive':
      return driveHere(question.proposers, question.seconds)
  }
})

function now(): Counts {
  const { user, system } = process.cpuUsage()
  return { ...counts, cpuUs: user + system, leads: node?.status().role === 'leader' }
}

/** @returns the addresses of the members' port and of the clients' */
async function listen(): Promise<{ peers: string; clients: string }> {
  const peers = createRpcServer()
  const refuse = (): Promise<never> => Promise.reject(new StatusError('Unimplemented', 'no'))
  const raft: HandlersOf<'Raft'> = {
    messages: (stream, caller) => transport?.handleMessages(caller.nodeId, stream),
    join: refuse,
    leave: refuse,
  }
  addService(peers, 'Raft', raft, {
    identify: certificateIdentifier({
      roots: () => identity.rootPems,
      clusterId: () => identity.clusterId,
      isRevoked: () => false,
      nowMs: () => systemClock.now(),
    }),
    log: silentLog,
    registry: new Registry(),
    clock: systemClock,
  })
  const clients = new grpc.Server()
  clients.addService({ put: putMethod } as unknown as grpc.ServiceDefinition, {
    put: (
      call: grpc.ServerUnaryCall<PutRequest, PutResponse>,
      reply: grpc.sendUnaryData<PutResponse>,
    ) => {
      node?.propose(call.request.value).then(
        ({ index }) => reply(null, { header: { revision: index } }),
        (error: Error) => reply({ code: grpc.status.UNAVAILABLE, details: error.message }),
      )
    },
  })
  return {
    peers: await bind(peers, new ReplaceableCredentials(identity)),
    clients: await bind(clients, grpc.ServerCredentials.createInsecure()),
  }
}

function bind(server: grpc.Server, credentials: grpc.ServerCredentials): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, port) =>
      error ? reject(error) : resolve(`127.0.0.1:${port}`),
    )
  })
}

async function open(dir: string, members: readonly Member[]): Promise<void> {
  const credentials = clientCredentials(() => trustOf(identity))
  transport = new RaftTransport({
    selfId: id,
    clusterId: identity.clusterId,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    dial: raftDialer(() => credentials),
    onMessage: message => node?.step(message),
    onUnreachable: peer => node?.reportUnreachable(peer),
  })
  node = await RaftNode.open(
    {
      id,
      dir,
      fs: counting(nodeFs),
      clock: systemClock,
      random: () => systemRandom.next(),
      encrypt: aesSealer(systemRandom.bytes(32), systemRandom),
      snapshotEntries: SNAPSHOT_ENTRIES,
      stateMachine: {
        apply: entries => {
          counts.applied += entries.length
          return entries.map(entry => entry.data.length)
        },
        snapshot: () => new Uint8Array(8),
        restore: () => undefined,
      },
      send: messages => transport?.send(messages),
      onFatal: error => {
        console.error(error)
        process.exit(1)
      },
      metrics: { written: () => counts.records++ },
    },
    { bootstrap: members },
  )
  transport.setMembers(members)
}

/** Counts syncs of the log's files that make a record durable; those of zeros laid down ahead are no part of a write. */
function counting(fs: RaftFs): RaftFs {
  return {
    ...fs,
    async open(path, mode) {
      const file = await fs.open(path, mode)
      if (!path.endsWith('.wal')) return file
      let written = false
      return {
        ...file,
        write: (data, position) => {
          written = true
          return file.write(data, position)
        },
        sync: () => {
          if (written) counts.syncs++
          written = false
          return file.sync()
        },
      }
    },
  }
}

async function driveHere(
  proposers: number,
  seconds: number,
): Promise<Driven & { readonly cpuUsPerEntry: number }> {
  const member = node
  if (member === undefined) throw new Error('not open')
  let cpuUs = 0
  const driven = await drive(
    proposers,
    seconds,
    () => member.propose(payload),
    () => (cpuUs = now().cpuUs),
  )
  return { ...driven, cpuUsPerEntry: (now().cpuUs - cpuUs) / driven.operations }
}
