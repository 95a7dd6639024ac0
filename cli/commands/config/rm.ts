import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { forEach } from '../each.ts'
import { getConfig } from '../get.ts'

/** `config rm`. */
export function command(context: Context): Command {
  return new Command('rm')
    .alias('remove')
    .description('Remove configs no service uses')
    .argument('<config...>', 'names or ids')
    .action(async (names: readonly string[]) => {
      const api = await context.connect()
      await forEach(context, names, async name => {
        const { id } = await getConfig(api, name)
        await api.control.removeConfig({ id })
        return name
      })
    })
}
