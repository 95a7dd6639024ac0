import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { secretObject } from '../../output/inspect-payload.ts'
import { renderObjects } from '../../output/object.ts'
import { getSecret } from '../get.ts'

/** `secret inspect`. */
export function command(context: Context): Command {
  return new Command('inspect')
    .description('Show secrets in full')
    .argument('<secret...>', 'names or ids')
    .option('-f, --format <format>', 'json or a Go template')
    .action(async (references: readonly string[], flags: { readonly format?: string }) => {
      const api = await context.connect()
      const secrets = []
      for (const reference of references) secrets.push(await getSecret(api, reference))
      context.stdout.write(renderObjects(secrets.map(secretObject), flags.format))
    })
}
