// A daemon's socket with a cluster of canned behaviour behind it: tasks do what a script says.
import * as grpc from '@grpc/grpc-js'
import { type Handlers, serviceDefinition } from '../../proto/grpc.ts'
import {
  ActionKind,
  type Config,
  type Network,
  type Node,
  type Service,
  type ServiceSpec,
  type Task,
  v1,
} from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { StatusError, grpcCode } from '../../runtime/errors.ts'
import { aNode } from './builders.ts'

type Control = Handlers<InstanceType<typeof v1.Control>, typeof v1>
type Logs = Handlers<InstanceType<typeof v1.Logs>, typeof v1>
type Local = Handlers<InstanceType<typeof v1.Local>, typeof v1>
type Watcher = grpc.ServerWritableStream<unknown, object>

export class FakeDaemon {
  readonly nodes: Node[] = [aNode('n1'), aNode('n2')]
  readonly services = new Map<string, Service>()
  readonly tasks = new Map<string, Task>()
  readonly networks: Network[] = []
  readonly configs: Config[] = []
  readonly calls: string[] = []
  /** The chunks of a backup. */
  backup: readonly Uint8Array[] = []
  /** What recovering would go on with; undefined: there is a leader. */
  recovery: object | undefined
  /** How often listServices answers Unavailable before it works. */
  unavailable = 0
  /** Called after a service was written: puts the tasks a manager would make. */
  onWrite: (service: Service, daemon: FakeDaemon) => void = () => undefined
  readonly #server = new grpc.Server()
  readonly #watchers = new Set<Watcher>()
  #version = 10

  async listen(path: string): Promise<void> {
    this.#server.addService(serviceDefinition(v1.Control, v1), this.#control() as never)
    this.#server.addService(serviceDefinition(v1.Logs, v1), this.#logs() as never)
    this.#server.addService(serviceDefinition(v1.Local, v1), this.#local() as never)
    await new Promise<void>((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure()
      this.#server.bindAsync(`unix:${path}`, credentials, error =>
        error ? reject(error) : resolve(),
      )
    })
  }

  close(): void {
    this.#server.forceShutdown()
  }

  /** Ends all watches, as a change of managers does. */
  dropWatches(): void {
    for (const watcher of this.#watchers) {
      watcher.emit('error', { code: grpc.status.UNAVAILABLE, details: 'leader changed' })
    }
    this.#watchers.clear()
  }

  putTask(task: Task): void {
    const stored = { ...task, meta: { ...meta(task.meta), version: ++this.#version } }
    this.tasks.set(task.id, stored)
    this.#publish({ kind: ActionKind.UPDATE, task: stored })
  }

  putService(service: Service, isNewSpec: boolean): Service {
    const version = ++this.#version
    const before = meta(service.meta)
    const stored = {
      ...service,
      meta: { ...before, version, specVersion: isNewSpec ? version : before.specVersion },
    }
    this.services.set(service.id, stored)
    this.#publish({ kind: ActionKind.UPDATE, service: stored })
    return stored
  }

  #publish(event: object): void {
    for (const watcher of this.#watchers) watcher.write({ version: this.#version, events: [event] })
  }

  #find(reference: string): Service {
    for (const service of this.services.values()) {
      if (service.id === reference || service.spec?.annotations?.name === reference) return service
    }
    throw new StatusError('NotFound', `service ${reference} not found`)
  }

  #control(): Partial<Control> {
    return {
      listNodes: this.#answer('listNodes', () => ({ nodes: this.nodes, self: 'n1' })),
      listServices: this.#answer('listServices', () => {
        if (this.unavailable-- > 0) throw new StatusError('Unavailable', 'no leader')
        return { services: [...this.services.values()] }
      }),
      getService: this.#answer('getService', ({ id }) => ({ service: this.#find(id) })),
      createService: this.#answer('createService', ({ spec }) => {
        const name = spec?.annotations?.name ?? ''
        if ([...this.services.values()].some(each => each.spec?.annotations?.name === name)) {
          throw new StatusError('AlreadyExists', `service ${name} already exists`)
        }
        return { service: this.#write(make(v1.Service, { id: `svc-${name}` }), spec), warnings: [] }
      }),
      updateService: this.#answer('updateService', ({ id, specVersion, spec, rollback }) => {
        const before = this.#find(id)
        if (specVersion !== 0 && specVersion !== before.meta?.specVersion) {
          throw new StatusError('Aborted', 'the service changed since')
        }
        const wanted = rollback ? before.previousSpec : spec
        return { service: this.#write({ ...before, previousSpec: before.spec }, wanted) }
      }),
      removeService: this.#answer('removeService', ({ id }) => {
        this.services.delete(this.#find(id).id)
        for (const task of this.tasks.values())
          if (task.serviceId === id) this.tasks.delete(task.id)
        return {}
      }),
      listTasks: this.#answer('listTasks', ({ serviceId, nodeId }) => ({
        tasks: [...this.tasks.values()].filter(
          task =>
            (serviceId === '' || task.serviceId === serviceId || task.serviceName === serviceId) &&
            (nodeId === '' || task.nodeId === nodeId),
        ),
      })),
      getTask: this.#answer('getTask', ({ id }) => {
        const task = this.tasks.get(id)
        if (task === undefined) throw new StatusError('NotFound', `task ${id} not found`)
        return { task }
      }),
      explainTask: this.#answer('explainTask', () => ({
        explanation: {
          summary: 'no suitable node (constraints not satisfied on 1 node)',
          nodes: [
            { hostname: 'host-n1', fits: false, failures: [{ reason: 'gpu label missing' }] },
          ],
          suggestions: ['skein node update --label-add gpu=true host-n1'],
        },
      })),
      listNetworks: this.#answer('listNetworks', () => ({ networks: this.networks })),
      createNetwork: this.#answer('createNetwork', ({ spec }) => {
        const network = make(v1.Network, { id: `net-${spec?.annotations?.name}`, spec })
        this.networks.push(network)
        return { network }
      }),
      listSecrets: this.#answer('listSecrets', () => ({ secrets: [] })),
      listConfigs: this.#answer('listConfigs', () => ({ configs: this.configs })),
      createConfig: this.#answer('createConfig', ({ spec }) => {
        const config = make(v1.Config, { id: `cfg-${spec?.annotations?.name}`, spec })
        this.configs.push(config)
        return { config }
      }),
      removeConfig: this.#answer('removeConfig', ({ id }) => {
        this.configs.splice(
          this.configs.findIndex(config => config.id === id),
          1,
        )
        return {}
      }),
      watch: call => {
        this.calls.push('watch')
        this.#watchers.add(call as Watcher)
        call.on('cancelled', () => this.#watchers.delete(call as Watcher))
        call.write({ version: this.#version, events: [] })
      },
    }
  }

  #logs(): Partial<Logs> {
    return {
      subscribe: call => {
        const entry = { taskId: 'task1x1', nodeId: 'n1', timeMs: 1_700_000_000_000, timeSubNs: 5 }
        call.write({ entries: [{ ...entry, data: Buffer.from('hello') }] })
        call.write({ entries: [{ ...entry, stderr: true, data: Buffer.from('oops') }] })
        call.write({ warning: 'web.5: node w3 is down, its lines are missing' })
        call.end()
      },
    }
  }

  #local(): Partial<Local> {
    return {
      info: this.#answer('info', () => ({ version: '0.1.0', state: 'inactive' })),
      init: this.#answer('init', ({ advertiseAddress }) => ({
        nodeId: 'n1',
        workerToken: 'SKNTKN-1-x-y',
        address: `${advertiseAddress}:2377`,
      })),
      backup: call => {
        this.calls.push(`backup${call.request.stale ? ' stale' : ''}`)
        for (const data of this.backup) call.write({ data })
        call.end()
      },
      restore: call => {
        const chunks: Uint8Array[] = []
        call.on('data', (chunk: { data: Uint8Array; last: boolean; advertiseAddress: string }) => {
          chunks.push(chunk.data)
          if (!chunk.last) return
          const size = Buffer.concat(chunks).length
          this.calls.push(`restore ${size} bytes in ${chunks.length} at ${chunk.advertiseAddress}`)
          if (size < 10) {
            call.emit('error', { code: grpc.status.DATA_LOSS, details: 'this backup is cut short' })
            return
          }
          call.write({
            nodeId: 'n9',
            clusterId: 'c1',
            clusterName: 'harbour',
            address: '10.0.0.9:2377',
            index: 77,
            createdAtMs: Date.now() - 3_600_000,
            objects: { service: 2, secret: 1, node: 3, config: 0 },
          })
          call.end()
        })
      },
      recover: this.#answer('recover', ({ confirm, force }) => {
        this.calls.push(`recover${confirm ? ' confirm' : ''}${force ? ' force' : ''}`)
        if (this.recovery === undefined)
          throw new StatusError('FailedPrecondition', 'there is a leader: h2 follows h3')
        return { ...this.recovery, done: confirm }
      }),
    }
  }

  #write(service: Service, spec: ServiceSpec | null): Service {
    const stored = this.putService(
      { ...service, spec, endpoint: make(v1.Endpoint, { spec: spec?.endpoint ?? null }) },
      true,
    )
    this.onWrite(stored, this)
    return this.services.get(stored.id) ?? stored
  }

  #answer<Req, Res>(name: string, work: (request: Req) => Res): grpc.handleUnaryCall<Req, Res> {
    return (call, done) => {
      this.calls.push(name)
      try {
        done(null, work(call.request))
      } catch (error) {
        if (!(error instanceof StatusError)) throw error
        done({ code: grpcCode(error.code), details: error.message })
      }
    }
  }
}

function meta(before: Service['meta']): NonNullable<Service['meta']> {
  return before ?? { version: 0, specVersion: 0, createdAtMs: 0, updatedAtMs: 0 }
}
