import { createSocket } from 'node:dgram'
import { connect, createServer, isIPv4, type Socket } from 'node:net'
import type { Clock } from '../../../runtime/clock.ts'
import { StatusError } from '../../../runtime/errors.ts'

// The wire of DNS: datagrams, and streams of messages with two bytes of length before each (RFC 1035 4.2).

const MAX_MESSAGE_BYTES = 65_535
const MAX_CONNECTIONS = 128
const IDLE_MS = 10_000

/** Answers one message from `source` (dotted IPv4); undefined: say nothing. Never rejects. */
export type Handler = (
  message: Uint8Array,
  source: string,
  transport: Transport,
) => Promise<Uint8Array | undefined>
export type Transport = 'udp' | 'tcp'

export interface Listener {
  close(): Promise<void>
}

export interface DnsSockets {
  /**
   * Listens on UDP and TCP of an address. `onDead` is called once when a socket fails later.
   * @throws StatusError Unavailable naming address and reason
   */
  listen(address: string, port: number, handler: Handler, onDead: () => void): Promise<Listener>
  /** Sends one query and gives the first message that comes back from `server`. @throws StatusError */
  exchange(
    transport: Transport,
    server: string,
    query: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array>
}

/** Real sockets in the network namespace of this process. */
export function systemDnsSockets(clock: Clock): DnsSockets {
  return {
    async listen(address, port, handler, onDead) {
      const udp = await listenUdp(address, port, handler, onDead)
      try {
        const tcp = await listenTcp(clock, address, port, handler, onDead)
        return { close: async () => void (await Promise.all([udp.close(), tcp.close()])) }
      } catch (error) {
        await udp.close()
        throw error
      }
    },
    exchange: (transport, server, query, timeoutMs) =>
      transport === 'udp'
        ? exchangeUdp(clock, server, query, timeoutMs)
        : exchangeTcp(clock, server, query, timeoutMs),
  }
}

function unavailable(what: string, error: Error): StatusError {
  const { code } = error as NodeJS.ErrnoException
  const reason = code === 'EADDRINUSE' ? 'another program has the port' : error.message
  return new StatusError('Unavailable', `DNS on ${what}: ${reason}`, { cause: error })
}

function listenUdp(
  address: string,
  port: number,
  handler: Handler,
  onDead: () => void,
): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    let bound = false
    socket.on('error', error => {
      if (bound) {
        bound = false
        onDead()
      } else socket.close(() => reject(unavailable(`${address}:${port}/udp`, error)))
    })
    socket.on('message', (message, { address: source, port: sourcePort }) => {
      // Nothing can be sent to port 0; only a forger asks from it.
      if (sourcePort === 0) return
      void handler(message, source, 'udp').then(reply => {
        // A reply that cannot be sent is a lost datagram: the client asks again.
        if (reply !== undefined && bound) socket.send(reply, sourcePort, source, () => undefined)
      })
    })
    socket.bind({ address, port, exclusive: true }, () => {
      bound = true
      resolve({
        close: () =>
          new Promise(done => {
            bound = false
            socket.close(() => done())
          }),
      })
    })
  })
}

function listenTcp(
  clock: Clock,
  address: string,
  port: number,
  handler: Handler,
  onDead: () => void,
): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const sockets = new Set<Socket>()
    const server = createServer(socket => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      void serveConnection(clock, socket, handler)
    })
    server.maxConnections = MAX_CONNECTIONS
    let bound = false
    server.on('error', error => {
      if (bound) {
        bound = false
        onDead()
      } else reject(unavailable(`${address}:${port}/tcp`, error))
    })
    server.listen({ host: address, port, exclusive: true }, () => {
      bound = true
      resolve({
        close: () =>
          new Promise(done => {
            server.close(() => done())
            for (const socket of sockets) socket.destroy()
          }),
      })
    })
  })
}

/** Answers messages one after the other; a client that is silent or malformed is cut off. */
async function serveConnection(clock: Clock, socket: Socket, handler: Handler): Promise<void> {
  let cancel = clock.after(IDLE_MS, () => socket.destroy())
  socket.on('error', () => undefined)
  const source = isIPv4(socket.remoteAddress ?? '') ? String(socket.remoteAddress) : ''
  try {
    for await (const message of messagesOf(socket)) {
      cancel()
      cancel = clock.after(IDLE_MS, () => socket.destroy())
      const reply = await handler(message, source, 'tcp')
      if (reply === undefined) break
      socket.write(framed(reply))
    }
  } catch {
    // The client went away in the middle: nobody is left to tell.
  } finally {
    cancel()
    socket.end()
  }
}

async function* messagesOf(socket: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of socket) {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0)
      yield rest.subarray(2, end)
      rest = rest.subarray(end)
    }
  }
}

function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(Math.min(message.length, MAX_MESSAGE_BYTES))
  return Buffer.concat([length, message])
}

/** A socket of its own, so that the port is unpredictable and the kernel drops what others send. */
function exchangeUdp(
  clock: Clock,
  server: string,
  query: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    let open = true
    const finish = (settle: () => void): void => {
      if (!open) return
      open = false
      cancel()
      socket.close()
      settle()
    }
    const cancel = clock.after(timeoutMs, () =>
      finish(() => reject(new StatusError('DeadlineExceeded', `DNS server ${server} is silent`))),
    )
    socket.on('error', error => finish(() => reject(unavailable(`server ${server}`, error))))
    socket.on('message', message => {
      // Anything with another id is somebody's guess.
      if (message[0] === query[0] && message[1] === query[1]) finish(() => resolve(message))
    })
    // Not connect's callback: that would be called on failure too, in place of the 'error' event.
    socket.on('connect', () => {
      if (open) socket.send(query, error => error && socket.emit('error', error))
    })
    socket.connect(53, server)
  })
}

function exchangeTcp(
  clock: Clock,
  server: string,
  query: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array> {
  const socket = connect({ host: server, port: 53 })
  const cancel = clock.after(timeoutMs, () =>
    socket.destroy(new StatusError('DeadlineExceeded', `DNS server ${server} is silent`)),
  )
  const first = async (): Promise<Uint8Array> => {
    socket.write(framed(query))
    for await (const message of messagesOf(socket)) return message
    throw new StatusError('Unavailable', `DNS server ${server} closed the connection`)
  }
  return first().finally(() => {
    cancel()
    socket.destroy()
  })
}
