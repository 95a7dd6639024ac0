import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { nodeObject } from '../../output/inspect-node.ts'
import { prettyNode } from '../../output/pretty-node.ts'
import { renderObjects } from '../../output/object.ts'
import { getNode } from '../get.ts'

export interface InspectFlags {
  readonly format?: string
  readonly pretty?: boolean
}

/** `node inspect` (swarm row CL-28). */
export function command(context: Context): Command {
  return new Command('inspect')
    .description('Show nodes in full')
    .argument('<node...>', 'names, ids or "self"')
    .option('-f, --format <format>', 'json or a Go template')
    .option('--pretty', 'for people')
    .action(async (names: readonly string[], flags: InspectFlags) => {
      const api = await context.connect()
      const nodes = []
      for (const name of names) nodes.push(await getNode(api, name))
      context.stdout.write(
        flags.pretty === true
          ? nodes.map(prettyNode).join('\n')
          : renderObjects(nodes.map(nodeObject), flags.format),
      )
    })
}
