import * as grpc from '@grpc/grpc-js'
import { unary } from '../../proto/call.ts'
import { clientFor, type Client } from '../../proto/grpc.ts'
import { v1 } from '../../proto/index.ts'
import type { Host, Lab } from '../lab/lab.ts'
import { Cluster } from '../support/cluster.ts'
import { COMMAND, IMAGE, type System } from './system.ts'

type Control = Client<InstanceType<typeof v1.Control>, typeof v1>

/** Skein's daemons beside the lab's engines, spoken to over their sockets. */
export function skein(): System & { cluster(): Cluster } {
  let cluster: Cluster | undefined
  const clients = new Map<string, Control>()
  const up = (): Cluster => {
    if (!cluster) throw new Error('the cluster is not up')
    return cluster
  }
  const control = (host: Host): Control => {
    // The host's own /run, seen through its daemon.
    const socket = `unix:/proc/${up().daemonPid(host)}/root/run/skein/control.sock`
    const client =
      clients.get(socket) ?? clientFor(v1.Control, v1, socket, grpc.credentials.createInsecure())
    clients.set(socket, client)
    return client
  }
  const first = (): Control => control(up().firstHost())

  return {
    name: 'Skein',
    cluster: up,

    async up(lab: Lab) {
      cluster = await Cluster.up(lab)
    },

    async create(service, replicas) {
      const container = { image: IMAGE, command: COMMAND, stopGraceMs: 0 }
      const spec = {
        annotations: { name: service },
        task: { container },
        replicated: { replicas },
      }
      await unary(first(), first().createService, { spec })
    },

    async remove(service) {
      await unary(first(), first().removeService, { id: service })
    },

    label: service => `io.skein.service.name=${service}`,

    async leader() {
      const { nodes } = await unary(first(), first().listNodes, {})
      const name = nodes.find(node => node.manager?.leader)?.description?.hostname
      return up().lab.host(name ?? 'none')
    },

    killManager: host => up().stopDaemon(host, 'SIGKILL'),

    async write(via, name) {
      const client = control(via)
      const spec = { annotations: { name }, data: new Uint8Array([120]) }
      await unary(client, client.createConfig, { spec }, { timeoutMs: 15_000 })
    },
  }
}
