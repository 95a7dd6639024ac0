import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { forEach } from '../each.ts'
import { getNode } from '../get.ts'

/** `node rm` (swarm row CL-32). */
export function command(context: Context): Command {
  return new Command('rm')
    .alias('remove')
    .description('Remove nodes that left the cluster or are down')
    .argument('<node...>', 'names or ids')
    .option('-f, --force', 'even if the node is not down')
    .action(async (names: readonly string[], flags: { readonly force?: boolean }) => {
      const api = await context.connect()
      await forEach(context, names, async name => {
        const { id } = await getNode(api, name)
        await api.control.removeNode({ id, force: flags.force ?? false })
        return name
      })
    })
}
