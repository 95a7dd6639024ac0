import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { configObject } from '../../output/inspect-payload.ts'
import { renderObjects } from '../../output/object.ts'
import { getConfig } from '../get.ts'

/** `config inspect`. */
export function command(context: Context): Command {
  return new Command('inspect')
    .description('Show configs in full')
    .argument('<config...>', 'names or ids')
    .option('-f, --format <format>', 'json or a Go template')
    .action(async (references: readonly string[], flags: { readonly format?: string }) => {
      const api = await context.connect()
      const configs = []
      for (const reference of references) configs.push(await getConfig(api, reference))
      context.stdout.write(renderObjects(configs.map(configObject), flags.format))
    })
}
