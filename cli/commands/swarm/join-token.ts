import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { Failure, usage } from '../../failure.ts'
import { withFreshVersion } from '../each.ts'
import { joinHint } from './init.ts'

interface TokenFlags {
  readonly rotate?: boolean
  readonly quiet?: boolean
}

/** `swarm join-token` (swarm row CL-19). */
export function command(context: Context): Command {
  return new Command('join-token')
    .description('Show or replace the token new nodes join with')
    .argument('<role>', 'worker or manager')
    .option('--rotate', 'replace the token; nodes that joined are not affected')
    .option('-q, --quiet', 'only the token')
    .action(async (role: string, flags: TokenFlags) => {
      if (role !== 'worker' && role !== 'manager') {
        throw usage(`unknown role ${role}`, 'the roles are worker and manager')
      }
      const { control } = await context.connect()
      if (flags.rotate === true) {
        await withFreshVersion(async () => {
          const { cluster } = await control.getCluster({})
          if (cluster === null) throw new Failure('the cluster has no state yet')
          await control.updateCluster({
            specVersion: cluster.meta?.specVersion ?? 0,
            spec: cluster.spec,
            rotateWorkerToken: role === 'worker',
            rotateManagerToken: role === 'manager',
          })
        })
      }
      const tokens = await control.getJoinTokens({})
      const token = role === 'worker' ? tokens.worker : tokens.manager
      if (flags.quiet === true) {
        context.stdout.write(`${token}\n`)
        return
      }
      if (flags.rotate === true) {
        context.stdout.write(`Successfully rotated ${role} join token.\n\n`)
      }
      const [address = '<address of a manager>:2377'] = tokens.managerAddresses
      context.stdout.write(`${joinHint(role, token, address)}\n`)
    })
}
