import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { networkObject } from '../../output/inspect-network.ts'
import { renderObjects } from '../../output/object.ts'
import { getNetwork } from '../get.ts'

/** `network inspect`. */
export function command(context: Context): Command {
  return new Command('inspect')
    .description('Show networks in full')
    .argument('<network...>', 'names or ids')
    .option('-f, --format <format>', 'json or a Go template')
    .action(async (references: readonly string[], flags: { readonly format?: string }) => {
      const api = await context.connect()
      const networks = []
      for (const reference of references) networks.push(await getNetwork(api, reference))
      context.stdout.write(renderObjects(networks.map(networkObject), flags.format))
    })
}
