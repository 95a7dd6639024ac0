import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { forEach } from '../each.ts'
import { getSecret } from '../get.ts'

/** `secret rm`. */
export function command(context: Context): Command {
  return new Command('rm')
    .alias('remove')
    .description('Remove secrets no service uses')
    .argument('<secret...>', 'names or ids')
    .action(async (names: readonly string[]) => {
      const api = await context.connect()
      await forEach(context, names, async name => {
        const { id } = await getSecret(api, name)
        await api.control.removeSecret({ id })
        return name
      })
    })
}
