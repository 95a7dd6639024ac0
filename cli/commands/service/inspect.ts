import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { serviceObject } from '../../output/inspect-service.ts'
import { renderObjects } from '../../output/object.ts'
import { prettyService } from '../../output/pretty-service.ts'
import { named } from '../../spec/references.ts'
import { getService } from '../get.ts'
import type { InspectFlags } from '../node/inspect.ts'

/** `service inspect` (swarm row SF-61). */
export function command(context: Context): Command {
  return new Command('inspect')
    .description('Show services in full')
    .argument('<service...>', 'names or ids')
    .option('-f, --format <format>', 'json or a Go template')
    .option('--pretty', 'for people')
    .action(async (references: readonly string[], flags: InspectFlags) => {
      const api = await context.connect()
      const services = []
      for (const reference of references) services.push(await getService(api, reference))
      if (flags.pretty !== true) {
        context.stdout.write(renderObjects(services.map(serviceObject), flags.format))
        return
      }
      const { networks } = await api.control.listNetworks({})
      const names = new Map(networks.map(network => [network.id, named(network).name]))
      context.stdout.write(
        services.map(each => prettyService(each, id => names.get(id) ?? id)).join('\n'),
      )
    })
}
