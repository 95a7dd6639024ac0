import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { forEach } from '../each.ts'
import { getNetwork } from '../get.ts'

/** `network rm`. */
export function command(context: Context): Command {
  return new Command('rm')
    .alias('remove')
    .description('Remove networks nothing uses')
    .argument('<network...>', 'names or ids')
    .option('-f, --force', 'accepted for compatibility')
    .action(async (names: readonly string[]) => {
      const api = await context.connect()
      await forEach(context, names, async name => {
        const { id } = await getNetwork(api, name)
        await api.control.removeNetwork({ id })
        return name
      })
    })
}
