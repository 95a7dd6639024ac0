import fastify, { type FastifyInstance } from 'fastify'
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

/** Metrics, discovery and health over plain HTTP, on a listener that is not yet bound. */
export function httpServer(backend: HttpBackend): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true, requestTimeout: 10_000 })

  app.setErrorHandler((error, _request, reply) => {
    const status = toStatusError(error)
    void reply.status(httpStatus(status.code)).send({ message: status.message })
  })
  app.setNotFoundHandler((request, reply) => {
    const paths = '/metrics, /metrics/cluster, /sd/prometheus, /healthz, /readyz'
    void reply.status(404).send({ message: `${request.url} not found; there are ${paths}` })
  })

  app.get('/metrics', async (_request, reply) => {
    const registry = backend.registry()
    void reply.type(registry.contentType)
    return registry.metrics()
  })
  app.get('/metrics/cluster', async (_request, reply) => {
    const registry = backend.clusterRegistry()
    if (!registry) throw new StatusError('Unavailable', 'this node is not a manager; ask a manager')
    void reply.type(registry.contentType)
    return registry.metrics()
  })
  app.get('/sd/prometheus', async () => backend.targets())
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    const reason = backend.notReady()
    if (reason) void reply.status(503)
    return reason ? { status: 'not ready', reason } : { status: 'ok' }
  })
  return app
}
