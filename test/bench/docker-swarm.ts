import type { Host, Lab } from '../lab/lab.ts'
import { engineCall } from './engine.ts'
import { COMMAND, IMAGE, type System } from './system.ts'

/** Docker Swarm in the lab's own engines. Needs a lab without live-restore. */
export function dockerSwarm(): System {
  let hosts: readonly Host[] = []
  const manager = (): Host => {
    const [first] = hosts
    if (!first) throw new Error('the swarm is not up')
    return first
  }
  return {
    name: 'Docker Swarm',

    async up(lab: Lab) {
      hosts = lab.hosts
      const [first, ...others] = hosts
      await first?.docker('swarm', 'init', '--advertise-addr', first.address)
      const token = await manager().docker('swarm', 'join-token', '-q', 'manager')
      for (const host of others) {
        const address = ['--advertise-addr', host.address, `${manager().address}:2377`]
        await host.docker('swarm', 'join', '--token', token, ...address)
      }
    },

    async create(service, replicas) {
      await engineCall(manager(), 'POST', '/services/create', {
        Name: service,
        TaskTemplate: {
          ContainerSpec: { Image: IMAGE, Command: COMMAND, StopGracePeriod: 0 },
          RestartPolicy: { Condition: 'any' },
        },
        Mode: { Replicated: { Replicas: replicas } },
        EndpointSpec: { Mode: 'dnsrr' },
      })
    },

    async remove(service) {
      await engineCall(manager(), 'DELETE', `/services/${service}`)
    },

    label: service => `com.docker.swarm.service.name=${service}`,

    async leader() {
      const nodes = (await engineCall(manager(), 'GET', '/nodes')) as {
        Description: { Hostname: string }
        ManagerStatus?: { Leader?: boolean }
      }[]
      const name = nodes.find(node => node.ManagerStatus?.Leader)?.Description.Hostname
      const host = hosts.find(host => host.name === name)
      if (!host) throw new Error('the swarm has no leader')
      return host
    },

    killManager: host => host.stopEngine('SIGKILL'),

    async write(via, name) {
      await engineCall(via, 'POST', '/configs/create', { Name: name, Data: 'eA==' })
    },
  }
}
