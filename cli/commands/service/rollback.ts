import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { addWaitOptions } from '../../spec/options.ts'
import { waitForAll, type WaitFlags } from '../wait.ts'
import { rollBack } from './update.ts'

/** `service rollback` (swarm row SF-57). */
export function command(context: Context): Command {
  return addWaitOptions(new Command('rollback'))
    .description('Go back to the spec before the last update')
    .argument('<service>', 'name or id')
    .action(async (reference: string, flags: WaitFlags) => {
      const api = await context.connect()
      const service = await rollBack(api, reference)
      context.stdout.write(`${reference}\n`)
      await waitForAll(context, api, [service], flags, 'rollback')
    })
}
