// Metrics, discovery and health over plain HTTP. A handful of answers to GET need no framework, and every agent would
// hold it in memory.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { StatusError, httpStatus, toStatusError } from '../../runtime/errors.ts'
import type { TargetGroup } from './discovery.ts'

/** What the HTTP side of a node shows; the node fills it in. */
export interface HttpBackend {
  /** This process's own series. */
  registry(): Registry
  /** Series of the cluster as a whole; undefined on a node that does not manage. */
  clusterRegistry(): Registry | undefined
  /** @throws StatusError Unavailable on a node that does not manage */
  targets(): readonly TargetGroup[]
  /** Why the node is not ready to serve, or undefined when it is. */
  notReady(): string | undefined
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

type Route = (backend: HttpBackend) => Promise<Answer>

const REQUEST_LIMIT_MS = 10_000

const ROUTES: Readonly<Record<string, Route>> = {
  '/metrics': async backend => exposition(backend.registry()),
  '/metrics/cluster': async backend => {
    const registry = backend.clusterRegistry()
    if (!registry) throw new StatusError('Unavailable', 'this node is not a manager; ask a manager')
    return exposition(registry)
  },
  '/sd/prometheus': async backend => json(200, backend.targets()),
  '/healthz': async () => json(200, { status: 'ok' }),
  '/readyz': async backend => {
    const reason = backend.notReady()
    return reason ? json(503, { status: 'not ready', reason }) : json(200, { status: 'ok' })
  },
}

/** The server, on a listener that is not yet bound. */
export function httpServer(backend: HttpBackend): Server {
  const server = createServer((request, response) => {
    answer(backend, request)
      .catch((thrown: unknown) => {
        const error = toStatusError(thrown)
        return json(httpStatus(error.code), { message: error.message })
      })
      .then(({ status, type, body }) => send(response, status, type, body))
      .catch(() => response.destroy())
  })
  server.requestTimeout = REQUEST_LIMIT_MS
  server.headersTimeout = REQUEST_LIMIT_MS
  return server
}

/** Binds it. @throws StatusError Unavailable when the address is taken */
export function listen(server: Server, address: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', cause =>
      reject(
        new StatusError(
          'Unavailable',
          `cannot serve metrics on ${address.host}:${address.port}: ${cause.message}; choose another address with --metrics-listen`,
          { cause },
        ),
      ),
    )
    server.listen(address, resolve)
  })
}

async function answer(backend: HttpBackend, request: IncomingMessage): Promise<Answer> {
  const [path = ''] = (request.url ?? '').split('?')
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined
  if (!route) {
    const known = Object.keys(ROUTES).join(', ')
    throw new StatusError('NotFound', `${path} not found; there are ${known}`)
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return json(405, { message: `${request.method} ${path}: only GET is answered here` })
  }
  return route(backend)
}

async function exposition(registry: Registry): Promise<Answer> {
  return { status: 200, type: registry.contentType, body: await registry.metrics() }
}

function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: JSON.stringify(value) }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
