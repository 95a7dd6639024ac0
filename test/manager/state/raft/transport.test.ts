// Goal: messages arrive over standing streams, a break is reported at once and mended, and bad input ends its own stream alone.
// Method: transports joined by streams in memory under virtual time; once over real gRPC on loopback.
import * as grpc from '@grpc/grpc-js'
import { type Member, type Message, encodeMessage } from 'raft-ts'
import t from 'tap'
import { raftDialer } from '../../../../manager/state/raft/dial.ts'
import type { RaftEnvelope } from '../../../../manager/state/raft/envelope.ts'
import { Outbox } from '../../../../manager/state/raft/outbox.ts'
import { RaftTransport } from '../../../../manager/state/raft/transport.ts'
import { serverDuplex } from '../../../../proto/duplex.ts'
import { serviceDefinition } from '../../../../proto/grpc.ts'
import { v1 } from '../../../../proto/index.ts'
import { SimClock, systemClock } from '../../../../runtime/clock.ts'
import { duplexPair } from '../../../../runtime/duplex.ts'
import { StatusError } from '../../../../runtime/errors.ts'
import { silentLog } from '../../../../runtime/log.ts'
import { seededRandom } from '../../../../runtime/random.ts'
import { type Stream, deadStream, turn } from './cluster.ts'

const beat = (from: number, to: number, term = 1): Message => ({
  type: 'heartbeat',
  from,
  to,
  term,
  commit: 0,
  round: 0,
})
const members: readonly Member[] = [1, 2].map(id => ({ id, address: `m${id}`, learner: false }))

class Ends {
  readonly clock = new SimClock(0)
  readonly got: Message[] = []
  readonly lost: number[] = []
  readonly refused: string[] = []
  readonly dialed: Stream[] = []
  dropped = 0
  readonly transport: RaftTransport

  constructor(id: number, dial: (address: string) => Stream, clusterId = 'lab') {
    this.transport = new RaftTransport({
      selfId: id,
      clusterId,
      clock: this.clock,
      random: seededRandom(id),
      log: silentLog,
      dial: address => {
        const stream = dial(address)
        this.dialed.push(stream)
        return stream
      },
      onMessage: message => this.got.push(message),
      onUnreachable: peer => this.lost.push(peer),
      observer: {
        refused: reason => this.refused.push(reason),
        dropped: (_peer, messages) => {
          this.dropped += messages
        },
      },
    })
  }
}

function pairOf(a: () => Ends): (address: string) => Stream {
  return () => {
    const [near, far] = duplexPair<RaftEnvelope, RaftEnvelope>()
    a().transport.handleMessages('peer', far)
    return near
  }
}

t.test('messages go both ways, each over the stream its sender dialed', async t => {
  const one: Ends = new Ends(
    1,
    pairOf(() => two),
  )
  const two: Ends = new Ends(
    2,
    pairOf(() => one),
  )
  one.transport.setMembers(members)
  two.transport.setMembers(members)
  one.transport.send([beat(1, 2), beat(1, 2, 2)])
  two.transport.send([beat(2, 1)])
  await turn()
  t.same(two.got, [beat(1, 2), beat(1, 2, 2)])
  t.same(one.got, [beat(2, 1)])
  t.same(one.transport.connected(), [2])
})

t.test('who has no address is answered over the stream it opened', async t => {
  const one: Ends = new Ends(
    1,
    pairOf(() => two),
  )
  const two: Ends = new Ends(2, deadStream)
  one.transport.setMembers(members)
  one.transport.send([beat(1, 2)])
  await turn()
  two.transport.send([beat(2, 1), beat(2, 7)])
  await turn()
  t.same(one.got, [beat(2, 1)])
  t.equal(two.dropped, 1, 'nobody knows member 7')
})

t.test('a break is reported at once on both sides, and dialed again within a second', async t => {
  const one: Ends = new Ends(
    1,
    pairOf(() => two),
  )
  const two: Ends = new Ends(2, deadStream)
  one.transport.setMembers(members)
  one.transport.send([beat(1, 2)])
  await turn()
  one.dialed[0]?.end(new StatusError('Unavailable', 'connection reset'))
  await turn()
  t.same(one.lost, [2])
  t.same(two.lost, [1])
  t.same(one.transport.connected(), [])
  one.clock.advance(1_000)
  one.transport.send([beat(1, 2, 5)])
  await turn()
  t.same(two.got.at(-1), beat(1, 2, 5))
})

t.test(
  'a dead peer is tried again no less than once a second, and at once when it is heard',
  async t => {
    let alive = false
    const one: Ends = new Ends(1, address => (alive ? pairOf(() => two)(address) : deadStream()))
    const two: Ends = new Ends(
      2,
      pairOf(() => one),
    )
    one.transport.setMembers(members)
    for (let n = 0; n < 1_000; n++) {
      one.clock.advance(20)
      await turn()
    }
    t.ok(one.dialed.length >= 20, `${one.dialed.length} dials in 20 s`)
    t.ok(one.dialed.length < 100, `${one.dialed.length} dials in 20 s`)
    one.clock.advance(60)
    alive = true
    two.transport.setMembers(members)
    two.transport.send([beat(2, 1)])
    await turn()
    t.same(one.transport.connected(), [2], 'no waiting for a peer that just spoke')
  },
)

t.test('another cluster and malformed bytes end their own stream alone', async t => {
  const one: Ends = new Ends(1, deadStream)
  const open = (peer: string): { stream: Stream; ended: (StatusError | undefined)[] } => {
    const [stream, far] = duplexPair<RaftEnvelope, RaftEnvelope>()
    one.transport.handleMessages(peer, far)
    const ended: (StatusError | undefined)[] = []
    stream.onEnd(error => ended.push(error))
    return { stream, ended }
  }
  const good = open('good')
  const stranger = open('stranger')
  const broken = open('broken')
  stranger.stream.send({ clusterId: 'other', messages: [encodeMessage(beat(3, 1))] })
  broken.stream.send({ clusterId: 'lab', messages: [Buffer.from('nonsense')] })
  await turn()
  good.stream.send({ clusterId: 'lab', messages: [encodeMessage(beat(2, 1))] })
  await turn()
  t.match(stranger.ended, [
    { code: 'FailedPrecondition', message: /belongs to cluster lab, the caller to other/ },
  ])
  t.match(broken.ended, [{ code: 'InvalidArgument', message: /malformed/ }])
  t.same(good.ended, [])
  t.same(one.got, [beat(2, 1)])
  t.same(one.refused, ['cluster', 'malformed'])
})

t.test('a peer that opens a second stream loses its first', async t => {
  const one: Ends = new Ends(1, deadStream)
  const [first, far] = duplexPair<RaftEnvelope, RaftEnvelope>()
  let ended = false
  first.onEnd(() => {
    ended = true
  })
  one.transport.handleMessages('peer', far)
  one.transport.handleMessages('peer', duplexPair<RaftEnvelope, RaftEnvelope>()[1])
  await turn()
  t.ok(ended)
  t.same(one.lost, [], 'it only moved to a new stream')
})

t.test('a stream that takes nothing is given up, and the queue stays bounded', async t => {
  const [near] = duplexPair<RaftEnvelope, RaftEnvelope>()
  const stuck: Stream = {
    send: () => undefined,
    backlog: 1_000,
    end: () => undefined,
    onMessage: listener => near.onMessage(listener),
    onEnd: listener => near.onEnd(listener),
  }
  const one: Ends = new Ends(1, () => stuck)
  one.transport.setMembers(members)
  for (let n = 0; n < 5_000; n++) one.transport.send([beat(1, 2)])
  t.equal(one.dropped, 5_000 - 4_096)
  one.clock.advance(4_000)
  await turn()
  t.same(one.lost.slice(0, 1), [2])
})

t.test('a full outbox gives up heartbeats before entries', t => {
  const outbox = new Outbox(3)
  const append: Message = {
    type: 'append',
    from: 1,
    to: 2,
    term: 1,
    prevIndex: 0,
    prevTerm: 0,
    commit: 0,
    entries: [],
  }
  for (const message of [append, beat(1, 2), append, append]) outbox.put(message)
  t.same(
    [outbox.take(), outbox.take(), outbox.take(), outbox.take()],
    [append, append, append, undefined],
  )
  t.equal(outbox.dropped, 1)
  t.end()
})

t.test('over gRPC: messages arrive, a server that goes away is noticed', async t => {
  const server = new grpc.Server()
  const two = new Ends(2, deadStream)
  server.addService(serviceDefinition(v1.Raft, v1), {
    messages: (call: grpc.ServerDuplexStream<RaftEnvelope, RaftEnvelope>) =>
      two.transport.handleMessages('node-1', serverDuplex(call)),
    join: () => undefined,
    leave: () => undefined,
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  t.teardown(() => server.forceShutdown())
  const got: Message[] = []
  let onLost = (): void => undefined
  const broken = new Promise<void>(resolve => {
    onLost = resolve
  })
  const transport = new RaftTransport({
    selfId: 1,
    clusterId: 'lab',
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    dial: raftDialer(() => grpc.credentials.createInsecure()),
    onMessage: message => got.push(message),
    onUnreachable: () => onLost(),
  })
  t.teardown(() => transport.stop())
  transport.setMembers([{ id: 2, address: `127.0.0.1:${port}`, learner: false }])
  transport.send([beat(1, 2)])
  await until(() => two.got.length === 1)
  two.transport.send([beat(2, 1)])
  await until(() => got.length === 1)
  t.same(got, [beat(2, 1)])
  server.forceShutdown()
  await broken
  t.pass('the break was reported')
})

async function until(done: () => boolean): Promise<void> {
  while (!done()) await turn()
}
