import { Command } from 'commander'
import { NodeRole } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { forEach } from '../each.ts'
import { changeNode } from './change.ts'

/** `node demote` (swarm row CL-30): a node in that role already is no error. */
export function command(context: Context): Command {
  return new Command('demote')
    .description('Make managers workers again')
    .argument('<node...>', 'names or ids')
    .action(async (names: readonly string[]) => {
      const api = await context.connect()
      await forEach(context, names, async name => {
        let isAlready = false
        await changeNode(api, name, spec => {
          isAlready = spec.role === NodeRole.WORKER
          spec.role = NodeRole.WORKER
          return !isAlready
        })
        return isAlready
          ? `Node ${name} is already a worker.`
          : `Manager ${name} demoted in the swarm.`
      })
    })
}
