import { Command } from 'commander'
import type { Context } from '../../context.ts'

/** `swarm leave` (swarm rows CL-24, CL-25). */
export function command(context: Context): Command {
  return new Command('leave')
    .description('Take this node out of the cluster')
    .option('-f, --force', 'leave even if the cluster suffers')
    .action(async (flags: { readonly force?: boolean }) => {
      const api = await context.connect()
      await api.local.leave({ force: flags.force ?? false })
      context.stdout.write('Node left the swarm.\n')
    })
}
