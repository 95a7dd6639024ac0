// A cluster's CA with a memory store behind a real TLS server on 127.0.0.1, for the tests of trust.
import { Registry } from 'prom-client'
import { createKey, identityFrom, type Identity } from '../../../agent/identity/identity.ts'
import { certificateRequest } from '../../../agent/identity/csr.ts'
import { ReplaceableCredentials } from '../../../daemon/rpc/credentials.ts'
import { certificateIdentifier } from '../../../daemon/rpc/peer.ts'
import { createRpcServer, type RpcOptions } from '../../../daemon/rpc/server.ts'
import { issueCertificate } from '../../../manager/ca/issue.ts'
import { createRootCa } from '../../../manager/ca/root.ts'
import { createMemoryStore } from '../../../manager/state/store/memory-proposer.ts'
import type { MemoryStore } from '../../../manager/state/store/memory-store.ts'
import { make } from '../../../proto/codec.ts'
import { NodeRole, v1, type RootCa } from '../../../proto/index.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { MemoryLog } from '../../../runtime/log.ts'
import { newId, systemRandom } from '../../../runtime/random.ts'

export const clock = systemClock
export const random = systemRandom

export interface TestCluster {
  readonly id: string
  readonly rootCa: RootCa
  readonly store: MemoryStore
  readonly log: MemoryLog
  readonly registry: Registry
  readonly revoked: Set<string>
  /** A node of the store with a certificate. */
  node(
    role: 'manager' | 'worker',
    options?: { validityMs?: number; nowMs?: number },
  ): Promise<Identity>
  rpcOptions(): RpcOptions
}

export async function testCluster(): Promise<TestCluster> {
  const id = newId(random)
  const rootCa = await createRootCa({ clusterId: id, nowMs: clock.now(), random })
  const log = new MemoryLog()
  const store = createMemoryStore({ clock, random, log })
  const revoked = new Set<string>()
  const registry = new Registry()
  await store.update(tx =>
    tx.create(
      'cluster',
      make(v1.Cluster, { id, spec: { annotations: { name: 'default' } }, rootCa }),
    ),
  )
  const cluster: TestCluster = {
    id,
    rootCa,
    store,
    log,
    registry,
    revoked,
    async node(role, options = {}) {
      const nodeId = newId(random)
      const keyPem = await createKey()
      const csrPem = certificateRequest(keyPem)
      const { certificatePem } = await issueCertificate(rootCa, {
        csrPem,
        nodeId,
        role,
        clusterId: id,
        nowMs: clock.now(),
        random,
        ...options,
      })
      const wireRole = role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER
      const spec = { annotations: {}, role: wireRole }
      await store.update(tx =>
        tx.create(
          'node',
          make(v1.Node, { id: nodeId, spec, description: { hostname: nodeId }, role: wireRole }),
        ),
      )
      return identityFrom({ keyPem, certificatePem, rootPems: [rootCa.certificatePem] })
    },
    rpcOptions: () => ({
      identify: certificateIdentifier({
        roots: () => [rootCa.certificatePem],
        clusterId: () => id,
        isRevoked: nodeId => revoked.has(nodeId),
        nowMs: () => clock.now(),
      }),
      log,
      registry,
      clock,
    }),
  }
  return cluster
}

export interface TestServer {
  readonly address: string
  readonly credentials: ReplaceableCredentials
  stop(): void
}

/** Serves what `register` adds, with the identity's certificate, on a free port. */
export async function serve(
  identity: Identity,
  register: (server: ReturnType<typeof createRpcServer>) => void,
): Promise<TestServer> {
  const server = createRpcServer()
  register(server)
  const credentials = new ReplaceableCredentials(identity)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  return { address: `127.0.0.1:${port}`, credentials, stop: () => server.forceShutdown() }
}
