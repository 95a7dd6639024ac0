import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { serviceName } from '../../model/lookup.ts'
import { displayFor } from '../../output/progress.ts'
import { addWaitOptions } from '../../spec/options.ts'
import { waitUntilGone } from '../../wait/gone.ts'
import { forEach } from '../each.ts'
import { getService } from '../get.ts'
import { timeoutOf, type WaitFlags } from '../wait.ts'

/** `service rm` (swarm row SF-58). Waits until the tasks have stopped. */
export function command(context: Context): Command {
  return addWaitOptions(new Command('rm'))
    .alias('remove')
    .description('Remove services')
    .argument('<service...>', 'names or ids')
    .action(async (names: readonly string[], flags: WaitFlags) => {
      const api = await context.connect()
      const removed: { id: string; name: string }[] = []
      let failure: unknown
      try {
        await forEach(context, names, async name => {
          const service = await getService(api, name)
          await api.control.removeService({ id: service.id })
          removed.push({ id: service.id, name: serviceName(service) })
          return name
        })
      } catch (error) {
        failure = error
      }
      if (flags.detach !== true) {
        const display = displayFor(context, flags.quiet ?? false)
        const timeoutMs = timeoutOf(flags)
        try {
          await Promise.all(
            removed.map(service => waitUntilGone(context, api, display, service, timeoutMs)),
          )
        } finally {
          display.end()
        }
      }
      if (failure !== undefined) throw failure
    })
}
