import type Dockerode from 'dockerode'
import type { EngineNetwork, NetworkEngine } from '../../../agent/network/engine-network.ts'
import { StatusError } from '../../../runtime/errors.ts'

/** An engine's networks in memory. */
export class EngineModel implements NetworkEngine {
  readonly networks = new Map<string, EngineNetwork>()
  readonly inUse = new Set<string>()
  created: Dockerode.NetworkCreateOptions[] = []
  isDown = false
  #next = 1

  constructor() {
    for (const name of ['bridge', 'host', 'none']) this.add({ name })
  }

  add(init: Partial<EngineNetwork>): string {
    const id = `engine-${this.#next++}`
    const empty = {
      name: id,
      internal: false,
      options: {},
      labels: {},
      subnet: '',
      gateway: '',
      range: '',
    }
    this.networks.set(id, { ...empty, ...init, id })
    return id
  }

  async list(): Promise<readonly EngineNetwork[]> {
    this.#up()
    return [...this.networks.values()]
  }

  async users(id: string): Promise<number> {
    this.#up()
    return this.inUse.has(id) ? 1 : 0
  }

  async create(options: Dockerode.NetworkCreateOptions): Promise<string> {
    this.#up()
    if ([...this.networks.values()].some(network => network.name === options.Name))
      throw new StatusError('AlreadyExists', `network with name ${options.Name} already exists`)
    this.created.push(options)
    const ipam = options.IPAM?.Config?.[0]
    return this.add({
      name: options.Name,
      internal: options.Internal === true,
      options: options.Options ?? {},
      labels: options.Labels ?? {},
      subnet: ipam?.Subnet ?? '',
      gateway: ipam?.Gateway ?? '',
      range: ipam?.IPRange ?? '',
    })
  }

  async remove(id: string): Promise<void> {
    this.#up()
    if (this.inUse.has(id))
      throw new StatusError('PermissionDenied', 'network has active endpoints')
    this.networks.delete(id)
  }

  #up(): void {
    if (this.isDown) throw new StatusError('Unavailable', 'connect ENOENT /var/run/docker.sock')
  }
}
