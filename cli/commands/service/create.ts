import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { randomName } from '../../model/random-name.ts'
import { createSpec, neededReferences } from '../../spec/create.ts'
import { Flags } from '../../spec/flags.ts'
import { addServiceOptions, addWaitOptions } from '../../spec/options.ts'
import { fetchReferences } from '../../spec/references.ts'
import { collect } from '../../filters.ts'
import { readEnv } from '../env.ts'
import { waitForAll, type WaitFlags } from '../wait.ts'

/** `service create` (swarm rows SF-01 to SF-55). Prints the id, then waits. */
export function command(context: Context): Command {
  return addServiceOptions(addWaitOptions(new Command('create')), 'create')
    .description('Create a service')
    .argument('<image>')
    .argument('[command...]', "replaces the image's CMD")
    .option('--name <name>', 'name of the service')
    .option('--mode <mode>', 'replicated, global, replicated-job or global-job')
    .option('--max-concurrent <n>', 'tasks of a job at a time')
    .option('--env-file <file>', 'file of environment variables (repeatable)', collect)
    .passThroughOptions()
    .action(async (image: string, args: readonly string[], values: WaitFlags) => {
      const flags = new Flags({ ...values })
      const api = await context.connect()
      const env = await readEnv(context, flags)
      const references = await fetchReferences(api, neededReferences(flags))
      const name = flags.text('name') ?? randomName(context.random)
      const spec = createSpec({ name, image, args, flags, references, env })
      const { service, warnings } = await api.control.createService({ spec })
      if (service === null) throw new Failure('the manager answered without a service')
      for (const warning of warnings) context.stderr.write(`Warning: ${warning}\n`)
      context.stdout.write(`${service.id}\n`)
      await waitForAll(context, api, [service], values, 'create')
    })
}
