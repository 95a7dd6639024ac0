// Goal: the name server answers over real sockets, forwards what is not its own, and survives what is not a question.
// Method: UDP and TCP on the loopback; upstream resolvers are played.
import t from 'tap'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import * as packet from 'dns-packet'
import { nameTables } from '../../../../agent/network/dns/answer.ts'
import { Forwarder } from '../../../../agent/network/dns/forward.ts'
import { parseQuery } from '../../../../agent/network/dns/message.ts'
import { DnsServer, type DnsResult } from '../../../../agent/network/dns/server.ts'
import {
  systemDnsSockets,
  type DnsSockets,
  type Handler,
} from '../../../../agent/network/dns/sockets.ts'
import { SimClock, systemClock } from '../../../../runtime/clock.ts'
import { StatusError } from '../../../../runtime/errors.ts'
import { MemoryFs } from '../../../../runtime/fs.ts'
import { MemoryLog, silentLog } from '../../../../runtime/log.ts'
import { seededRandom } from '../../../../runtime/random.ts'
import { aTable, aTask } from '../builders.ts'

// 127.0.0.0/8 is the network here: 127.0.0.1 is a task on it.
const many = Array.from({ length: 60 }, (_, i) =>
  aTask(`m${i}`, `127.0.1.${i + 1}`, 'h1', { serviceId: 'many' }),
)
const tables = nameTables('h1', [
  aTable(1, [], {
    subnet: '127.0.0.0/8',
    services: [
      { serviceId: 'many', name: 'many' },
      { serviceId: 'web', name: 'web' },
    ],
    endpoints: [aTask('a', '127.0.0.1', 'h1', { serviceId: 'web' }), ...many],
  }),
])

function query(name: string, init: Partial<packet.Packet> = {}): Buffer {
  return packet.encode({
    type: 'query',
    id: 7,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type: 'A', class: 'IN' }],
    ...init,
  })
}

interface Exchange {
  readonly server: string
  readonly query: packet.DecodedPacket
  readonly transport: string
}

/** A server whose sockets for asking upstream are played by `upstream`. */
function harness(
  upstream: (exchange: Exchange) => Uint8Array | undefined,
  resolvConf = 'nameserver 9.9.9.9\nnameserver 8.8.8.8\n',
) {
  const asked: Exchange[] = []
  const counts: Record<string, number> = {}
  const real = systemDnsSockets(systemClock)
  const sockets: DnsSockets = {
    listen: (...args) => real.listen(...args),
    exchange: async (transport, server, bytes) => {
      const exchange = { server, query: packet.decode(Buffer.from(bytes)), transport }
      asked.push(exchange)
      const reply = upstream(exchange)
      if (reply === undefined) throw new StatusError('DeadlineExceeded', 'silent')
      return reply
    },
  }
  const fs = new MemoryFs()
  fs.files.set('/etc/resolv.conf', new TextEncoder().encode(resolvConf))
  const clock = new SimClock()
  const random = seededRandom(3)
  const forwarder = new Forwarder({ clock, random, fs, sockets, own: () => new Set() })
  const port = 20_000 + (process.pid % 20_000)
  const count = (key: string): void => void (counts[key] = (counts[key] ?? 0) + 1)
  const server = new DnsServer({
    clock,
    random,
    log: new MemoryLog(),
    sockets,
    forwarder,
    port,
    metrics: {
      query: (_type, result: DnsResult) => count(result),
      malformed: () => count('malformed'),
    },
  })
  server.setTables(tables)
  return { server, port, asked, counts }
}

function overUdp(port: number, ...messages: readonly Buffer[]): Promise<packet.DecodedPacket> {
  return new Promise(resolve => {
    const socket = createSocket('udp4')
    socket.on('message', message => {
      socket.close()
      resolve(packet.decode(message))
    })
    for (const message of messages) socket.send(message, port, '127.0.0.1')
  })
}

function overTcp(port: number, bytes: Buffer): Promise<packet.DecodedPacket[]> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
    const chunks: Buffer[] = []
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('close', () => {
      const all = Buffer.concat(chunks)
      const found: packet.DecodedPacket[] = []
      for (let at = 0; at + 2 <= all.length; at += 2 + all.readUInt16BE(at))
        found.push(packet.decode(all.subarray(at + 2, at + 2 + all.readUInt16BE(at))))
      resolve(found)
    })
  })
}

const reply = ({ query: asked }: Exchange, address: string): Uint8Array =>
  packet.encode({
    type: 'response',
    id: asked.id,
    questions: asked.questions,
    answers: [{ type: 'A', name: asked.questions?.[0]?.name ?? '', ttl: 60, data: address }],
  })

t.test('answers of its own', async t => {
  const { server, port, counts } = harness(() => undefined)
  t.strictSame(await server.listenOn(['127.0.0.1']), [])
  t.teardown(() => server.stop())
  const found = await overUdp(port, query('Web'))
  t.match(found, {
    id: 7,
    rcode: 'NOERROR',
    flag_aa: true,
    flag_ra: true,
    flag_rd: true,
    flag_tc: false,
  })
  t.match(found.answers, [{ type: 'A', name: 'Web', ttl: 5, data: '127.0.0.1' }])
  t.match(await overUdp(port, query('nosuch')), { rcode: 'NXDOMAIN', answers: [] })
  t.match(await overUdp(port, query('web', { questions: [{ name: 'web', type: 'AAAA' }] })), {
    rcode: 'NOERROR',
    answers: [],
  })
  t.strictSame(counts, { internal: 2, nxdomain: 1 })
})

t.test('an answer too long for a datagram is truncated, and whole by TCP or EDNS', async t => {
  const { server, port } = harness(() => undefined)
  await server.listenOn(['127.0.0.1'])
  t.teardown(() => server.stop())
  const cut = await overUdp(port, query('many'))
  t.equal(cut.flag_tc, true)
  t.equal(cut.answers?.length, Math.floor((512 - 12 - 10) / 16), 'as many as fit')
  const opt: packet.Answer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  }
  const edns = await overUdp(port, query('many', { additionals: [opt] }))
  t.equal(edns.flag_tc, false)
  t.equal(edns.answers?.length, 60)
  t.match(edns.answers?.[59], { name: 'many', type: 'A', ttl: 5 })
  t.match(edns.additionals, [{ type: 'OPT' }])
  const both = Buffer.concat([
    packet.streamEncode(packet.decode(query('many'))),
    packet.streamEncode(packet.decode(query('web'))),
  ])
  t.strictSame(
    (await overTcp(port, both)).map(found => found.answers?.length),
    [60, 1],
  )
})

t.test('what is no question is counted and not answered', async t => {
  const { server, port, counts } = harness(() => undefined)
  await server.listenOn(['127.0.0.1'])
  t.teardown(() => server.stop())
  const two = query('web', {
    questions: [
      { name: 'web', type: 'A' },
      { name: 'web', type: 'A' },
    ],
  })
  const update = Buffer.from(query('web'))
  update[2] = 0x28
  const rubbish = [
    Buffer.from('rubbish'),
    Buffer.alloc(0),
    query('web').subarray(0, 14),
    packet.encode({ type: 'response', id: 1 }),
    two,
    update,
  ]
  t.match(await overUdp(port, ...rubbish, query('web')), { id: 7, rcode: 'NOERROR' })
  t.strictSame(counts, { malformed: rubbish.length, internal: 1 })
  t.strictSame(await overTcp(port, Buffer.from([0, 3, 1, 2, 3])), [], 'the connection is closed')
  t.equal(
    parseQuery(Buffer.concat([query('web').subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])),
    undefined,
    'a name that points at itself',
  )
})

t.test(
  "other names go to the host's resolvers under another id, the one that answered last first",
  async t => {
    const { server, port, asked, counts } = harness(exchange =>
      exchange.server === '8.8.8.8' ? reply(exchange, '192.0.2.7') : undefined,
    )
    await server.listenOn(['127.0.0.1'])
    t.teardown(() => server.stop())
    const found = await overUdp(port, query('example.com'))
    t.match(found, { id: 7, answers: [{ data: '192.0.2.7' }] })
    t.notOk(asked.some(exchange => exchange.query.id === 7))
    await overUdp(port, query('example.org'))
    t.strictSame(
      asked.map(exchange => exchange.server),
      ['9.9.9.9', '8.8.8.8', '8.8.8.8'],
    )
    t.strictSame(counts, { forwarded: 2 })
  },
)

t.test('no resolver, or one that lies, is SERVFAIL', async t => {
  const lies = (exchange: Exchange): Uint8Array => {
    const other = {
      ...exchange,
      query: { ...exchange.query, questions: [{ name: 'evil.example', type: 'A' as const }] },
    }
    return reply(other, '192.0.2.66')
  }
  const { server, port, counts } = harness(lies)
  await server.listenOn(['127.0.0.1'])
  t.teardown(() => server.stop())
  t.match(await overUdp(port, query('good.example')), { id: 7, rcode: 'SERVFAIL', answers: [] })
  t.strictSame(counts, { servfail: 1 })
  const forwarder = new Forwarder({
    clock: new SimClock(),
    random: seededRandom(1),
    fs: new MemoryFs(),
    sockets: {
      listen: () => Promise.reject(new Error('not here')),
      exchange: () => Promise.reject(new Error('not here')),
    },
    own: () => new Set(),
  })
  t.equal(await forwarder.forward(query('a.b'), 'udp'), undefined, 'a host without resolvers')
})

t.test('at most 256 questions wait for resolvers', async t => {
  const fs = new MemoryFs()
  fs.files.set('/etc/resolv.conf', new TextEncoder().encode('nameserver 9.9.9.9'))
  let release: (() => void) | undefined
  const gate = new Promise<void>(resolve => (release = resolve))
  const sockets: DnsSockets = {
    listen: () => Promise.reject(new Error('not here')),
    exchange: async (_transport, _server, bytes) => {
      await gate
      return reply(
        { server: '', transport: '', query: packet.decode(Buffer.from(bytes)) },
        '192.0.2.1',
      )
    },
  }
  const forwarder = new Forwarder({
    clock: new SimClock(),
    random: seededRandom(1),
    fs,
    sockets,
    own: () => new Set(),
  })
  const waiting = Array.from({ length: 256 }, () => forwarder.forward(query('a.b'), 'udp'))
  t.equal(await forwarder.forward(query('a.b'), 'udp'), undefined)
  release?.()
  t.equal((await Promise.all(waiting)).filter(found => found !== undefined).length, 256)
})

t.test('a port that is taken is a problem, and no more once it is free', async t => {
  const first = harness(() => undefined)
  const second = harness(() => undefined)
  t.teardown(() => Promise.all([first.server.stop(), second.server.stop()]))
  t.strictSame(await first.server.listenOn(['127.0.0.1', '127.0.0.2']), [])
  t.match(await second.server.listenOn(['127.0.0.1']), [
    /^DNS on 127.0.0.1:\d+\/udp: another program has the port$/,
  ])
  t.strictSame(await first.server.listenOn(['127.0.0.2']), [])
  t.strictSame(await second.server.listenOn(['127.0.0.1']), [])
})

t.test('a socket that dies is bound again', async t => {
  const dead: (() => void)[] = []
  const listened: string[] = []
  const sockets: DnsSockets = {
    listen: async (address: string, _port: number, _handler: Handler, onDead: () => void) => {
      listened.push(address)
      dead.push(onDead)
      return { close: async () => undefined }
    },
    exchange: () => Promise.reject(new Error('not here')),
  }
  const clock = new SimClock()
  const random = seededRandom(1)
  const forwarder = new Forwarder({
    clock,
    random,
    fs: new MemoryFs(),
    sockets,
    own: () => new Set(),
  })
  const metrics = { query: () => undefined, malformed: () => undefined }
  const server = new DnsServer({ clock, random, log: silentLog, sockets, forwarder, metrics })
  await server.listenOn(['10.0.0.1'])
  dead[0]?.()
  await server.listenOn(['10.0.0.1'])
  await server.listenOn(['10.0.0.1'])
  t.strictSame(listened, ['10.0.0.1', '10.0.0.1'])
})
