import { Command } from 'commander'
import { type NodeAvailability, NodeRole } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { choice } from '../../flags/values.ts'
import { AVAILABILITIES } from './init.ts'

const DEFAULT_PORT = 2377

interface JoinFlags {
  readonly token: string
  readonly advertiseAddr?: string
  readonly availability?: string
}

/** `swarm join`: the token alone decides the role (swarm row CL-17). */
export function command(context: Context): Command {
  return new Command('join')
    .description('Make this node a member of a cluster')
    .argument('<host:port...>', 'addresses of managers; one that answers is enough')
    .requiredOption('--token <token>', 'join token, see: skein swarm join-token')
    .option('--advertise-addr <address>', 'address other nodes reach this one at: IP or IP:PORT')
    .option('--availability <availability>', 'active, pause or drain (default: active)')
    .action(async (addresses: readonly string[], flags: JoinFlags) => {
      const api = await context.connect()
      const answer = await api.local.join({
        addresses: addresses.map(withPort),
        token: flags.token,
        advertiseAddress: flags.advertiseAddr ?? '',
        availability: choice(
          '--availability',
          flags.availability ?? 'active',
          AVAILABILITIES,
        ) as NodeAvailability,
      })
      const role = answer.role === NodeRole.MANAGER ? 'manager' : 'worker'
      context.stdout.write(`This node joined a swarm as a ${role}.\n`)
    })
}

/** Adds the port managers listen on when none is given. */
export function withPort(address: string): string {
  if (/^\[.*\]$/.test(address)) return `${address}:${DEFAULT_PORT}`
  const colons = address.split(':').length - 1
  if (colons > 1 && !address.startsWith('[')) return `[${address}]:${DEFAULT_PORT}`
  return colons === 0 ? `${address}:${DEFAULT_PORT}` : address
}
